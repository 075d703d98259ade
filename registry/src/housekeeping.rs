//! What is done now and then: rebuild the index, write down last uses, drop what `proxy.ttl` says is no longer wanted and
//! what was begun and not gone on with.

use std::sync::Arc;
use std::time::Duration;

use cistern_storage::{Clock, PartialBounds, Reserve, Storage, StorageError};
use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::Metrics;
use crate::repositories::{Repositories, Repository};

/// How often last uses and the index are written.
const FLUSH_EVERY: Duration = Duration::from_secs(60);
/// How often unused things are looked for; less often than that for a `ttl` of days would gain nothing.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);

/// How long a push may rest before it is taken for given up: a client that goes on after a day begins anew.
const PUSHES_REST: Duration = Duration::from_hours(24);

/// How many unfinished downloads are kept to go on with ...
const MOST_PARTIALS: usize = 1_000;
/// ... and how long one that nobody goes on with, while its upstream could be asked.
const PARTIALS_REST: Duration = Duration::from_hours(7 * 24);

/// The upstreams, and whether each of them answered.
struct Reachable(Vec<(String, bool)>);

impl Reachable {
    fn includes(&self, upstream: &str) -> bool {
        self.0
            .iter()
            .any(|(name, is_reachable)| name == upstream && *is_reachable)
    }

    /// An unfinished download does not say whose it is, so its age counts only while all could be asked.
    fn are_all(&self) -> bool {
        self.away().next().is_none()
    }

    fn away(&self) -> impl Iterator<Item = &str> {
        let away = self.0.iter().filter(|(_, is_reachable)| !is_reachable);
        away.map(|(name, _)| name.as_str())
    }
}

/// How long it was tried to go on with what is unfinished: only then does its age count. A restart begins to count anew, so
/// that nothing is dropped that a dead link kept from being finished.
#[derive(Default)]
struct Tried {
    reachable: Duration,
    away: Duration,
    looked: Option<Instant>,
}

impl Tried {
    /// The upstreams were looked for, and were all there or not; or nobody looked.
    fn note(&mut self, is_reachable: Option<bool>) {
        let now = Instant::now();
        let before = self.looked.replace(now);
        let since = before.map_or(Duration::ZERO, |before| now - before);
        if is_reachable == Some(true) {
            self.reachable += since;
        } else {
            self.away += since;
        }
    }

    /// How old something may be that was not used, if its age counts at all.
    fn most(&self, age: Duration) -> Option<Duration> {
        (self.reachable >= age).then(|| age + self.away)
    }
}

/// The background work of one server.
pub struct Housekeeping {
    /// The store that is kept in order.
    pub storage: Storage,
    /// Knows what is a mirror and what lives here.
    pub repositories: Repositories,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// `proxy.ttl`: what was not used for that long is dropped; `None` keeps everything.
    pub ttl: Option<Duration>,
    /// `storage.cache.partials`: what unfinished downloads may take on disk.
    pub partials: Reserve,
    /// Ends all of it.
    pub stop: CancellationToken,
}

impl Housekeeping {
    /// Starts the work on `tasks`.
    pub fn start(self, tasks: &TaskTracker) {
        let (storage, stop) = (self.storage.clone(), self.stop.clone());
        tasks.spawn(async move { storage.rebuild_index(stop).await });
        tasks.spawn(async move {
            let stop = self.stop.clone();
            stop.run_until_cancelled(self.run()).await;
        });
    }

