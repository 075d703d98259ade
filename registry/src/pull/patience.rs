//! How long a caller waits for an upstream: so long as it gives signs of life, and never beyond a total.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::upstream::Heard;

/// The limits of one wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The longest silence borne; every answer on the way (challenge, token, redirect, HEAD) starts it anew.
    pub silence: Duration,
    /// The longest wait in all.
    pub total: Duration,
}

impl Patience {
    /// Headers must leave within 30 s of the request (containerd's response header timeout); this leaves a margin.
    pub const HEADERS: Self = Self {
        silence: Duration::from_secs(25),
        total: Duration::from_secs(25),
    };

    /// `proxy.checkdeadline` for silence, 10 s in all.
    pub fn check(deadline: Duration) -> Self {
        Self {
            silence: deadline,
            total: deadline.max(Duration::from_secs(10)),
        }
    }

    /// Waits for `work`; `None` when patience ended first. The work itself is not disturbed if it runs elsewhere.
    pub async fn wait<T>(self, heard: &Heard, work: impl Future<Output = T>) -> Option<T> {
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
