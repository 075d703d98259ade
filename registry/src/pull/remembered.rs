//! What upstreams refused a moment ago, so that a hundred children asking for the same missing thing cost one question.

use std::hash::Hash;
use std::time::Duration;

use moka::Expiry;
use moka::sync::Cache;
use tokio::time::Instant;

use super::Asked;
use crate::upstream::{Fault, UpstreamError};

/// How many refusals are remembered of one kind; the oldest use goes first.
const CAPACITY: u64 = 10_000;
/// A missing tag or manifest: short, because it may be pushed at any moment.
const MISSING: Duration = Duration::from_secs(10);
/// A failed link or upstream: enough to calm a herd, short enough that a link that is back is used.
const FAILED: Duration = Duration::from_secs(5);

/// Recent refusals by what was asked for.
pub(super) struct Remembered<K> {
    refusals: Cache<K, Refusal>,
}

#[derive(Clone)]
struct Refusal {
    error: UpstreamError,
    at: Instant,
    life: Duration,
}

impl<K: Hash + Eq + Send + Sync + 'static> Remembered<K> {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            refusals: Cache::builder()
                .max_capacity(CAPACITY)
                .expire_after(ByLife)
                .build(),
        }
    }

    /// The refusal that still holds for `key`.
    pub(super) fn get(&self, key: &K) -> Option<Asked> {
        let refusal = self.refusals.get(key)?;
        let ago = refusal.at.elapsed();
        (ago < refusal.life).then_some(Asked {
            error: refusal.error,
            ago,
        })
    }

    /// Remembers a refusal for as long as its kind allows, which may be not at all.
    pub(super) fn note(&self, key: K, error: &UpstreamError) {
        self.note_missing_for(MISSING, key, error);
    }

    /// The same, with another life for what is missing.
    pub(super) fn note_missing_for(&self, missing: Duration, key: K, error: &UpstreamError) {
        if let Some(life) = life(&error.fault, missing) {
            self.refusals.insert(
                key,
                Refusal {
                    error: error.clone(),
                    at: Instant::now(),
                    life,
                },
            );
        }
    }

    /// Like [`Remembered::note`], for blobs: their absence is never remembered (a push may be filling in right now), and neither
    /// are wrong bytes, which may be asked for again at once (law 8).
    pub(super) fn note_failure(&self, key: K, error: &UpstreamError) {
        if !matches!(error.fault, Fault::NotFound(_) | Fault::Invalid(_)) {
            self.note(key, error);
        }
    }
}

/// Refused credentials are never remembered: they may have been mended a second ago, and nothing else will tell us.
fn life(fault: &Fault, missing: Duration) -> Option<Duration> {
    match fault {
        Fault::NotFound(crate::upstream::Said::NotFound) => Some(missing),
        Fault::NotFound(_) | Fault::CredentialsRefused { .. } => None,
        Fault::RateLimited { .. }
        | Fault::Unavailable { .. }
        | Fault::Status(_)
        | Fault::Unreachable { .. }
        | Fault::Invalid(_) => Some(FAILED),
    }
}

struct ByLife;

impl<K> Expiry<K, Refusal> for ByLife {
    fn expire_after_create(
        &self,
        _: &K,
        refusal: &Refusal,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(refusal.life)
    }

    fn expire_after_update(
        &self,
        _: &K,
        refusal: &Refusal,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(refusal.life)
    }
}
