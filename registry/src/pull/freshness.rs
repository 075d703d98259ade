//! Whether what is known of a tag may be served without asking. Pure: the time is an argument.

use std::time::{Duration, SystemTime};

use cistern_oci::{RepositoryName, Tag};
use cistern_storage::TagRecord;

use crate::config::WhenGone;
use crate::repositories::ImagePattern;
use crate::upstream::Upstream;

/// The rules a mirror's tags follow.
#[derive(Clone, Debug)]
pub struct TagPolicy {
    /// How long a confirmed tag is served without asking again (`proxy.checkevery`).
    pub check_every: Duration,
    /// The same while the upstream is a Cistern.
    pub check_every_of_cistern: Duration,
    /// What to do when the upstream says that a cached tag is gone (`proxy.whengone`).
    pub when_gone: WhenGone,
    /// Tags that are refused rather than served unconfirmed (`proxy.strict`).
    pub strict: Vec<ImagePattern>,
}

impl TagPolicy {
    /// How long a tag is served that this upstream has confirmed.
    pub fn check_every_of(&self, upstream: &Upstream) -> Duration {
        if upstream.is_cistern() {
            self.check_every_of_cistern
        } else {
            self.check_every
        }
    }

    /// Whether this tag must not be served unconfirmed.
    pub fn is_strict(&self, repository: &RepositoryName, tag: &Tag) -> bool {
        self.strict
            .iter()
            .any(|pattern| pattern.matches(repository, tag))
    }
}

/// What may be done with what is known of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Confirmed recently enough: serve it.
    Fresh,
    /// Known, but its upstream should be asked first.
    Stale,
    /// Nothing is known.
    Unknown,
}

/// Judges a tag.
///
/// `source` is the upstream that may vouch for it now: a tag confirmed by another one (a changed `proxy.remoteurl`) is stale.
/// `since_check` is the time since the last confirmation within this run, by the monotonic clock; it wins over the wall
/// clock, which at the edge may be corrected by hours once the network is there. A confirmation that lies in the future
/// counts as none.
pub fn judge(
    record: Option<&TagRecord>,
    source: &str,
    since_check: Option<Duration>,
    check_every: Duration,
    now: SystemTime,
) -> Freshness {
    let Some(record) = record else {
        return Freshness::Unknown;
    };
    if record.source.as_deref() != Some(source) {
        return Freshness::Stale;
    }
    match confirmed_ago(record, since_check, now) {
        Some(age) if age < check_every => Freshness::Fresh,
        _ => Freshness::Stale,
    }
}

/// How long ago a tag was confirmed, by the same rules; `None` when that is not known.
pub(super) fn confirmed_ago(
    record: &TagRecord,
    since_check: Option<Duration>,
    now: SystemTime,
) -> Option<Duration> {
    since_check.or_else(|| now.duration_since(record.checked_at?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);
    const SOURCE: &str = "registry.example";

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
    }

    fn seen(ago: Option<i64>, source: &str) -> TagRecord {
        let at = |ago: i64| match u64::try_from(ago) {
            Ok(past) => now() - Duration::from_secs(past),
            Err(_) => now() + Duration::from_secs(ago.unsigned_abs()),
        };
        let digest = cistern_oci::Digest::of(cistern_oci::Algorithm::Sha256, b"{}");
        TagRecord {
            digest,
            checked_at: ago.map(at),
            source: Some(source.into()),
        }
    }

    fn judged(record: Option<&TagRecord>, since_check: Option<u64>) -> Freshness {
        let since_check = since_check.map(Duration::from_secs);
        judge(record, SOURCE, since_check, EVERY, now())
    }

    #[test]
    fn a_tag_nobody_knows_is_unknown() {
        assert_eq!(judged(None, None), Freshness::Unknown);
    }

    #[test]
    fn a_tag_is_fresh_until_its_interval_is_over() {
        assert_eq!(judged(Some(&seen(Some(0), SOURCE)), None), Freshness::Fresh);
        assert_eq!(
            judged(Some(&seen(Some(29), SOURCE)), None),
            Freshness::Fresh
        );
        assert_eq!(
            judged(Some(&seen(Some(30), SOURCE)), None),
            Freshness::Stale
        );
    }

    #[test]
    fn a_check_in_the_future_counts_as_none() {
        assert_eq!(
            judged(Some(&seen(Some(-60), SOURCE)), None),
            Freshness::Stale
        );
    }

    #[test]
    fn a_tag_known_only_from_its_file_is_stale() {
        assert_eq!(judged(Some(&seen(None, SOURCE)), None), Freshness::Stale);
    }

    #[test]
    fn a_tag_confirmed_by_another_upstream_is_stale() {
        assert_eq!(
            judged(Some(&seen(Some(1), "other.example")), Some(1)),
            Freshness::Stale
        );
    }

    #[test]
    fn within_a_run_a_clock_that_jumps_does_not_matter() {
        assert_eq!(
            judged(Some(&seen(Some(-86_400), SOURCE)), Some(5)),
            Freshness::Fresh
        );
        assert_eq!(
            judged(Some(&seen(Some(5), SOURCE)), Some(31)),
            Freshness::Stale
        );
    }

    #[test]
    fn an_interval_of_zero_asks_every_time() {
        let record = seen(Some(0), SOURCE);
        let never = Duration::ZERO;
        let freshness = judge(Some(&record), SOURCE, Some(never), never, now());
        assert_eq!(freshness, Freshness::Stale);
    }
}
