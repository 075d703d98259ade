//! `cistern serve`: load the configuration, build the server, and stay until told to stop.

use std::io;

use cistern_storage::OpenError;
use rustix::process::{Resource, Rlimit, getegid, geteuid};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::privileges::{self, Privileges};
use super::{Console, Environment, Exit, load_from};
use crate::app::{Server, StartError};
use crate::config::{Config, FileChoice, Loaded, Proxy};
use crate::http::Stopping;
use crate::logging;

pub(super) fn run(
    file: FileChoice,
    strict: bool,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    let privileges = match privileges::give_up(environment) {
        Ok(privileges) => privileges,
        Err(error) => {
            console.complain(format!("error: {error}"));
            return Exit::Misuse;
        }
    };
    let loaded = match Config::load(&load_from(file, strict, environment)) {
        Ok(loaded) => loaded,
        Err(errors) => {
            console.complain(errors);
            console.complain("The server does not start with this configuration.");
            return Exit::Misuse;
        }
    };
    logging::start(&loaded.config.log);
    tell(&privileges);
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
            if let Some(advice) = ownership(&error, &loaded.config) {
                console.complain(advice);
            }
            Exit::Failure
        }
    }
}

/// What to do about a store that this user may not write to.
fn ownership(error: &anyhow::Error, config: &Config) -> Option<String> {
    let Some(StartError::Store(OpenError::Io { source, .. })) = error.downcast_ref() else {
        return None;
    };
    if source.kind() != io::ErrorKind::PermissionDenied {
        return None;
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let store = config.storage.root_directory.display();
    Some(format!(
        "User {user}, group {group}, may not write there. Give it the store, in a container the folder or volume that is mounted there:\n\
         \n  chown -R {user}:{group} {store}\n\n\
         or run as the store's owner. The container image can be left to start as root: it gives up everything but writing to it."
    ))
}

fn tell(privileges: &Privileges) {
    match privileges {
        Privileges::AsStarted => {}
        Privileges::GivenUp(user, group) => {
            let (user, group) = (user.as_raw(), group.as_raw());
            tracing::info!(
                user,
                group,
                "started as root: going on as this user, who may read and write the volume whoever owns it, and nothing else of root's"
            );
        }
        Privileges::AreFew => tracing::info!(
            "going on as root, since this container's root may not become another user who can still write to the volume"
        ),
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
