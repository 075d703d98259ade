//! The certificate for callers, from the workload API, always a fresh one: asked for at start, again at two thirds of its life, and
//! whenever the clock says that it does not hold. While there is trouble the one before is still shown.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::workload::WorkloadApi;
use crate::tls::{CertificatesInUse, Kept, Pair, ServerTls, Use};

/// How often the clock is looked at. A gateway without a battery starts in the year 1970 and jumps later.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between the first two attempts; doubled after each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Between attempts while there is no certificate, and callers wait.
const LONGEST_PAUSE_WITHOUT: Duration = Duration::from_secs(5);
/// Between attempts while there is one that still holds.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// The longest rest after a success that is due again at once, as when the issuer itself is about to end.
const LONGEST_REST: Duration = Duration::from_mins(1);
/// Trouble that goes on is told again after so long.
const TELL_AGAIN: Duration = Duration::from_mins(10);

/// Sees to it that callers are shown a certificate of the hierarchy.
pub struct Renewal {
    api: WorkloadApi,
    common_name: String,
    tls: ServerTls,
    in_use: CertificatesInUse,
    state: State,
}

/// How far it has come.
#[derive(Default)]
struct State {
    term: Option<Term>,
    failures: u32,
    /// How long was rested after the last success, and when that was.
    rested: Option<(Duration, Instant)>,
    not_before: Option<Instant>,
    told: Option<Instant>,
}

/// The life of the certificate that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    from: SystemTime,
    until: SystemTime,
}

// === impl Term ===

impl Term {
    /// Whether another one has to be asked for: two thirds are over, or the clock was set back to before it.
    fn is_due(self, now: SystemTime) -> bool {
        let Ok(life) = self.until.duration_since(self.from) else {
            return true;
        };
        match now.duration_since(self.from) {
            Ok(age) => age >= life.mul_f64(2.0 / 3.0),
            Err(_) => true,
        }
    }

    fn holds(self, now: SystemTime) -> bool {
        self.from <= now && now < self.until
    }
}

// === impl Renewal ===

impl Renewal {
    /// Nothing is asked for yet.
    pub fn new(
        api: WorkloadApi,
        common_name: String,
        tls: ServerTls,
        in_use: CertificatesInUse,
    ) -> Self {
        tls.in_trouble(Some("the workload API has not answered yet".to_owned()));
        Self {
            api,
            common_name,
            tls,
            in_use,
            state: State::default(),
        }
    }

    /// Asks, shows, and renews, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            if self.is_due() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.renew() => {}
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn is_due(&self) -> bool {
        let may_ask = self
            .state
            .not_before
            .is_none_or(|moment| Instant::now() >= moment);
        let wants = self
            .state
            .term
            .is_none_or(|term| term.is_due(self.in_use.now()));
        may_ask && wants
    }

    async fn renew(&mut self) {
        match self.ask().await {
            Ok((term, line)) => {
                tracing::info!(
                    certificate = line,
                    "certificate received from the workload API"
                );
                let (now, left) = (Instant::now(), term.until.duration_since(self.in_use.now()));
                let rest = rest_after(self.state.rested, now, left.unwrap_or(Duration::MAX));
                self.state = State {
                    term: Some(term),
                    rested: Some((rest, now)),
                    not_before: Some(now + rest),
                    ..State::default()
                };
            }
            Err(why) => self.put_off(&why),
        }
    }

    async fn ask(&self) -> Result<(Term, String), String> {
        let issued = self.api.server_certificate(&self.common_name).await;
        let issued = issued.map_err(|error| error.to_string())?;
        let (certificate, key) = (issued.certificate.as_bytes(), issued.key.as_bytes());
        let pair = Pair::read(certificate, key, self.tls.provider())
            .map_err(|error| format!("the workload API's certificate cannot be used: {error}"))?;
        let own = pair
            .own()
            .ok_or("the workload API's answer holds no certificate")?;
        let until = issued
            .expiration
            .map_or(own.not_after, |end| end.min(own.not_after));
        let term = Term {
            from: own.not_before,
            until,
        };
        let line = own.line();
        self.tls.show(Arc::clone(&pair.certified))?;
        self.in_use
            .note(Use::Server, "workload API", Kept::ByItself, pair.chain);
        Ok((term, line))
    }

    fn put_off(&mut self, why: &str) {
        let state = &mut self.state;
        let now = self.in_use.now();
        let longest = if state.term.is_some_and(|term| term.holds(now)) {
            LONGEST_PAUSE
        } else {
            LONGEST_PAUSE_WITHOUT
        };
        let pause = FIRST_PAUSE
            .saturating_mul(1 << state.failures.min(16))
            .min(longest);
        state.failures = state.failures.saturating_add(1);
        state.not_before = Some(Instant::now() + pause);
        self.tls.in_trouble(Some(why.to_owned()));
        let is_told = state.told.is_some_and(|told| told.elapsed() < TELL_AGAIN);
        if is_told {
            tracing::debug!(why, ?pause, "still no certificate from the workload API");
            return;
        }
        state.told = Some(Instant::now());
        match state.term {
            None => tracing::error!(
                why,
                "no certificate yet: TLS is refused until the workload API gives one"
            ),
            Some(term) if term.holds(now) => {
                tracing::warn!(
                    why,
                    "the certificate could not be renewed; the one before is still shown"
                );
            }
            Some(_) => tracing::error!(
                why,
                "the certificate does not hold any more and could not be renewed: callers refuse it"
            ),
        }
    }
}

/// What is due again soon after a success is asked for more and more seldom, but a third of its life before its end at the latest.
fn rest_after(before: Option<(Duration, Instant)>, now: Instant, left: Duration) -> Duration {
    let rest = match before {
        Some((rest, at)) if now.duration_since(at) <= LONGEST_REST => rest.saturating_mul(2),
        Some(_) | None => FIRST_PAUSE,
    };
    rest.min(LONGEST_REST).min(left / 3).max(FIRST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_of_its_life() {
        let term = Term {
            from: at(1000),
            until: at(1300),
        };
        assert!(!term.is_due(at(1000)) && !term.is_due(at(1199)));
        assert!(term.is_due(at(1200)) && term.is_due(at(5000)));
    }

    #[test]
    fn certificates_that_are_over_when_they_come_are_asked_for_more_and_more_seldom() {
        let (mut before, mut now, mut rests) = (None, Instant::now(), Vec::new());
        for _ in 0..8 {
            let rest = rest_after(before, now, Duration::MAX);
            rests.push(rest.as_secs());
            before = Some((rest, now));
            now += rest;
        }
        assert_eq!(rests, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_short_life_is_never_slept_through() {
        let now = Instant::now();
        let before = Some((Duration::from_secs(32), now));
        assert_eq!(
            rest_after(before, now, Duration::from_secs(9)),
            Duration::from_secs(3)
        );
    }

    #[test]
    fn a_clock_that_was_set_back_or_a_life_of_nothing_is_due_at_once() {
        let term = Term {
            from: at(1000),
            until: at(1300),
        };
        assert!(term.is_due(at(999)));
        let nothing = Term {
            from: at(1000),
            until: at(900),
        };
        assert!(nothing.is_due(at(950)));
    }
}
