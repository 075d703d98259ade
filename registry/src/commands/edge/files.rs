//! Texts of people's own: read from files or standard input, and put back in their place.

use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::read_file;

/// More than any deployment manifest has: IoT Hub takes far less.
const LONGEST_TEXT: u64 = 1024 * 1024;

/// Where a text is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Standard input.
    StandardInput,
    /// A file.
    File(PathBuf),
}

// === impl Source ===

impl Source {
    /// `-`, or nothing at all, is standard input.
    pub(super) fn all(files: &[PathBuf]) -> Vec<Self> {
        if files.is_empty() {
            return vec![Self::StandardInput];
        }
        let sources = files.iter().map(|file| {
            if file.as_os_str() == "-" {
                Self::StandardInput
            } else {
                Self::File(file.clone())
            }
        });
        sources.collect()
    }

    /// How it is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::StandardInput => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Its text.
    ///
    /// # Errors
    /// What is wrong with it, with its name.
    pub(super) fn read(&self) -> Result<String, String> {
        let bytes = match self {
            Self::StandardInput => read_standard_input(),
            Self::File(path) => read_file(path),
        };
        let bytes = bytes.map_err(|error| format!("{} cannot be read: {error}", self.name()))?;
        if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
            let name = self.name();
            return Err(format!(
                "{name} is in UTF-16, as `>` of an old PowerShell writes it: save it as UTF-8"
            ));
        }
        String::from_utf8(bytes).map_err(|error| {
            let whole = error.utf8_error().valid_up_to();
            let line = error
                .as_bytes()
                .iter()
                .take(whole)
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            format!("{}:{line}: not UTF-8: save it as UTF-8", self.name())
        })
    }
}

fn read_standard_input() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = io::stdin().take(LONGEST_TEXT + 1).read_to_end(&mut bytes)?;
    if read as u64 > LONGEST_TEXT {
        let kind = io::ErrorKind::FileTooLarge;
        return Err(io::Error::new(kind, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// Puts a text in the place of a file's, all at once: whoever reads the file sees the old or the new one. A link stays a link;
/// mode and owner stay.
///
/// # Errors
/// What could not be done; then the file is as it was.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = path.canonicalize()?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.new", std::process::id()));
    let written = write_beside(&path, &beside, text);
    let replaced = written.and_then(|()| rename(&beside, &path, folder));
    if replaced.is_err() {
        remove(&beside);
    }
    replaced
}

fn write_beside(path: &Path, beside: &Path, text: &str) -> io::Result<()> {
    let old = path.metadata()?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(beside)?;
    let new = file.metadata()?;
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.write_all(text.as_bytes())?;
    file.set_permissions(old.permissions())?;
    file.sync_all()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person's own file, not one of the store"
)]
fn rename(beside: &Path, path: &Path, folder: &Path) -> io::Result<()> {
    std::fs::rename(beside, path)?;
    std::fs::File::open(folder)?.sync_all()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person's own folder, not the store"
)]
fn remove(beside: &Path) {
    let _ = std::fs::remove_file(beside);
}
