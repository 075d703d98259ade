//! What is concluded from answers, faults and probes of one link. Pure: the time is an argument, and nothing is told to anybody.

use std::time::Duration;

use tokio::time::Instant;

use super::LinkState;
use crate::upstream::{Fault, UpstreamError};

/// So many questions in a row must fail before the link is taken for lost without a probe.
const FAULTS: u32 = 3;
/// They must lie so far apart: a herd whose questions fail in one instant has seen one fault.
const FAULTS_OVER: Duration = Duration::from_secs(5);

/// The memory of one link.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    state: LinkState,
    since: Instant,
    faults: u32,
    first_fault: Instant,
    last: Option<(UpstreamError, Instant)>,
    credentials_refused: bool,
}

// === impl Breaker ===

impl Breaker {
    /// Nothing was heard of it yet, which is no reason to doubt it.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: LinkState::Online,
            since: now,
            faults: 0,
            first_fault: now,
            last: None,
            credentials_refused: false,
        }
    }

    pub(super) fn state(&self) -> LinkState {
        self.state
    }

    /// When it came into this state.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// The last that went wrong, and when; nothing when all was well after it.
    pub(super) fn last(&self) -> Option<&(UpstreamError, Instant)> {
        self.last.as_ref()
    }

    pub(super) fn refuses_credentials(&self) -> bool {
        self.credentials_refused
    }

    /// A question was answered with what was asked for.
    pub(super) fn answered(&mut self, now: Instant) {
        self.last = None;
        self.credentials_refused = false;
        self.works(now);
    }

    /// A question was not. Whatever the upstream says itself, an error too, shows that the link works.
    pub(super) fn failed(&mut self, error: &UpstreamError, now: Instant) {
        match error.fault {
            Fault::Unreachable { .. } => self.fault(error, now),
            Fault::NotFound(_) => self.answered(now),
            Fault::CredentialsRefused { .. } => {
                self.last = Some((error.clone(), now));
                self.credentials_refused = true;
                self.works(now);
            }
            // An upstream that wants to be left alone for a while is not dialled, so this may be no news of the link.
            Fault::RateLimited { .. } => {
                if self.state == LinkState::Online {
                    self.last = Some((error.clone(), now));
                }
            }
            Fault::Unavailable { .. } | Fault::Status(_) | Fault::Invalid(_) => {
                self.last = Some((error.clone(), now));
                self.works(now);
            }
        }
    }

    /// A probe got an answer. What the upstream thinks of our credentials is not in it.
    pub(super) fn probe_answered(&mut self, now: Instant) {
        self.last = None;
        self.works(now);
    }

    /// A probe got none. Probes are sent when a question has failed before: two witnesses are enough.
    pub(super) fn probe_failed(&mut self, error: &UpstreamError, now: Instant) {
        self.fault(error, now);
        self.become_offline_from_degraded(now);
    }

    fn fault(&mut self, error: &UpstreamError, now: Instant) {
        self.last = Some((error.clone(), now));
        if self.faults == 0 {
            self.first_fault = now;
        }
        self.faults = self.faults.saturating_add(1);
        match self.state {
            LinkState::Online => self.change(LinkState::Degraded, now),
            LinkState::Degraded => {
                if self.faults >= FAULTS && now.duration_since(self.first_fault) >= FAULTS_OVER {
                    self.change(LinkState::Offline, now);
                }
            }
            LinkState::Offline => {}
        }
    }

    fn become_offline_from_degraded(&mut self, now: Instant) {
        if self.state == LinkState::Degraded {
            self.change(LinkState::Offline, now);
        }
    }

    fn works(&mut self, now: Instant) {
        self.faults = 0;
        if self.state != LinkState::Online {
            self.change(LinkState::Online, now);
        }
    }

    fn change(&mut self, state: LinkState, now: Instant) {
        self.state = state;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{LinkFault, Said};

    fn error(fault: Fault) -> UpstreamError {
        UpstreamError {
            host: "registry.example".into(),
            fault,
        }
    }

    fn silence() -> UpstreamError {
        error(Fault::Unreachable {
            link: LinkFault::Timeout,
            detail: "silence".to_owned(),
        })
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_fault_degrades_a_link_and_an_answer_mends_it() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        breaker.failed(&silence(), start + SECOND);
        assert_eq!(breaker.state(), LinkState::Degraded);
        assert_eq!(breaker.since(), start + SECOND);
        assert_eq!(breaker.last().unwrap().0, silence());
        breaker.answered(start + 2 * SECOND);
        assert_eq!(breaker.state(), LinkState::Online);
        assert_eq!(breaker.since(), start + 2 * SECOND);
        assert!(breaker.last().is_none());
    }

    #[test]
    fn a_herd_that_fails_in_one_instant_has_seen_one_fault() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        for _ in 0..100 {
            breaker.failed(&silence(), start);
        }
        assert_eq!(breaker.state(), LinkState::Degraded);
        breaker.failed(&silence(), start + FAULTS_OVER);
        assert_eq!(breaker.state(), LinkState::Offline);
    }

    #[test]
    fn two_faults_far_apart_do_not_make_a_link_lost_and_three_do() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        breaker.failed(&silence(), start);
        breaker.failed(&silence(), start + 60 * SECOND);
        assert_eq!(breaker.state(), LinkState::Degraded);
        breaker.failed(&silence(), start + 61 * SECOND);
        assert_eq!(breaker.state(), LinkState::Offline);
    }

    #[test]
    fn a_probe_that_fails_after_a_question_did_shows_that_the_link_is_lost() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        breaker.failed(&silence(), start);
        breaker.probe_failed(&silence(), start + SECOND);
        assert_eq!(breaker.state(), LinkState::Offline);
        breaker.probe_answered(start + 2 * SECOND);
        assert_eq!(breaker.state(), LinkState::Online);
    }

    #[test]
    fn errors_of_the_upstream_itself_show_that_the_link_works() {
        let start = Instant::now();
        for fault in [
            Fault::Status(503),
            Fault::NotFound(Said::NotFound),
            Fault::Invalid("a login page".to_owned()),
            Fault::CredentialsRefused { status: 401 },
        ] {
            let mut breaker = Breaker::new(start);
            breaker.failed(&silence(), start);
            breaker.failed(&error(fault.clone()), start + SECOND);
            assert_eq!(breaker.state(), LinkState::Online, "{fault}");
        }
    }

    #[test]
    fn a_limited_upstream_is_online_and_is_not_brought_back_by_what_was_not_asked() {
        let start = Instant::now();
        let limited = error(Fault::RateLimited { retry_after: None });
        let mut breaker = Breaker::new(start);
        breaker.failed(&limited, start);
        assert_eq!(breaker.state(), LinkState::Online);
        breaker.failed(&silence(), start);
        breaker.failed(&limited, start);
        assert_eq!(breaker.state(), LinkState::Degraded);
        assert_eq!(breaker.last().unwrap().0, silence());
    }

    #[test]
    fn refused_credentials_are_told_until_an_answer_comes() {
        let start = Instant::now();
        let mut breaker = Breaker::new(start);
        breaker.failed(&error(Fault::CredentialsRefused { status: 401 }), start);
        assert!(breaker.refuses_credentials());
        breaker.failed(&silence(), start);
        breaker.probe_answered(start);
        assert!(breaker.refuses_credentials());
        breaker.answered(start);
        assert!(!breaker.refuses_credentials());
    }
}
