//! `cistern serve`: load the configuration, build the server, and stay until told to stop.

use std::io;

use rustix::process::{Resource, Rlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Console, Environment, Exit, load_from};
use crate::app::Server;
use crate::config::{Config, FileChoice, Loaded, Proxy};
use crate::http::Stopping;
use crate::logging;

pub(super) fn run(
    file: FileChoice,
    strict: bool,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    let loaded = match Config::load(&load_from(file, strict, environment)) {
        Ok(loaded) => loaded,
        Err(errors) => {
            console.complain(errors);
            console.complain("The server does not start with this configuration.");
            return Exit::Misuse;
        }
    };
    logging::start(&loaded.config.log);
    allow_many_connections();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let served = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let served = runtime.block_on(serve(&loaded));
        // Whatever still waits on a disk or a link waits in vain: what had to be written is.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => Exit::Success,
        Err(error) => {
            console.complain(format!("error: {error}"));
            Exit::Failure
        }
    }
}

/// Raises the soft limit of open files to the hard one: a hundred children and their layers need more than the usual 1024.
fn allow_many_connections() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

async fn serve(loaded: &Loaded) -> anyhow::Result<()> {
    for finding in &loaded.findings {
        let text = finding.to_string();
        tracing::warn!("{}", text.trim_start_matches("warning: "));
    }
    let mut signals = Signals::listen()?;
    let server = Server::start(&loaded.config).await?;
    let upstream = upstreams(&loaded.config.proxy);
    let version = env!("CARGO_PKG_VERSION");
    let store = loaded.config.storage.root_directory.display();
    tracing::info!(version, address = %server.address(), %store, upstream, "serving");
    for route in &loaded.config.proxy.routes {
        let upstream = route.upstream.remote.authority();
        tracing::info!(names = %route.matching, upstream, "mirrored by a route");
    }
    let stopping = server.stopping();
    let mut running = std::pin::pin!(server.run());
    tokio::select! {
        () = &mut running => {}
        () = signals.obey(&stopping) => running.await,
    }
    tracing::info!("stopped");
    Ok(())
}

/// Where what no route takes comes from.
fn upstreams(proxy: &Proxy) -> &str {
    match &proxy.remote {
        Some(remote) => remote.authority(),
        None if proxy.is_cache() => "of the routes alone: every other repository is hosted here",
        None => "none: every repository is hosted here",
    }
}

/// What tells a server to stop: `SIGTERM` (docker, systemd) and `SIGINT` (a terminal).
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The first signal lets bodies finish, the second does not.
    async fn obey(&mut self, stopping: &Stopping) {
        self.next().await;
        tracing::info!("stopping: running bodies may finish; a second signal ends them");
        stopping.gently.cancel();
        self.next().await;
        stopping.at_once.cancel();
    }
}
