//! When to try again. Only what may well go better at once: a connection that closed, could not be opened or a server that
//! stumbled. Silence is not tried again: whoever waits has waited long enough.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::send::Failure;
use super::{Fault, LinkFault};

/// The attempts left for one question.
struct Attempts {
    delays: ExponentialBackoff,
    may_go_at_once: bool,
}

/// A wait that is named by the upstream and can be borne within one question.
const SOON: Duration = Duration::from_secs(1);

impl Attempts {
    fn new() -> Self {
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_factor(3.0)
            .with_jitter()
            .with_max_times(2)
            .build();
        Self {
            delays,
            may_go_at_once: true,
        }
    }

    /// How long to wait before the next attempt, if there shall be one.
    fn after(&mut self, fault: &Fault) -> Option<Duration> {
        match fault {
            // A connection that had idled too long closes as it is used again; a new one will do.
            Fault::Unreachable {
                link: LinkFault::Closed,
                ..
            } if std::mem::take(&mut self.may_go_at_once) => Some(Duration::ZERO),
            Fault::Unreachable {
                link: LinkFault::Closed | LinkFault::Connect | LinkFault::Dns,
                ..
            }
            | Fault::Status(500 | 502..=504) => self.delays.next(),
            // Whoever names a moment that is as near as our own next attempt is taken at its word.
            Fault::Unavailable { retry_after } if *retry_after <= SOON => {
                let delay = self.delays.next()?;
                Some(delay.max(*retry_after))
            }
            Fault::Unavailable { .. }
            | Fault::Unreachable {
                link: LinkFault::Tls | LinkFault::Timeout,
                ..
            }
            | Fault::NotFound(_)
            | Fault::CredentialsRefused { .. }
            | Fault::RateLimited { .. }
            | Fault::Status(_)
            | Fault::Invalid(_) => None,
        }
    }
}

/// Asks until there is an answer, or a failure that is not worth another attempt.
pub(super) async fn retrying<T, A>(mut attempt: impl FnMut() -> A) -> Result<T, Failure>
where
    A: Future<Output = Result<T, Failure>>,
{
    let mut attempts = Attempts::new();
    loop {
        let failure = match attempt().await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let Some(delay) = attempts.after(&failure.error.fault) else {
            return Err(failure);
        };
        tracing::debug!(error = %failure.error, ?delay, "asking again");
        tokio::time::sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts_after(fault: &Fault) -> usize {
        let mut attempts = Attempts::new();
        std::iter::from_fn(|| attempts.after(fault)).count()
    }

    #[test]
    fn a_closed_connection_is_replaced_at_once_and_then_with_patience() {
        let mut attempts = Attempts::new();
        let closed = Fault::Unreachable {
            link: LinkFault::Closed,
            detail: String::new(),
        };
        assert_eq!(attempts.after(&closed), Some(Duration::ZERO));
        let delays = [attempts.after(&closed), attempts.after(&closed)];
        for delay in delays {
            let delay = delay.unwrap();
            assert!(delay >= Duration::from_millis(100) && delay <= Duration::from_millis(700));
        }
        assert_eq!(attempts.after(&closed), None);
    }

    #[test]
    fn only_what_may_go_better_is_tried_again() {
        let link = |link| Fault::Unreachable {
            link,
            detail: String::new(),
        };
        assert_eq!(attempts_after(&link(LinkFault::Closed)), 3);
        assert_eq!(attempts_after(&link(LinkFault::Connect)), 2);
        assert_eq!(attempts_after(&link(LinkFault::Dns)), 2);
        assert_eq!(attempts_after(&Fault::Status(503)), 2);
        let soon = Fault::Unavailable { retry_after: SOON };
        assert_eq!(Attempts::new().after(&soon), Some(SOON));
        for fault in [
            link(LinkFault::Timeout),
            link(LinkFault::Tls),
            Fault::Status(400),
            Fault::Status(501),
            Fault::RateLimited { retry_after: None },
            Fault::Unavailable {
                retry_after: Duration::from_secs(2),
            },
            Fault::Invalid(String::new()),
        ] {
            assert_eq!(attempts_after(&fault), 0, "{fault}");
        }
    }
}
