//! What is done now and then: rebuild the index, write down last uses, drop what `proxy.ttl` says is no longer wanted and
//! what was begun and not gone on with.

use std::sync::Arc;
use std::time::Duration;

use cistern_storage::{Clock, Storage, StorageError};
use tokio::time::{MissedTickBehavior, interval};
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
        loop {
            tokio::select! {
                _ = flush.tick() => self.flush().await,
                _ = expire.tick() => {
                    self.expire_pushes().await;
                    self.expire().await;
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

    async fn expire(&self) {
        let Some(unused_since) = self.ttl.and_then(|ttl| self.clock.now().checked_sub(ttl)) else {
            return;
        };
        // What cannot be fetched again is not dropped.
        let Some(upstream) = self.repositories.upstream() else {
            return;
        };
        if !upstream.is_reachable().await {
            tracing::info!(
                upstream = upstream.host(),
                "nothing is expired while the upstream is unreachable"
            );
            return;
        }
        let is_mirror = |name: &cistern_oci::RepositoryName| {
            matches!(
                self.repositories.find(name, None, None),
                Ok(Repository::Mirror(_))
            )
        };
        match self.storage.expire(unused_since, &is_mirror).await {
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
            repositories: Repositories::new(None, [], Vec::new()),
            metrics: Arc::default(),
            clock: Arc::new(Stopped(
                cistern_storage::SystemClock.now() + Duration::from_hours(hours),
            )),
            ttl: None,
            stop: CancellationToken::new(),
        };
        at(23).expire_pushes().await;
        assert_eq!(uploads.received(&name, &id).await.unwrap(), Some(0));
        at(25).expire_pushes().await;
        assert_eq!(uploads.received(&name, &id).await.unwrap(), None);
    }
}
