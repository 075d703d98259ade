//! Sources that sent wrong bytes: the digest may be asked for again at once, after that once in ten minutes (law 8).

use std::time::Duration;

use cistern_oci::Digest;
use moka::sync::Cache;
use tokio::time::Instant;

/// Who sent wrong bytes, and for which digest.
pub(in crate::pull) struct Suspects {
    seen: Cache<(Digest, Box<str>), (u32, Instant)>,
}

impl Suspects {
    const PAUSE: Duration = Duration::from_mins(10);

    /// Nobody yet.
    pub(in crate::pull) fn new() -> Self {
        Self {
            seen: Cache::builder()
                .max_capacity(1_000)
                .time_to_live(Self::PAUSE)
                .build(),
        }
    }

    pub(super) fn note(&self, digest: &Digest, source: &str) {
        let key = (*digest, source.into());
        let times = self.seen.get(&key).map_or(0, |(times, _)| times);
        self.seen.insert(key, (times + 1, Instant::now()));
    }

    /// How long this source is not asked for this digest.
    pub(super) fn refused_for(&self, digest: &Digest, source: &str) -> Option<Duration> {
        let (times, at) = self.seen.get(&(*digest, source.into()))?;
        let left = Self::PAUSE.checked_sub(at.elapsed())?;
        (times > 1).then_some(left)
    }
}
