//! skopeo, copying images into folders and from there.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{COMMAND_LIMIT, PULL_LIMIT, state_folder, text};
use crate::need;
use crate::process::{Ran, launch, run};

/// Needs `skopeo`.
#[derive(Debug)]
pub struct Skopeo {
    folder: TempDir,
}

impl Default for Skopeo {
    fn default() -> Self {
        Self::new()
    }
}

impl Skopeo {
    /// With empty state.
    pub fn new() -> Self {
        let folder = state_folder();
        let policy = r#"{ "default": [{ "type": "insecureAcceptAnything" }] }"#;
        std::fs::write(folder.path().join("policy.json"), policy).unwrap();
        std::fs::write(folder.path().join("registries.conf"), "").unwrap();
        Self { folder }
    }

    /// Any `skopeo …` command.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let folder = self.folder.path();
        let at = |name: &str| text(&folder.join(name));
        let fixed = [
            format!("--policy={}", at("policy.json")),
            format!("--tmpdir={}", at("")),
        ];
        let words = fixed
            .into_iter()
            .chain(arguments.iter().map(|argument| (*argument).to_owned()));
        let mut launch = launch(need::program("skopeo"), folder, words);
        launch.environment = vec![
            (
                "CONTAINERS_REGISTRIES_CONF".to_owned(),
                at("registries.conf"),
            ),
            ("XDG_RUNTIME_DIR".to_owned(), at("")),
        ];
        run(
            &launch,
            if arguments.first() == Some(&"copy") {
                PULL_LIMIT
            } else {
                COMMAND_LIMIT
            },
        )
        .await
    }

    /// `skopeo copy` of an image, all its platforms, bytes as they are, into a folder of this name.
    pub async fn copy(&self, image: &str, into: &str) -> Ran {
        self.copy_as(image, into, None).await
    }

    /// The same with these `user:password`.
    pub async fn copy_as(&self, image: &str, into: &str, credentials: Option<&str>) -> Ran {
        let (source, target) = (
            format!("docker://{image}"),
            format!("dir:{}", text(&self.copied(into))),
        );
        self.copy_all("src", [&source, &target], credentials).await
    }

    /// `skopeo copy` of such a folder, all its platforms, bytes as they are, into a registry, with these `user:password` if any.
    pub async fn push(&self, from: &str, image: &str, credentials: Option<&str>) -> Ran {
        let (source, target) = (
            format!("dir:{}", text(&self.copied(from))),
            format!("docker://{image}"),
        );
        self.copy_all("dest", [&source, &target], credentials).await
    }

    /// Copies all platforms, bytes as they are; the registry, to be talked to in the clear, is the `src` or the `dest`.
    async fn copy_all(&self, registry: &str, both: [&str; 2], credentials: Option<&str>) -> Ran {
        let in_the_clear = format!("--{registry}-tls-verify=false");
        let credentials = credentials.map(|pair| format!("--{registry}-creds={pair}"));
        let words: Vec<&str> = ["copy", &in_the_clear, "--all", "--preserve-digests"]
            .into_iter()
            .chain(credentials.as_deref())
            .chain(both)
            .collect();
        self.run(&words).await
    }

    /// Where a copy of this name is.
    pub fn copied(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The exact bytes of the copied top manifest.
    ///
    /// # Panics
    /// When there is no such copy.
    pub fn manifest(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.copied(name).join("manifest.json")).unwrap()
    }

    /// The bytes of a copied blob.
    pub fn blob(&self, name: &str, digest: &str) -> Option<Vec<u8>> {
        let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
        std::fs::read(self.copied(name).join(Path::new(hex))).ok()
    }
}
