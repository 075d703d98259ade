//! A bucket that fills with a rate and is spent by bytes. Exact: it counts in bytes times nanoseconds, and nothing is rounded away.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// The bucket holds what comes in a second, and never less than this: a piece should pass at once.
const LEAST_BURST: u64 = 64 * 1024;
const NANOSECONDS: u128 = 1_000_000_000;

/// What may be sent at once, and how fast more of it comes.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Bytes per second. None: no limit.
    rate: Option<NonZeroU64>,
    /// Bytes times nanoseconds.
    credit: u128,
    /// When `credit` was true.
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: Option<NonZeroU64>, now: Instant) -> Self {
        let mut bucket = Self {
            rate,
            credit: 0,
            at: now,
        };
        bucket.credit = bucket.capacity();
        bucket
    }

    pub(super) fn is_unlimited(&self) -> bool {
        self.rate.is_none()
    }

    /// The most that passes at once after a time of rest, in bytes.
    pub(super) fn burst(&self) -> u64 {
        self.rate
            .map_or(u64::MAX, |rate| rate.get().max(LEAST_BURST))
    }

    fn capacity(&self) -> u128 {
        match self.rate {
            Some(_) => u128::from(self.burst()) * NANOSECONDS,
            // What was not limited leaves nothing to a limit that begins: the link was in use.
            None => 0,
        }
    }

    /// Adds what has come until `now`.
    pub(super) fn refill(&mut self, now: Instant) {
        let gone = now.saturating_duration_since(self.at);
        if gone.is_zero() {
            return;
        }
        self.at = now;
        let rate = self.rate.map_or(0, NonZeroU64::get);
        let came = u128::from(rate).saturating_mul(gone.as_nanos());
        self.credit = self.credit.saturating_add(came).min(self.capacity());
    }

    /// From `now` on there is another rate.
    pub(super) fn switch(&mut self, rate: Option<NonZeroU64>, now: Instant) {
        self.refill(now);
        self.rate = rate;
        self.credit = self.credit.min(self.capacity());
    }

    /// Takes bytes out, if it holds them.
    pub(super) fn spend(&mut self, bytes: u64) -> bool {
        if self.is_unlimited() {
            return true;
        }
        match self.credit.checked_sub(u128::from(bytes) * NANOSECONDS) {
            Some(rest) => {
                self.credit = rest;
                true
            }
            None => false,
        }
    }

    /// Bytes that were spent and not used.
    pub(super) fn give_back(&mut self, bytes: u64) {
        let more = u128::from(bytes) * NANOSECONDS;
        self.credit = self.credit.saturating_add(more).min(self.capacity());
    }

    /// How long until it holds this many bytes, which must not be more than a burst.
    pub(super) fn wait_for(&self, bytes: u64) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        let missing = (u128::from(bytes) * NANOSECONDS).saturating_sub(self.credit);
        let nanoseconds = missing.div_ceil(u128::from(rate.get()));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}
