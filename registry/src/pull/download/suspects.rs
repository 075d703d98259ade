//! Sources that sent wrong bytes: the digest may be asked for again at once, after that once in ten minutes (law 8).

use std::time::Duration;

use cistern_oci::{Digest, RepositoryName};
use moka::sync::Cache;
use tokio::time::Instant;

use crate::repositories::Mirror;

/// A digest, and the repository and the host that sent other bytes for it. Whoever can write to one repository there cannot make
/// another one's blobs suspect.
type Suspect = (Digest, RepositoryName, Box<str>);

/// Who sent wrong bytes, and for which digest.
pub(in crate::pull) struct Suspects {
    seen: Cache<Suspect, (u32, Instant)>,
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

    pub(super) fn note(&self, digest: &Digest, source: &Mirror) {
        let key = suspect(digest, source);
        let times = self.seen.get(&key).map_or(0, |(times, _)| times);
        self.seen.insert(key, (times + 1, Instant::now()));
    }

    /// How long this source is not asked for this digest.
    pub(super) fn refused_for(&self, digest: &Digest, source: &Mirror) -> Option<Duration> {
        let (times, at) = self.seen.get(&suspect(digest, source))?;
        let left = Self::PAUSE.checked_sub(at.elapsed())?;
        (times > 1).then_some(left)
    }
}

fn suspect(digest: &Digest, source: &Mirror) -> Suspect {
    (*digest, source.name.clone(), source.upstream.host().into())
}
