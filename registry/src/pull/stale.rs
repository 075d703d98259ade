//! The ledger of what is served unconfirmed: a roll-out that does not arrive because the link is down must be visible, and not
//! only as a device that keeps its old version.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cistern_oci::{Digest, RepositoryName, Tag};
use cistern_storage::Clock;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::TagKey;

/// More are served as well, and not written here: callers choose what they ask for.
const CAPACITY: usize = 10_000;
/// What nobody asked for in this time freezes nobody's roll-out.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);

/// A tag that was served although its upstream could not confirm it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleTag {
    /// Its repository, as it is named in the store.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// What was served for it.
    pub digest: Digest,
    /// When it was first served so, by the wall clock of now.
    pub since: SystemTime,
    /// Why it could not be confirmed, the last time.
    pub why: String,
    /// When it was asked for last, by the wall clock of now.
    pub last_asked: SystemTime,
}

/// The ledger.
pub(super) struct StaleTags {
    entries: Mutex<HashMap<TagKey, Entry>>,
    clock: Arc<dyn Clock>,
    count: Gauge,
}

struct Entry {
    digest: Digest,
    since: Instant,
    why: String,
    last_asked: Instant,
}

// === impl StaleTags ===

impl StaleTags {
    /// Nothing yet. `count` follows how many there are.
    pub(super) fn new(clock: Arc<dyn Clock>, count: Gauge) -> Self {
        Self {
            entries: Mutex::default(),
            clock,
            count,
        }
    }

    /// The tag is served as this digest, unconfirmed. The first time is told in the log.
    pub(super) fn note(&self, key: &TagKey, digest: Digest, why: &str) {
        let now = Instant::now();
        let is_first = {
            let mut entries = self.entries.lock();
            match entries.get_mut(key) {
                Some(entry) => {
                    entry.digest = digest;
                    entry.last_asked = now;
                    if entry.why != why {
                        why.clone_into(&mut entry.why);
                    }
                    false
                }
                None => self.enter(&mut entries, key, digest, why, now),
            }
        };
        if is_first {
            tracing::warn!(repository = %key.0, tag = %key.1, %digest, why, "tag is served unconfirmed from now on");
        }
    }

    fn enter(
        &self,
        entries: &mut HashMap<TagKey, Entry>,
        key: &TagKey,
        digest: Digest,
        why: &str,
        now: Instant,
    ) -> bool {
        if entries.len() >= CAPACITY {
            forget_the_forgotten(entries);
        }
        let has_room = entries.len() < CAPACITY;
        if has_room {
            let entry = Entry {
                digest,
                since: now,
                why: why.to_owned(),
                last_asked: now,
            };
            entries.insert(key.clone(), entry);
        }
        self.recount(entries);
        has_room
    }

    /// The tag was confirmed, or is no more. Whether it had been served unconfirmed.
    pub(super) fn settle(&self, key: &TagKey) -> bool {
        let mut entries = self.entries.lock();
        let was_stale = entries.remove(key).is_some();
        self.recount(&entries);
        was_stale
    }

    /// Whether the tag was served unconfirmed and has not been confirmed since.
    pub(super) fn has(&self, key: &TagKey) -> bool {
        self.entries.lock().contains_key(key)
    }

    /// All of them, the longest first.
    pub(super) fn all(&self) -> Vec<StaleTag> {
        let mut entries = self.entries.lock();
        forget_the_forgotten(&mut entries);
        self.recount(&entries);
        let now = self.clock.now();
        let at = |at: Instant| now.checked_sub(at.elapsed()).unwrap_or(now);
        let mut all: Vec<_> = entries
            .iter()
            .map(|(key, entry)| StaleTag {
                repository: key.0.clone(),
                tag: key.1.clone(),
                digest: entry.digest,
                since: at(entry.since),
                why: entry.why.clone(),
                last_asked: at(entry.last_asked),
            })
            .collect();
        drop(entries);
        all.sort_by(|one, other| {
            let key = |tag: &StaleTag| (tag.since, tag.repository.clone(), tag.tag.clone());
            key(one).cmp(&key(other))
        });
        all
    }

    fn recount(&self, entries: &HashMap<TagKey, Entry>) {
        self.count
            .set(i64::try_from(entries.len()).unwrap_or(i64::MAX));
    }
}

fn forget_the_forgotten(entries: &mut HashMap<TagKey, Entry>) {
    entries.retain(|_, entry| entry.last_asked.elapsed() < FORGOTTEN_AFTER);
}

#[cfg(test)]
mod tests {
    use cistern_oci::Algorithm;
    use cistern_storage::SystemClock;

    use super::*;

    fn ledger() -> StaleTags {
        StaleTags::new(Arc::new(SystemClock), Gauge::default())
    }

    fn key(tag: &str) -> TagKey {
        ("plant/app".parse().unwrap(), tag.parse().unwrap())
    }

    fn digest(text: &str) -> Digest {
        Digest::of(Algorithm::Sha256, text.as_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_tag_is_told_with_the_first_time_and_the_last_reason() {
        let ledger = ledger();
        ledger.note(&key("a"), digest("1"), "silence");
        tokio::time::advance(Duration::from_secs(100)).await;
        ledger.note(&key("b"), digest("2"), "silence");
        ledger.note(&key("a"), digest("1"), "refused");
        let all = ledger.all();
        let told: Vec<_> = all
            .iter()
            .map(|tag| (tag.tag.as_str(), tag.why.as_str()))
            .collect();
        assert_eq!(told, [("a", "refused"), ("b", "silence")]);
        let waited = all[0].last_asked.duration_since(all[0].since).unwrap();
        assert!(waited.abs_diff(Duration::from_secs(100)) < Duration::from_secs(1));
        assert_eq!(ledger.count.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_confirmed_tag_leaves_the_ledger() {
        let ledger = ledger();
        ledger.note(&key("a"), digest("1"), "silence");
        assert!(ledger.has(&key("a")) && ledger.settle(&key("a")));
        assert!(!ledger.has(&key("a")) && !ledger.settle(&key("a")));
        assert_eq!((ledger.all().len(), ledger.count.get()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_for_any_more_is_forgotten_after_a_day() {
        let ledger = ledger();
        ledger.note(&key("a"), digest("1"), "silence");
        tokio::time::advance(FORGOTTEN_AFTER).await;
        ledger.note(&key("b"), digest("2"), "silence");
        assert_eq!(ledger.all().len(), 1);
        assert!(!ledger.has(&key("a")));
    }

    #[tokio::test(start_paused = true)]
    async fn callers_who_ask_for_very_much_do_not_fill_the_memory() {
        let ledger = ledger();
        for number in 0..=CAPACITY {
            ledger.note(&key(&format!("v{number}")), digest("1"), "silence");
        }
        assert_eq!(ledger.all().len(), CAPACITY);
    }
}
