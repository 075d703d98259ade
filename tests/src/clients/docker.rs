//! A private docker daemon: no network of its own, nothing of the machine's.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{COMMAND_LIMIT, PULL_LIMIT, ready, state_folder, text};
use crate::need;
use crate::process::{Process, Ran, launch, run};

/// The daemon and its client. Needs `root`, `dockerd`, `docker`, `containerd`, `runc`.
#[derive(Debug)]
pub struct Docker {
    daemon: Process,
    folder: TempDir,
}

impl Docker {
    /// Starts a daemon with an empty image store.
    ///
    /// # Panics
    /// With its log, when it does not come up.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with this `daemon.json`.
    pub async fn configured(configuration: &str) -> Self {
        Self::launch(configuration, &[]).await
    }

    /// The same with further arguments, for example `--max-concurrent-downloads=1`.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::launch("{}", arguments).await
    }

    async fn launch(configuration: &str, arguments: &[&str]) -> Self {
        let folder = state_folder();
        let at = |name: &str| text(&folder.path().join(name));
        let mut words = vec![
            format!("--host=unix://{}", at("s")),
            format!("--data-root={}", at("root")),
            format!("--exec-root={}", at("exec")),
            format!("--pidfile={}", at("pid")),
            format!("--config-file={}", at("daemon.json")),
            "--storage-driver=vfs".to_owned(),
            "--bridge=none".to_owned(),
            "--iptables=false".to_owned(),
            "--ip6tables=false".to_owned(),
            "--ip-forward=false".to_owned(),
            "--max-download-attempts=1".to_owned(),
        ];
        std::fs::write(folder.path().join("daemon.json"), configuration).unwrap();
        words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let daemon = Process::start(&launch(need::program("dockerd"), folder.path(), words));
        let mut docker = Self { daemon, folder };
        docker.wait_ready().await;
        docker
    }

    async fn wait_ready(&mut self) {
        ready("dockerd", async || {
            if let Some(status) = self.daemon.ended() {
                panic!(
                    "dockerd ended at its start ({status}):\n{}",
                    self.daemon.log()
                );
            }
            self.folder.path().join("s").exists() && self.run(&["version"]).await.success
        })
        .await;
    }

    /// Where the daemon is asked, as `DOCKER_HOST` has it.
    pub fn socket(&self) -> String {
        format!("unix://{}", text(&self.folder.path().join("s")))
    }

    fn program() -> PathBuf {
        need::program("docker")
    }

    /// Any `docker …` command.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let folder = self.folder.path();
        let mut words = vec![
            "--config".to_owned(),
            text(&folder.join("config")),
            "--host".to_owned(),
            self.socket(),
        ];
        words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let limit = match arguments.first() {
            Some(&("pull" | "push")) => PULL_LIMIT,
            _ => COMMAND_LIMIT,
        };
        run(&launch(Self::program(), folder, words), limit).await
    }

    /// `docker pull`.
    pub async fn pull(&self, image: &str) -> Ran {
        self.run(&["pull", image]).await
    }

    /// `docker tag` and `docker push` of an image that is here, under this name.
    pub async fn push(&self, image: &str, as_name: &str) -> Ran {
        self.run(&["tag", image, as_name]).await.well();
        self.run(&["push", as_name]).await
    }

    /// `docker run` of the image's own command, without any network.
    pub async fn run_image(&self, image: &str) -> Ran {
        self.run(&["run", "--rm", "--network=none", image]).await
    }

    /// `docker login`.
    pub async fn login(&self, registry: &str, user: &str, password: &str) -> Ran {
        self.run(&[
            "login",
            "--username",
            user,
            "--password",
            password,
            registry,
        ])
        .await
    }

    /// Removes every image, so that the next pull asks for every byte again.
    pub async fn forget_images(&self) {
        let listed = self
            .run(&["images", "--all", "--quiet", "--no-trunc"])
            .await
            .well();
        let mut images: Vec<_> = listed.lines().collect();
        images.sort_unstable();
        images.dedup();
        if !images.is_empty() {
            let words: Vec<_> = ["rmi", "--force"].into_iter().chain(images).collect();
            self.run(&words).await.well();
        }
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}
