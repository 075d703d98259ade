//! The whole server, built from a [`Config`] part by part, and taken down again in the opposite order.
//!
//! This is the only place that knows every part. It owns the clock, the disk, the background tasks and the stop signal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cistern_storage::{Clock, OpenError, Options, RealDisk, Storage, SystemClock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::housekeeping::Housekeeping;
use crate::http::{self, ListenError};
use crate::metrics::Metrics;
use crate::pull::{Pull, PullOptions, TagPolicy};
use crate::repositories::Repositories;
use crate::upstream::{Upstream, UpstreamSetupError};

/// Why the server could not start. The text names the setting to look at.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error("storage.filesystem.rootdirectory: {0}")]
    Store(#[from] OpenError),
    /// The upstream's settings.
    #[error(transparent)]
    Upstream(#[from] UpstreamSetupError),
    /// An address to listen on.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// A server that accepts requests.
pub struct Server {
    parts: Parts,
    listening: http::Listening,
}

/// What the server is made of, below its sockets.
struct Parts {
    storage: Storage,
    pull: Pull,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// How long committed work (a rename, a flush) may take after the last request.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Server {
    /// Builds every part and begins to accept requests. Touches no network but its own sockets: the upstream may be away.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let metrics = Arc::new(Metrics::new());
        let upstream = upstream_of(config)?;
        let storage = Storage::open(store_options(config, Arc::clone(&clock))).await?;
        let repositories = Repositories::new(upstream, &own_names(config));
        let pull = Pull::new(PullOptions {
            storage: storage.clone(),
            tasks: tasks.clone(),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            policy: TagPolicy { check_every: config.proxy.check_every, when_gone: config.proxy.when_gone },
            check_deadline: config.proxy.check_deadline,
        });
        let parts = Parts { storage: storage.clone(), pull: pull.clone(), tasks: tasks.clone(), stop: stop.clone() };
        let listening = http::listen(config, http::Parts { storage: storage.clone(), pull: pull.clone(), repositories: repositories.clone(), metrics, tasks: tasks.clone(), clock: Arc::clone(&clock) }).await?;
        Housekeeping { storage, pull, repositories, clock, ttl: config.proxy.ttl, stop }.start(&tasks);
        Ok(Self { parts, listening })
    }
}
