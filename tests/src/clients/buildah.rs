//! buildah with storage of its own: builds images of files, and pushes them.

use tempfile::TempDir;

use super::podman::{environment, storage_folder};
use super::{COMMAND_LIMIT, text};
use crate::need;
use crate::process::{Ran, launch, run};

/// Needs `root` and `buildah`.
#[derive(Debug)]
pub struct Buildah {
    folder: TempDir,
}

impl Default for Buildah {
    fn default() -> Self {
        Self::new()
    }
}

impl Buildah {
    /// With empty storage.
    pub fn new() -> Self {
        Self {
            folder: storage_folder(""),
        }
    }

    /// Any `buildah …` command.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let folder = self.folder.path();
        let at = |name: &str| text(&folder.join(name));
        let fixed = [
            format!("--root={}", at("root")),
            format!("--runroot={}", at("run")),
            "--storage-driver=vfs".to_owned(),
        ];
        let words = fixed
            .into_iter()
            .chain(arguments.iter().map(|argument| (*argument).to_owned()));
        let mut launch = launch(need::program("buildah"), folder, words);
        launch.environment = environment(folder);
        run(&launch, COMMAND_LIMIT).await
    }

    /// Builds an image of one file with this text, and calls it `name`.
    ///
    /// # Panics
    /// When a step of it fails.
    pub async fn build(&self, name: &str, file_text: &str) {
        let file = self.folder.path().join("file");
        std::fs::write(&file, file_text).unwrap();
        let container = self.run(&["from", "scratch"]).await.well();
        let container = container.trim();
        self.run(&["copy", container, &text(&file), "/file"])
            .await
            .well();
        self.run(&["commit", "--quiet", container, name])
            .await
            .well();
    }

    /// `buildah push`, plain http allowed, with these `user:password` if any.
    pub async fn push(&self, name: &str, to: &str, credentials: Option<&str>) -> Ran {
        let policy = format!(
            "--signature-policy={}",
            text(&self.folder.path().join("policy.json"))
        );
        let credentials = credentials.map(|both| format!("--creds={both}"));
        let to = format!("docker://{to}");
        let words = ["push", "--quiet", "--tls-verify=false", &policy];
        let words: Vec<_> = words
            .into_iter()
            .chain(credentials.as_deref())
            .chain([name, &to])
            .collect();
        self.run(&words).await
    }
}
