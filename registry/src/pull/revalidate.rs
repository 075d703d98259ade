//! When a link is back, the tags that were used are asked about without anybody waiting: the next child that pulls finds the
//! answer here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use super::check::{Checker, freshness};
use super::freshness::Freshness;
use super::{Parts, TagKey};
use crate::chain::Asker;
use crate::repositories::Mirror;

/// How many used tags are remembered.
const REMEMBERED: u64 = 1_000;
/// A tag that nobody used for so long can wait for whoever asks next.
const USED_WITHIN: Duration = Duration::from_hours(24);
/// How exactly the time of the last use is known.
const NOTED_ANEW: Duration = Duration::from_secs(10);
/// How many tags one outage is worth.
const AT_MOST: usize = 200;
/// How many are asked about at once, beside what callers ask for.
const AT_ONCE: usize = 4;

/// The tags that were served, and when last.
pub(super) struct UsedTags {
    used: Cache<TagKey, Arc<Used>>,
}

struct Used {
    mirror: Mirror,
    at: Instant,
}

// === impl UsedTags ===

impl UsedTags {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            used: Cache::builder()
                .max_capacity(REMEMBERED)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        }
    }

    /// The tag was served just now. Most calls find that written down already, and cost a look.
    pub(super) fn note(&self, mirror: &Mirror, key: &TagKey) {
        let is_noted = |used: Arc<Used>| used.at.elapsed() < NOTED_ANEW;
        if !self.used.get(key).is_some_and(is_noted) {
            let used = Used {
                mirror: mirror.clone(),
                at: Instant::now(),
            };
            self.used.insert(key.clone(), Arc::new(used));
        }
    }

    /// Those of this upstream that were used within a day and are wanted, the newest first.
    fn of(&self, host: &str, is_wanted: impl Fn(&TagKey) -> bool) -> Vec<(TagKey, Mirror)> {
        let mut tags: Vec<_> = self
            .used
            .iter()
            .filter(|(key, used)| {
                used.mirror.upstream.host() == host
                    && used.at.elapsed() < USED_WITHIN
                    && is_wanted(key)
            })
            .collect();
        tags.sort_by_key(|(_, used)| std::cmp::Reverse(used.at));
        tags.truncate(AT_MOST);
        tags.into_iter()
            .map(|(key, used)| ((*key).clone(), used.mirror.clone()))
            .collect()
    }
}

/// Asks about the tags that were served unconfirmed; after a real outage about every tag that was used of late and is not fresh.
/// The questions go on when this future is dropped.
pub(super) async fn after_outage(parts: &Arc<Parts>, host: &str, was_lost: bool) {
    let tags = parts
        .used_tags
        .of(host, |key| was_lost || parts.stale.has(key));
    let asked = stream::iter(tags)
        .map(|(key, mirror)| revalidate(parts, key, mirror))
        .buffer_unordered(AT_ONCE)
        .filter(|asked| std::future::ready(*asked))
        .count()
        .await;
    if asked > 0 {
        tracing::info!(
            upstream = host,
            tags = asked,
            "the link is back: tags that were used have been asked about"
        );
    }
}

/// Whether the tag was asked about.
async fn revalidate(parts: &Arc<Parts>, key: TagKey, mirror: Mirror) -> bool {
    let record = match parts.storage.repositories().tag(&key.0, &key.1).await {
        Ok(record) => record,
        Err(error) => {
            tracing::debug!(repository = %key.0, tag = %key.1, %error, "tag cannot be read and is not asked about");
            return false;
        }
    };
    if freshness(parts, &mirror, &key, record.as_ref()) != Freshness::Stale {
        return false;
    }
    // Nobody waits below us for this.
    let mirror = mirror.asked_by(&Asker::default());
    let checker = Checker {
        parts,
        mirror: &mirror,
    };
    let (mut check, _) = checker.check(key.1, record);
    // What it shows, it writes down itself.
    let _ = check.outcome().await;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{Upstream, UpstreamOptions};

    fn mirror(host: &str) -> Mirror {
        let options = UpstreamOptions::new(format!("http://{host}").parse().unwrap());
        Mirror {
            name: "plant/app".parse().unwrap(),
            name_there: "plant/app".parse().unwrap(),
            upstream: Upstream::new(options).unwrap(),
        }
    }

    fn key(tag: &str) -> TagKey {
        ("plant/app".parse().unwrap(), tag.parse().unwrap())
    }

    fn tags(used: &UsedTags, host: &str) -> Vec<String> {
        let of = used.of(host, |_| true);
        of.iter().map(|(key, _)| key.1.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_tags_used_last_are_asked_about_first_and_old_ones_not_at_all() {
        let (used, upstream) = (UsedTags::new(), mirror("127.0.0.1:5001"));
        for tag in ["old", "a", "b"] {
            used.note(&upstream, &key(tag));
            tokio::time::advance(USED_WITHIN / 3).await;
        }
        used.note(&upstream, &key("a"));
        assert_eq!(tags(&used, "127.0.0.1:5001"), ["a", "b"]);
        assert_eq!(tags(&used, "127.0.0.2:5001").len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_outage_is_worth_a_bounded_number_of_questions() {
        let (used, upstream) = (UsedTags::new(), mirror("127.0.0.1:5001"));
        for number in 0..AT_MOST + 50 {
            used.note(&upstream, &key(&format!("v{number}")));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let tags = tags(&used, "127.0.0.1:5001");
        assert_eq!(tags.len(), AT_MOST);
        assert_eq!(tags[0], format!("v{}", AT_MOST + 49));
    }
}
