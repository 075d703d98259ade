//! When a download that has stopped tries again, and what a failure means for it. Pure: no clock but the one it is handed, and
//! no upstream.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use crate::upstream::{Fault, LinkFault};

/// So much has to come over a connection for the next one to be worth opening at once: one that brings a byte each time would be
/// asked without a pause for ever.
pub(super) const ENOUGH: u64 = 64 * 1024;

/// The pauses between the attempts of one download.
pub(super) struct Backoff(ExponentialBackoff);

impl Backoff {
    pub(super) fn new() -> Self {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(5))
            .with_factor(2.0)
            .without_max_times()
            // Up to as much again: ten seconds in the end.
            .with_jitter();
        Self(delays.build())
    }

    /// How long to wait now: not at all if enough came since the last attempt.
    pub(super) fn next(&mut self, came: u64) -> Duration {
        if came >= ENOUGH {
            *self = Self::new();
            return Duration::ZERO;
        }
        self.0.next().unwrap_or(Duration::from_secs(10))
    }
}

/// What a failed attempt means for a download that has bytes already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The link is down: wait for it.
    NoLink,
    /// The upstream answers, but not with the bytes: wait a while, at least so long.
    NotNow(Duration),
    /// It will not give them. Waiting changes nothing.
    Refused,
}

impl Meaning {
    /// What this fault means.
    pub(super) fn of(fault: &Fault) -> Self {
        match fault {
            Fault::Unreachable { .. } => Self::NoLink,
            Fault::RateLimited { retry_after } => Self::NotNow(retry_after.unwrap_or_default()),
            Fault::Unavailable { retry_after } => Self::NotNow(*retry_after),
            Fault::NotFound(_) | Fault::CredentialsRefused { .. } => Self::Refused,
            fault if refuses_parts(fault) => Self::Refused,
            Fault::Status(_) | Fault::Invalid(_) => Self::NotNow(Duration::ZERO),
        }
    }

    /// What the faults of all sources mean together: the best of them.
    pub(super) fn of_all<'a>(faults: impl Iterator<Item = &'a Fault>) -> Self {
        let rank = |meaning: &Self| match meaning {
            Self::Refused => 0,
            Self::NoLink => 1,
            Self::NotNow(_) => 2,
        };
        let best = faults.map(Self::of).max_by_key(rank);
        best.unwrap_or(Self::Refused)
    }
}

/// Whether it may be the question for a part that is refused, so that the whole is worth another one: ranges are not understood,
/// or answered with another part. Who is refused access (401, 403) is told nothing about parts.
pub(super) fn refuses_parts(fault: &Fault) -> bool {
    match fault {
        Fault::Invalid(_) => true,
        Fault::Status(status) => matches!(status, 400 | 405..=407 | 409..=428 | 430..=499 | 501),
        Fault::NotFound(_)
        | Fault::CredentialsRefused { .. }
        | Fault::RateLimited { .. }
        | Fault::Unavailable { .. }
        | Fault::Unreachable { .. } => false,
    }
}

/// Whether the connection was there a moment ago, so that a new one may well be had at once.
pub(super) fn broke_in_passing(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::Unreachable {
            link: LinkFault::Timeout,
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Said;

    #[test]
    fn a_download_goes_on_at_once_while_bytes_come_and_else_with_growing_patience() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.next(ENOUGH), Duration::ZERO);
        let mut least = Duration::from_millis(200);
        for _ in 0..20 {
            let pause = backoff.next(1);
            assert!(
                pause >= least && pause <= Duration::from_secs(10),
                "{pause:?}"
            );
            least = (least * 2).min(Duration::from_secs(5));
        }
        assert_eq!(backoff.next(ENOUGH), Duration::ZERO);
        assert!(backoff.next(1) < Duration::from_millis(500));
    }

    #[test]
    fn one_source_that_may_yet_give_the_bytes_is_enough_to_wait() {
        let gone = Fault::NotFound(Said::NotFound);
        let down = Fault::Unreachable {
            link: LinkFault::Connect,
            detail: String::new(),
        };
        let busy = Fault::RateLimited {
            retry_after: Some(Duration::from_secs(7)),
        };
        let of = |faults: &[Fault]| Meaning::of_all(faults.iter());
        assert_eq!(of(std::slice::from_ref(&gone)), Meaning::Refused);
        assert_eq!(of(&[]), Meaning::Refused);
        assert_eq!(of(&[gone.clone(), down.clone()]), Meaning::NoLink);
        let wait = Meaning::NotNow(Duration::from_secs(7));
        assert_eq!(of(&[gone, busy, down]), wait);
    }

    #[test]
    fn only_who_turns_down_the_part_is_asked_for_the_whole() {
        for status in [400, 405, 416, 501] {
            assert!(refuses_parts(&Fault::Status(status)), "{status}");
        }
        for status in [401, 403, 404, 408, 429, 500, 503] {
            assert!(!refuses_parts(&Fault::Status(status)), "{status}");
        }
    }
}
