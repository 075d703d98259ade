//! What a running server can tell of itself and of its link.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cistern_storage::Clock;
use jiff::Timestamp;
use tokio::time::Instant;

use super::LinkUse;
use crate::metrics::Metrics;

/// A server, as it shows itself.
pub struct About {
    /// Where its store is, for people.
    pub(super) store: String,
    link_use: Box<dyn Fn() -> LinkUse + Send + Sync>,
    clock: Arc<dyn Clock>,
    started: Instant,
}

impl About {
    /// A server that starts now. `link_use` tells how fast its links may be used, and must not wait for anything.
    pub fn new(
        store: String,
        link_use: impl Fn() -> LinkUse + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            link_use: Box::new(link_use),
            clock,
            started: Instant::now(),
        }
    }

    /// How long it has run.
    pub(super) fn up(&self) -> Duration {
        self.started.elapsed()
    }

    /// The time by the wall clock.
    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// A moment so long ago, as text.
    pub(super) fn before(&self, ago: Duration) -> String {
        let now = self.now();
        written(now.checked_sub(ago).unwrap_or(now))
    }

    /// How long ago a moment was; nothing if it is not over.
    pub(super) fn since(&self, moment: SystemTime) -> Duration {
        self.now().duration_since(moment).unwrap_or_default()
    }

    /// How fast its links may be used now.
    pub(super) fn link_use(&self) -> LinkUse {
        (self.link_use)()
    }

    /// Metrics that nobody keeps up to date while nobody looks.
    pub(super) fn show(&self, metrics: &Metrics) {
        let used = self.link_use();
        let rate = used.bytes_per_second.unwrap_or_default();
        metrics
            .link_rate_limit
            .set(i64::try_from(rate).unwrap_or(i64::MAX));
        let waiting = used.interactive_waiting + used.warm_waiting;
        metrics
            .link_waiting
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}

/// A moment as RFC 3339 has it, in UTC, to the second.
pub(super) fn written(moment: SystemTime) -> String {
    match Timestamp::try_from(moment) {
        Ok(moment) => moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => "a time beyond all calendars".to_owned(),
    }
}
