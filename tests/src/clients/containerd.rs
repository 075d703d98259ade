//! A private containerd with `ctr`, pulling through a mirror that a `hosts.toml` names.

use tempfile::TempDir;

use super::{COMMAND_LIMIT, PULL_LIMIT, ready, state_folder, text};
use crate::need;
use crate::process::{Process, Ran, launch, run};

/// The daemon and its client. Needs `root`, `containerd`, `ctr`.
#[derive(Debug)]
pub struct Containerd {
    daemon: Process,
    folder: TempDir,
}

impl Containerd {
    /// Starts a daemon with empty stores.
    ///
    /// # Panics
    /// With its log, when it does not come up.
    pub async fn start() -> Self {
        let folder = state_folder();
        let at = |name: &str| text(&folder.path().join(name));
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{}\"\n[ttrpc]\naddress = \"{}\"\n",
            at("root"),
            at("state"),
            at("s"),
            at("t"),
        );
        std::fs::write(folder.path().join("config.toml"), config).unwrap();
        let words = ["--config".to_owned(), at("config.toml")];
        let daemon = Process::start(&launch(need::program("containerd"), folder.path(), words));
        let mut containerd = Self { daemon, folder };
        containerd.wait_ready().await;
        containerd
    }

    async fn wait_ready(&mut self) {
        ready("containerd", async || {
            if let Some(status) = self.daemon.ended() {
                panic!(
                    "containerd ended at its start ({status}):\n{}",
                    self.daemon.log()
                );
            }
            self.folder.path().join("s").exists() && self.run(&["version"]).await.success
        })
        .await;
    }

    /// Any `ctr …` command.
    pub async fn run(&self, arguments: &[&str]) -> Ran {
        let folder = self.folder.path();
        let mut words = vec!["--address".to_owned(), text(&folder.join("s"))];
        words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let limit = if arguments.contains(&"pull") {
            PULL_LIMIT
        } else {
            COMMAND_LIMIT
        };
        run(&launch(need::program("ctr"), folder, words), limit).await
    }

    /// Lets images of `host` be pulled through the registry at `url` and from nowhere else.
    pub fn set_mirror(&self, host: &str, url: &str) {
        let folder = self.folder.path().join("hosts").join(host);
        std::fs::create_dir_all(&folder).unwrap();
        let words = [
            ("https://mcr.microsoft.com", url),
            ("http://HOST:5000", url),
        ];
        let text = crate::asset("clients/hosts.toml", &words);
        std::fs::write(folder.join("hosts.toml"), text).unwrap();
    }

    /// `ctr images pull` by the mirrors that were set.
    pub async fn pull(&self, image: &str) -> Ran {
        self.pull_with(&[], image).await
    }

    /// The same for every platform, or with other arguments before the name.
    pub async fn pull_with(&self, arguments: &[&str], image: &str) -> Ran {
        let hosts = text(&self.folder.path().join("hosts"));
        let mut words = vec![
            "images",
            "pull",
            "--snapshotter",
            "native",
            "--hosts-dir",
            &hosts,
        ];
        words.extend_from_slice(arguments);
        words.push(image);
        self.run(&words).await
    }

    /// Removes every image and everything that only they used.
    pub async fn forget_images(&self) {
        let listed = self.run(&["images", "ls", "-q"]).await.well();
        for image in listed.lines() {
            self.run(&["images", "rm", "--sync", image]).await.well();
        }
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}
