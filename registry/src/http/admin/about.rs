//! What a running server can tell of itself and of its link.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cistern_storage::Clock;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::upstream::Budget;

/// A server, as it shows itself.
pub struct About {
    pub(super) store: PathBuf,
    pub(super) budget: Budget,
    clock: Arc<dyn Clock>,
    started: Instant,
}

impl About {
    /// A server that starts now: the folder of its store, and the budget of its link.
    pub fn new(store: PathBuf, budget: Budget, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            budget,
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

    /// Metrics that nobody keeps up to date while nobody looks.
    pub(super) fn show(&self, metrics: &Metrics) {
        let used = self.budget.now();
        let rate = used.rate.and_then(|rate| rate.rate);
        let rate = rate.map_or(0, NonZeroU64::get);
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
