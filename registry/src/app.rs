//! The whole server, built from a [`Config`] part by part, and taken down again in the opposite order.
//!
//! This is the only place that knows every part. It owns the clock, the disk, the background tasks and the stop signals.

pub(crate) mod upstreams;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use cistern_auth::incoming::{Htpasswd, HtpasswdError};
use cistern_storage::{Clock, OpenError, Options, Storage, StorageError, SystemClock};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::chain::Pseudonym;
use crate::config::{Config, HtpasswdFile, MetricsAt};
use crate::housekeeping::Housekeeping;
use crate::http::admin::{About, Health, LinkUse, Told};
use crate::http::{
    Access, AccessOptions, Failures, Http, Limits, ListenError, Listening, Places, Settings,
    Stopping,
};
use crate::metrics::Metrics;
use crate::pull::{Downloading, Pull, PullOptions, TagPolicy};
use crate::push::{Push, PushOptions};
use crate::repositories::Repositories;
use crate::upstream::{Budget, Rates, UpstreamSetupError};
use crate::warm::{Warm, WarmOptions, platforms_of};

/// Why the server could not start. The text names the setting to look at.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error("storage.filesystem.rootdirectory: {0}")]
    Store(#[from] OpenError),
    /// The upstream's settings.
    #[error(transparent)]
    Upstream(#[from] UpstreamSetupError),
    /// The settings of a route's upstream.
    #[error("proxy.routes, `{0}`: {1}")]
    Route(String, #[source] UpstreamSetupError),
    /// The file of users.
    #[error("auth.htpasswd.path: {0}")]
    Users(#[from] HtpasswdError),
    /// An address to listen on.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// A server that accepts requests.
pub struct Server {
    storage: Storage,
    tasks: TaskTracker,
    stopping: Stopping,
    listening: Listening,
}

/// How long work that is already being written down may take after the last request.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Server {
    /// Builds every part and begins to accept requests. Touches no network but its own sockets: the upstream may be away.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (tasks, stopping) = (TaskTracker::new(), Stopping::default());
        let metrics = Arc::new(Metrics::new());
        let pseudonym = Pseudonym::random();
        let budget = budget(config, &clock, &tasks, &metrics);
        let shared = upstreams::Shared {
            budget: &budget,
            pseudonym: &pseudonym,
            contacts: None,
        };
        let repositories = upstreams::repositories(config, &shared)?;
        let storage = open_store(config, &clock).await?;
        let pull = Pull::new(PullOptions {
            storage: storage.clone(),
            tasks: tasks.clone(),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            policy: tag_policy(config),
            check_deadline: config.proxy.check_deadline,
            downloading: downloading(config),
            holdback: config.warm.holdback.then(|| platforms_of(&config.warm)),
            stop: stopping.gently.clone(),
        });
        watch_links(&pull, &repositories, &stopping);
        let push = push(config, &storage, &metrics);
        let by = (Arc::clone(&clock), Arc::clone(&metrics));
        let warm = warm(config, (&pull, &repositories), &tasks, &stopping, by).await;
        let http = Http {
            health: health(&storage, &pull, &warm),
            repositories: repositories.clone(),
            pull,
            push,
            metrics: Arc::clone(&metrics),
            access: access(config)?,
            settings: settings(config, pseudonym),
            about: about(config, budget, &clock),
            failures: Failures::default(),
            warm,
        };
        let listening = listen(config, http, &stopping, &tasks).await?;
        let housekeeping = Housekeeping {
            storage: storage.clone(),
            repositories,
            metrics,
            clock,
            ttl: config.proxy.ttl,
            partials: config.storage.partials,
            stop: stopping.gently.clone(),
        };
        housekeeping.start(&tasks);
        Ok(Self {
            storage,
            tasks,
            stopping,
            listening,
        })
    }

    /// The main address, with the port the system chose.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// The two stop signals, to be given from elsewhere.
    pub fn stopping(&self) -> Stopping {
        self.stopping.clone()
    }

    /// Serves until told to stop, then lets running bodies finish, and writes down what must not be lost.
    pub async fn run(self) {
        self.listening.ended().await;
        // Downloads that nobody reads any more end here with the process; what is being committed gets its moment.
        self.stopping.gently.cancel();
        self.tasks.close();
        let _ = timeout(LAST_WORDS, self.tasks.wait()).await;
        if let Err(error) = self.storage.close().await {
            tracing::warn!(%error, "the index could not be written; it is rebuilt from the files when needed");
        }
    }
}

fn push(config: &Config, storage: &Storage, metrics: &Arc<Metrics>) -> Push {
    Push::new(PushOptions {
        storage: storage.clone(),
        metrics: Arc::clone(metrics),
        incomplete: config.hosted.incomplete,
        deletes: config.storage.delete,
    })
}

/// Before housekeeping: from then on nothing that is wanted expires.
async fn warm(
    config: &Config,
    (pull, repositories): (&Pull, &Repositories),
    tasks: &TaskTracker,
    stopping: &Stopping,
    (clock, metrics): (Arc<dyn Clock>, Arc<Metrics>),
) -> Warm {
    Warm::start(WarmOptions {
        pull: pull.clone(),
        repositories: repositories.clone(),
        storage: pull.storage().clone(),
        tasks: tasks.clone(),
        clock,
        metrics,
        stop: stopping.gently.clone(),
        edge: config.edge.clone(),
        warm: config.warm.clone(),
        time_zone: config.proxy.uplink.time_zone.clone(),
    })
    .await
}

async fn listen(
    config: &Config,
    http: Http,
    stopping: &Stopping,
    tasks: &TaskTracker,
) -> Result<Listening, ListenError> {
    let main = config.http.address.to_string();
    let debug = config.http.debug_address.as_ref().map(ToString::to_string);
    let admin = config.storage.root_directory.join("cistern/admin.sock");
    let places = Places {
        main: &main,
        debug: debug.as_deref(),
        admin: (!config.storage.read_only).then_some(admin.as_path()),
    };
    Listening::start(Arc::new(http), places, Limits::default(), stopping, tasks).await
}

async fn open_store(config: &Config, clock: &Arc<dyn Clock>) -> Result<Storage, OpenError> {
    let storage = Storage::open(store_options(config, Arc::clone(clock))).await?;
    let room = storage.blobs().has_room(Some(1)).await;
    if matches!(room, Err(StorageError::Full)) {
        tracing::warn!(
            "the disk is full or below its reserve (storage.cache.reserve): what is stored is served, nothing new is kept, and pushes are refused"
        );
    }
    Ok(storage)
}

fn store_options(config: &Config, clock: Arc<dyn Clock>) -> Options {
    Options {
        read_only: config.storage.read_only,
        reserve: config.storage.reserve,
        clock,
        ..Options::new(&config.storage.root_directory)
    }
}

fn about(config: &Config, budget: Budget, clock: &Arc<dyn Clock>) -> About {
    let store = config.storage.root_directory.display().to_string();
    let link_use = move || {
        let used = budget.now();
        let rate = used.rate;
        LinkUse {
            bytes_per_second: rate.and_then(|rate| rate.rate).map(NonZeroU64::get),
            window: rate
                .and_then(|rate| rate.window)
                .map(|window| window.to_string()),
            interactive_waiting: used.interactive_waiting,
            warm_waiting: used.warm_waiting,
        }
    };
    About::new(store, link_use, Arc::clone(clock))
}

/// One budget for the bodies of all upstreams: what it bounds is the link of this machine.
fn budget(
    config: &Config,
    clock: &Arc<dyn Clock>,
    tasks: &TaskTracker,
    metrics: &Metrics,
) -> Budget {
    let uplink = &config.proxy.uplink;
    let rates = Rates {
        rate: uplink.rate,
        windows: uplink.rate_windows.clone(),
        time_zone: uplink.time_zone.clone(),
    };
    let passed = metrics.link_bytes.clone();
    if rates.are_unlimited() {
        return Budget::counted(passed);
    }
    let clock = Arc::clone(clock);
    Budget::new(move || rates.at(clock.now()), tasks.clone(), passed)
}

fn access(config: &Config) -> Result<Access, HtpasswdError> {
    let users = |file: &HtpasswdFile| Ok((Htpasswd::open(&file.path)?, file.realm.clone()));
    Ok(Access::new(AccessOptions {
        htpasswd: config.auth.as_ref().map(users).transpose()?,
        anonymous_pull: config.http.anonymous_pull,
        write_from: config.hosted.write_from.clone(),
        is_cache: config.proxy.is_cache(),
    }))
}

fn tag_policy(config: &Config) -> TagPolicy {
    TagPolicy {
        check_every: config.proxy.check_every,
        check_every_of_cistern: config.proxy.check_every_of_cistern,
        when_gone: config.proxy.when_gone,
        strict: config.proxy.uplink.strict.clone(),
    }
}

fn downloading(config: &Config) -> Downloading {
    let uplink = &config.proxy.uplink;
    Downloading {
        at_once: uplink.downloads,
        hold: uplink.hold,
        hold_limit: uplink.hold_limit,
        read_ahead: uplink.read_ahead,
    }
}

fn settings(config: &Config, pseudonym: Pseudonym) -> Settings {
    let (metrics_on_main, metrics_on_debug, metrics_path) = match &config.http.metrics {
        MetricsAt::Nowhere => (false, false, "/metrics"),
        MetricsAt::DebugAddress(path) => (false, true, path.as_str()),
        MetricsAt::MainAddress(path) => (true, false, path.as_str()),
    };
    Settings {
        headers: config.http.headers.iter().cloned().collect(),
        trusted_proxies: config.http.trusted_proxies.clone(),
        access_log: config.log.access_log,
        metrics_on_main,
        metrics_on_debug,
        metrics_path: metrics_path.to_owned(),
        drain: config.http.drain_timeout,
        pseudonym,
    }
}

fn watch_links(pull: &Pull, repositories: &Repositories, stopping: &Stopping) {
    for upstream in repositories.upstreams() {
        pull.watch_link(&upstream, stopping.gently.clone());
    }
}

fn health(storage: &Storage, pull: &Pull, warm: &Warm) -> Health {
    let (storage, pull, warm) = (storage.clone(), pull.clone(), warm.clone());
    let look = move || {
        let storage = storage.clone();
        async move { storage.check().await }
    };
    let tell = move || Told {
        links: pull.links().reports(),
        stale_tags: pull.stale_tags(),
        bootstrap: warm.bootstrap(),
    };
    Health::new(look, tell)
}
