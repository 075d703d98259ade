//! The files of `cistern edge generate`: read whole, written all or, where one is in the way, not at all.
#![expect(
    clippy::disallowed_methods,
    reason = "files of the operator, not of the store"
)]

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cistern_deploy::generate::Generated;

/// What a file holds.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let text =
        String::from_utf8(bytes).map_err(|_| format!("{} is no text in UTF-8", path.display()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// What a file holds that another file names: beside that one, else from here, as `iotedge_config` looks for it.
pub(super) fn read_beside(named: &str, file: &Path) -> Result<String, String> {
    let beside = file.parent().unwrap_or(Path::new(".")).join(named);
    if beside.exists() {
        read(&beside)
    } else {
        read(Path::new(named))
    }
}

/// A password: a file without the end of its line.
pub(super) fn password(path: &Path) -> Result<String, String> {
    let text = read(path)?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(format!("{} holds no password", path.display()));
    }
    if password.contains(['\r', '\n']) {
        return Err(format!(
            "{} has several lines, and a password is one",
            path.display()
        ));
    }
    Ok(password.to_owned())
}

/// Writes the files of all devices below `folder`, and says which.
///
/// Without `force` nothing at all is written if one of them is there. `Err`: what went wrong, line by line.
pub(super) fn write(
    folder: &Path,
    devices: &[Generated],
    is_one: bool,
    force: bool,
) -> Result<Vec<PathBuf>, Vec<String>> {
    let mut files = Vec::new();
    for device in devices {
        let own = if is_one {
            folder.to_owned()
        } else {
            folder.join(&device.id)
        };
        files.push((own.join("deployment.json"), device.deployment.as_str()));
        if let Some(config) = &device.config {
            files.push((own.join("config.toml"), config));
        }
        files.push((own.join("README.md"), &device.steps));
    }
    let in_the_way = files
        .iter()
        .filter(|(path, _)| path.symlink_metadata().is_ok());
    let in_the_way: Vec<_> = in_the_way
        .map(|(path, _)| format!("{} is there already; --force replaces it", path.display()))
        .collect();
    if !force && !in_the_way.is_empty() {
        return Err(in_the_way);
    }
    let mut written = Vec::new();
    for (path, text) in files {
        replace(&path, text)
            .map_err(|error| vec![format!("{} cannot be written: {error}", path.display())])?;
        written.push(path);
    }
    Ok(written)
}

/// Passwords and keys may be in it: nobody but the owner reads it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}
