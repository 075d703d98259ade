//! Whether what is known of a tag may be served without asking. Pure: the time is an argument.

use std::time::{Duration, SystemTime};

use cistern_storage::TagRecord;

/// The rules a mirror's tags follow.
#[derive(Clone, Debug)]
pub struct TagPolicy {
    /// How long a confirmed tag is served without asking again (`proxy.checkevery`).
    pub check_every: Duration,
    /// What to do when the upstream says that a cached tag is gone (`proxy.whengone`).
    pub when_gone: WhenGone,
}

/// `proxy.whengone`: a cached tag that its upstream no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenGone {
    /// Keep serving it, and say that it is stale: an image withdrawn upstream must not stop a running plant.
    #[default]
    Keep,
    /// Forget it, and answer 404 as the upstream does.
    Follow,
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
    policy: &TagPolicy,
    now: SystemTime,
) -> Freshness {
    let Some(record) = record else {
        return Freshness::Unknown;
    };
    if record.source.as_deref() != Some(source) {
        return Freshness::Stale;
    }
    let age = since_check.or_else(|| now.duration_since(record.checked_at?).ok());
    match age {
        Some(age) if age < policy.check_every => Freshness::Fresh,
        _ => Freshness::Stale,
    }
}
