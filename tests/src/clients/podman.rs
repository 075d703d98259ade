//! podman with storage of its own.

use std::path::Path;

use tempfile::TempDir;

use super::{COMMAND_LIMIT, PULL_LIMIT, state_folder, text};
use crate::need;
use crate::process::{Ran, launch, run};

/// Needs `root` and `podman`.
#[derive(Debug)]
pub struct Podman {
    folder: TempDir,
}

impl Default for Podman {
    fn default() -> Self {
        Self::new()
    }
}

impl Podman {
    /// With empty storage; registries on loopback addresses may speak plain http.
    pub fn new() -> Self {
        Self::with_registries(
            "[[registry]]\nprefix = \"*.example.com\"\nlocation = \"example.com\"\n",
        )
    }

    /// The same with this text in its `registries.conf`.
    pub fn with_registries(registries: &str) -> Self {
        Self {
            folder: storage_folder(registries),
        }
    }

    /// Any `podman …` command.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let folder = self.folder.path();
        let at = |name: &str| text(&folder.join(name));
        let fixed = [
            format!("--root={}", at("root")),
            format!("--runroot={}", at("run")),
            format!("--tmpdir={}", at("tmp")),
            "--storage-driver=vfs".to_owned(),
            "--cgroup-manager=cgroupfs".to_owned(),
        ];
        let words = fixed
            .into_iter()
            .chain(arguments.iter().map(|argument| (*argument).to_owned()));
        let mut launch = launch(need::program("podman"), folder, words);
        launch.environment = environment(folder);
        run(
            &launch,
            if arguments.first() == Some(&"pull") {
                PULL_LIMIT
            } else {
                COMMAND_LIMIT
            },
        )
        .await
    }

    /// `podman pull`, plain http allowed.
    pub async fn pull(&self, image: &str) -> Ran {
        let policy = format!(
            "--signature-policy={}",
            text(&self.folder.path().join("policy.json"))
        );
        self.run(&["pull", "--quiet", "--tls-verify=false", &policy, image])
            .await
    }

    /// `podman push`, plain http allowed, with these `user:password` if any.
    pub async fn push(&self, image: &str, credentials: Option<&str>) -> Ran {
        let credentials = credentials.map(|both| format!("--creds={both}"));
        let words = ["push", "--quiet", "--tls-verify=false"];
        let words: Vec<_> = words
            .into_iter()
            .chain(credentials.as_deref())
            .chain([image])
            .collect();
        self.run(&words).await
    }

    /// Removes every image.
    pub async fn forget_images(&self) {
        self.run(&["rmi", "--all", "--force"]).await.well();
    }
}

/// A folder for podman's or buildah's state: empty storage, no rules about signatures, this `registries.conf`.
pub(super) fn storage_folder(registries: &str) -> TempDir {
    let folder = state_folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("registries.conf", registries);
    write("auth.json", "{}");
    write(
        "policy.json",
        r#"{ "default": [{ "type": "insecureAcceptAnything" }] }"#,
    );
    let at = |name: &str| text(&folder.path().join(name));
    let (root, run) = (at("root"), at("run"));
    let storage =
        format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{root}\"\nrunroot = \"{run}\"\n");
    write("storage.conf", &storage);
    write(
        "containers.conf",
        "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n",
    );
    folder
}

/// What makes podman or buildah keep to that folder.
pub(super) fn environment(folder: &Path) -> Vec<(String, String)> {
    let at = |name: &str| text(&folder.join(name));
    let environment = [
        ("CONTAINERS_REGISTRIES_CONF", at("registries.conf")),
        ("CONTAINERS_STORAGE_CONF", at("storage.conf")),
        ("CONTAINERS_CONF", at("containers.conf")),
        ("REGISTRY_AUTH_FILE", at("auth.json")),
        ("XDG_RUNTIME_DIR", at("")),
    ];
    environment
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
}
