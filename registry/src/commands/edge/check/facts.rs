//! The files a `config.toml` names: what they hold, who owns them, who may read them.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cistern_deploy::check::{Access, FileFacts, files_of};
use cistern_deploy::device_config::DeviceConfig;

/// Below it lies the configuration of a device that is looked at by itself.
const OWN_FOLDER: &str = "/etc/aziot";

/// What is known of every file that `config` names. It was read from `config_file`; its files are below `root` if that is given.
pub(super) fn gather(
    config: &DeviceConfig,
    config_file: &Path,
    root: Option<&Path>,
) -> Vec<FileFacts> {
    let is_on_device = root.is_some() || config_file.starts_with(OWN_FOLDER);
    let users = Users::read(root);
    files_of(config)
        .into_iter()
        .map(|path| one(path, config_file, root, is_on_device, &users))
        .collect()
}

fn one(
    path: String,
    config_file: &Path,
    root: Option<&Path>,
    is_on_device: bool,
    users: &Users,
) -> FileFacts {
    let in_place = match root {
        Some(root) => root.join(path.trim_start_matches('/')),
        None => PathBuf::from(&path),
    };
    let beside = Path::new(&path)
        .file_name()
        .map(|name| config_file.with_file_name(name));
    let beside = beside.filter(|beside| !in_place.exists() && beside.exists());
    let found = beside.as_ref().unwrap_or(&in_place);
    FileFacts {
        contents: std::fs::read_to_string(found).map_err(|error| error.to_string()),
        is_on_device: is_on_device || in_place.exists(),
        // Beside a config.toml that waits for its transport, owners mean nothing.
        access: beside.is_none().then(|| users.access(&in_place)).flatten(),
        folder: beside
            .is_none()
            .then(|| users.access(in_place.parent()?))
            .flatten(),
        path,
    }
}

/// The names of users, as `/etc/passwd` of the device has them.
struct Users(Vec<(u32, String)>);

impl Users {
    fn read(root: Option<&Path>) -> Self {
        let file = root.unwrap_or(Path::new("/")).join("etc/passwd");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let users = text.lines().filter_map(|line| {
            let mut parts = line.split(':');
            let name = parts.next()?;
            Some((parts.nth(1)?.parse().ok()?, name.to_owned()))
        });
        Self(users.collect())
    }

    fn access(&self, path: &Path) -> Option<Access> {
        let metadata = std::fs::metadata(path).ok()?;
        let user = metadata.uid();
        let name = self.0.iter().find(|(number, _)| *number == user);
        Some(Access {
            owner: name.map_or_else(|| user.to_string(), |(_, name)| name.clone()),
            mode: metadata.mode() & 0o7777,
        })
    }
}
