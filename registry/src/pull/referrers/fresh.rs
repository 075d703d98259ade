//! Lists in memory, for as long as the upstream need not be asked again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use super::super::{DigestKey, attachments};
use crate::upstream::Referrer;

/// How many bytes of them are kept.
const FRESH_BYTES: u64 = 32 * 1024 * 1024;

/// Lists as long as they are fresh: for this interval, and longer when there is nothing on them.
pub(in crate::pull) fn fresh_lists(interval: Duration) -> Cache<DigestKey, Arc<[Referrer]>> {
    Cache::builder()
        .max_capacity(FRESH_BYTES)
        .weigher(|_, list: &Arc<[Referrer]>| {
            const ENTRY: usize = 256;
            let length: usize = list.iter().map(Referrer::length).sum();
            u32::try_from(length + ENTRY).unwrap_or(u32::MAX)
        })
        .expire_after(WhileFresh(interval))
        .build()
}

struct WhileFresh(Duration);

impl WhileFresh {
    fn life(&self, list: &[Referrer]) -> Duration {
        if list.is_empty() {
            attachments::MISSING
        } else {
            self.0
        }
    }
}

impl Expiry<DigestKey, Arc<[Referrer]>> for WhileFresh {
    fn expire_after_create(
        &self,
        _: &DigestKey,
        list: &Arc<[Referrer]>,
        _: Instant,
    ) -> Option<Duration> {
        Some(self.life(list))
    }

    fn expire_after_update(
        &self,
        _: &DigestKey,
        list: &Arc<[Referrer]>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.life(list))
    }
}