    async fn run(self) {
        let mut flush = interval(FLUSH_EVERY);
        let mut expire = interval(
            self.ttl
                .map_or(EXPIRE_EVERY, |ttl| ttl.min(EXPIRE_EVERY))
                .max(Duration::from_secs(1)),
        );
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        expire.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut tried, mut are_some_left) = (Tried::default(), false);
        loop {
            tokio::select! {
                _ = flush.tick() => self.flush().await,
                _ = expire.tick() => {
                    self.expire_pushes().await;
                    let reachable = self.look(are_some_left).await;
                    tried.note(reachable.as_ref().map(Reachable::are_all));
                    are_some_left = self.expire_partials(&tried).await;
                    if let Some(reachable) = reachable {
                        self.expire(&reachable).await;
                    }
                }
            }
        }
    }

    async fn flush(&self) {
        if let Err(error) = self.storage.flush().await {
            tracing::warn!(%error, "last uses could not be written");
        }
    }

    async fn expire_pushes(&self) {
        let Some(idle_since) = self.clock.now().checked_sub(PUSHES_REST) else {
            return;
        };
        match self.storage.uploads().expire(idle_since).await {
            Ok(0) | Err(StorageError::ReadOnly) => {}
            Ok(pushes) => tracing::info!(pushes, "given up for a day: dropped"),
            Err(error) => tracing::warn!(%error, "pushes that were given up could not be dropped"),
        }
    }

    /// Which upstreams answer. Asks only when somebody wants to know.
    async fn look(&self, are_partials_left: bool) -> Option<Reachable> {
        let upstreams = self.repositories.upstreams();
        if upstreams.is_empty() || (self.ttl.is_none() && !are_partials_left) {
            return None;
        }
        let asked = upstreams.iter().map(|upstream| async move {
            let is_reachable = upstream.is_reachable().await;
            (upstream.host().to_owned(), is_reachable)
        });
        Some(Reachable(join_all(asked).await))
    }

    /// Whether some are left.
    async fn expire_partials(&self, tried: &Tried) -> bool {
        let oldest = tried.most(PARTIALS_REST);
        let bounds = PartialBounds {
            most: MOST_PARTIALS,
            bytes: self.partials,
            unused_since: oldest.and_then(|oldest| self.clock.now().checked_sub(oldest)),
        };
        match self.storage.blobs().expire_partials(bounds).await {
            Ok(dropped) => {
                if dropped.partials > 0 {
                    let (partials, bytes) = (dropped.partials, dropped.bytes);
                    tracing::info!(
                        partials,
                        bytes,
                        "unfinished downloads that nobody went on with, or too many of them: dropped"
                    );
                }
                dropped.left > 0
            }
            Err(StorageError::ReadOnly) => false,
            Err(error) => {
                tracing::warn!(%error, "unfinished downloads could not be dropped");
                false
            }
        }
    }

    /// Drops what was not used, of the upstreams that answer: what cannot be fetched again is not dropped.
    async fn expire(&self, reachable: &Reachable) {
        let Some(unused_since) = self.ttl.and_then(|ttl| self.clock.now().checked_sub(ttl)) else {
            return;
        };
        for upstream in reachable.away() {
            tracing::info!(
                upstream,
                "nothing is expired while the upstream is unreachable"
            );
        }
        let may_go = |name: &cistern_oci::RepositoryName| {
            matches!(
                self.repositories.find(name, None, None),
                Ok(Repository::Mirror(mirror)) if reachable.includes(mirror.upstream.host())
            )
        };
        match self.storage.expire(unused_since, &may_go).await {
            Ok(expired) if expired.blobs + expired.manifests > 0 => {
                self.metrics.evicted_bytes.inc_by(expired.bytes);
                let (tags, manifests, blobs, bytes) = (
                    expired.tags,
                    expired.manifests,
                    expired.blobs,
                    expired.bytes,
                );
                tracing::info!(
                    tags,
                    manifests,
                    blobs,
                    bytes,
                    "unused for longer than proxy.ttl: dropped"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "expiring stopped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use cistern_oci::Algorithm;
    use cistern_storage::Options;

    use super::*;
    use crate::repositories::RepositoriesOptions;

    /// A clock that stands still.
    struct Stopped(SystemTime);

    impl Clock for Stopped {
        fn now(&self) -> SystemTime {
            self.0
        }
    }

    #[tokio::test]
    async fn a_push_may_rest_for_a_day_and_no_longer() {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::open(Options::new(root.path())).await.unwrap();
        let name = "local/app".parse().unwrap();
        let uploads = storage.uploads();
        let id = uploads.begin(&name, Algorithm::Sha256).await.unwrap();
        let at = |hours| Housekeeping {
            storage: storage.clone(),
            repositories: Repositories::new(RepositoriesOptions::default()),
            metrics: Arc::default(),
            clock: Arc::new(Stopped(
                cistern_storage::SystemClock.now() + Duration::from_hours(hours),
            )),
            ttl: None,
            partials: Reserve::Default,
            stop: CancellationToken::new(),
        };
        at(23).expire_pushes().await;
        assert_eq!(uploads.received(&name, &id).await.unwrap(), Some(0));
        at(25).expire_pushes().await;
        assert_eq!(uploads.received(&name, &id).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unfinished_download_grows_old_only_while_the_upstream_can_be_asked() {
        let (hour, mut tried) = (Duration::from_hours(1), Tried::default());
        let mut go_on = async |hours: u32, is_reachable| {
            for _ in 0..hours {
                tokio::time::advance(hour).await;
                tried.note(Some(is_reachable));
            }
            tried.most(PARTIALS_REST)
        };
        assert_eq!(
            go_on(1, true).await,
            None,
            "the first look tells of no time before"
        );
        assert_eq!(go_on(100, false).await, None);
        assert_eq!(go_on(7 * 24 - 1, true).await, None);
        let oldest = Some(PARTIALS_REST + 100 * hour);
        assert_eq!(go_on(1, true).await, oldest);
        assert_eq!(go_on(1000, true).await, oldest);
    }

    #[tokio::test]
    async fn too_many_unfinished_downloads_are_dropped_and_old_ones_once_that_counts() {
        let root = tempfile::tempdir().unwrap();
        let storage = Storage::open(Options::new(root.path())).await.unwrap();
        let bytes = vec![7; 100_000];
        let digest = cistern_oci::Digest::of(Algorithm::Sha256, &bytes);
        let leave = async || {
            let (growing, _) = cistern_storage::growing(());
            let started = storage.blobs().start(digest, None, growing).await;
            let mut writer = started.unwrap();
            writer.append(bytes.clone().into()).await.unwrap();
            writer.suspend(()).await;
        };
        let is_kept = async |partials, days: u64, tried| {
            leave().await;
            let later = cistern_storage::SystemClock.now() + Duration::from_hours(24 * days);
            let housekeeping = Housekeeping {
                storage: storage.clone(),
                repositories: Repositories::new(RepositoriesOptions::default()),
                metrics: Arc::default(),
                clock: Arc::new(Stopped(later)),
                ttl: None,
                partials,
                stop: CancellationToken::new(),
            };
            let are_some_left = housekeeping.expire_partials(&tried).await;
            let partial = storage.blobs().partial(&digest).await.unwrap();
            assert_eq!(partial.is_some(), are_some_left);
            are_some_left
        };
        let for_days = |days: u64| Tried {
            reachable: Duration::from_hours(24 * days),
            ..Tried::default()
        };
        let much = Reserve::Bytes(1_000_000);
        assert!(is_kept(much, 100, for_days(6)).await);
        assert!(is_kept(much, 6, for_days(100)).await);
        assert!(!is_kept(much, 8, for_days(100)).await);
        assert!(!is_kept(Reserve::Bytes(99_999), 0, Tried::default()).await);
    }
}
