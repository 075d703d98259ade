//! How long a caller waits for an upstream: so long as it gives signs of life, and never beyond a total.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::chain;
use crate::upstream::{Heard, Timeouts};

/// The limits of one wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The longest silence borne; every answer on the way (challenge, token, redirect, HEAD) starts it anew.
    pub silence: Duration,
    /// The longest wait in all.
    pub total: Duration,
}

impl Patience {
    /// Headers must leave within 30 s of the request (containerd's response header timeout); this leaves a margin.
    pub(super) const HEADERS: Self = Self {
        silence: Duration::from_secs(25),
        total: Duration::from_secs(25),
    };

    /// `proxy.checkdeadline` for silence, 10 s in all.
    pub(super) fn check(deadline: Duration) -> Self {
        Self {
            silence: deadline,
            total: deadline.max(Duration::from_secs(10)),
        }
    }

    /// The same for a caller who waits below so many caches. The one next to us waits no longer for our head than its own limit for
    /// the heads of its upstream, whatever its callers would bear.
    #[must_use]
    pub(super) fn below(self, caches: u8) -> Self {
        if caches == 0 {
            return self;
        }
        let head = Timeouts::default().header;
        Self {
            silence: chain::shorter(self.silence.min(head), caches),
            total: chain::shorter(self.total.min(head), caches),
        }
    }

    /// The same, but no longer than this in all.
    pub(super) fn at_most(self, limit: Duration) -> Self {
        Self {
            silence: self.silence.min(limit),
            total: self.total.min(limit),
        }
    }

    /// Waits for `work`; `None` when patience ended first. The work itself is not disturbed if it runs elsewhere.
    pub(super) async fn wait<T>(self, heard: &Heard, work: impl Future<Output = T>) -> Option<T> {
        let end = Instant::now() + self.total;
        timeout_at(end, self.wait_while_heard(heard, work))
            .await
            .ok()
            .flatten()
    }

    async fn wait_while_heard<T>(self, heard: &Heard, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let silent_at = Instant::now() + self.silence;
            tokio::select! {
                biased;
                value = &mut work => return Some(value),
                () = heard.next() => {}
                () = sleep_until(silent_at) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(3);

    #[tokio::test(start_paused = true)]
    async fn silence_is_borne_for_the_deadline_only() {
        let started = Instant::now();
        let waited = Patience::check(DEADLINE)
            .wait(&Heard::default(), sleep(Duration::from_secs(60)))
            .await;
        assert!(waited.is_none());
        assert_eq!(started.elapsed(), DEADLINE);
    }

    #[tokio::test(start_paused = true)]
    async fn every_answer_on_the_way_starts_the_deadline_anew() {
        let heard = Heard::default();
        let upstream = heard.clone();
        let work = async move {
            for _ in 0..3 {
                sleep(Duration::from_secs(2)).await;
                upstream.answer();
            }
            "digest"
        };
        assert_eq!(
            Patience::check(DEADLINE).wait(&heard, work).await,
            Some("digest")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_gives_up_a_second_before_each_one_below_it() {
        let waited = async |patience: Patience| {
            let started = Instant::now();
            let never = std::future::pending::<()>();
            assert!(patience.wait(&Heard::default(), never).await.is_none());
            started.elapsed().as_secs()
        };
        let mut heads = Vec::new();
        let mut checks = Vec::new();
        for caches in [0, 1, 2, 3, 15, 16, u8::MAX] {
            heads.push(waited(Patience::HEADERS.below(caches)).await);
            checks.push(waited(Patience::check(DEADLINE).below(caches)).await);
        }
        // A Cistern below waits 16 s for our head.
        assert_eq!(heads, [25, 15, 14, 13, 1, 1, 1]);
        assert_eq!(checks, [3, 2, 1, 1, 1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_wait_at_all_waits_no_longer_for_a_cache() {
        let none = Patience {
            silence: Duration::ZERO,
            total: Duration::ZERO,
        };
        let started = Instant::now();
        let never = std::future::pending::<()>();
        assert!(none.below(2).wait(&Heard::default(), never).await.is_none());
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_talkative_upstream_is_given_ten_seconds_in_all() {
        let heard = Heard::default();
        let upstream = heard.clone();
        let started = Instant::now();
        let work = async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                upstream.answer();
            }
        };
        let waited: Option<()> = Patience::check(DEADLINE).wait(&heard, work).await;
        assert!(waited.is_none());
        assert_eq!(started.elapsed(), Duration::from_secs(10));
    }
}
