//! A server of the demonstration: this same program, started once more as its own process.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// A running registry. Dropped, it is killed.
pub(super) struct Server {
    process: Child,
    pub(super) address: SocketAddr,
}

/// How long a server may take to listen.
const READY: Duration = Duration::from_secs(10);

impl Server {
    /// Starts a registry over the store at `root`, on a free loopback port: a cache of `upstream`, or one that hosts.
    pub(super) async fn start(
        root: &Path,
        log: &Path,
        upstream: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let address = free_address()?;
        let log = tokio::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .await?
            .into_std()
            .await;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("serve")
            .env_clear()
            .env("REGISTRY_HTTP_ADDR", address.to_string())
            .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", root)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        if let Some(upstream) = upstream {
            command.env("REGISTRY_PROXY_REMOTEURL", format!("http://{upstream}"));
            // Every pull of the demonstration asks anew whether the tag has moved, which is what the cut is about.
            command.env("REGISTRY_PROXY_CHECKEVERY", "0s");
        }
        let process = command
            .spawn()
            .context("cannot start a second process of this program")?;
        let mut server = Self { process, address };
        server.wait_until_it_listens().await?;
        Ok(server)
    }

    async fn wait_until_it_listens(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + READY;
        while Instant::now() < end {
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended at once: {status}");
            }
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(10)).await;
        }
        bail!("the server does not listen on {}", self.address)
    }

    /// Stops it as an operator does, and waits until it is gone.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(id) = self
            .process
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
        {
            rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        }
        if timeout(READY, self.process.wait()).await.is_err() {
            self.process.kill().await?;
        }
        Ok(())
    }

    /// Waits for its end, which the operator brings about.
    pub(super) async fn wait(&mut self) -> anyhow::Result<()> {
        self.process.wait().await?;
        Ok(())
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
