//! How the link to an upstream was of late: where it was silent, callers with something cached do not wait for it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::upstream::{Fault, UpstreamError};

/// The state of the links, by upstream host.
#[derive(Clone, Default)]
pub struct Links {
    states: Arc<RwLock<HashMap<Box<str>, State>>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct State {
    degraded: bool,
    credentials_refused: bool,
}

impl Links {
    /// Whether the last that was seen of this upstream was silence or a broken link.
    pub fn is_degraded(&self, upstream: &str) -> bool {
        self.state(upstream).degraded
    }

    /// Whether it refused our credentials when it was last asked.
    pub fn refuses_credentials(&self, upstream: &str) -> bool {
        self.state(upstream).credentials_refused
    }

    /// It did not answer in time.
    pub(super) fn note_silence(&self, upstream: &str) {
        self.change(upstream, |state| state.degraded = true);
    }

    /// It answered with what was asked for.
    pub(super) fn note_answer(&self, upstream: &str) {
        self.change(upstream, |state| *state = State::default());
    }

    /// It answered otherwise, or the link broke.
    pub(super) fn note_error(&self, upstream: &str, error: &UpstreamError) {
        self.change(upstream, |state| match error.fault {
            Fault::Unreachable { .. } => state.degraded = true,
            Fault::CredentialsRefused { .. } => {
                *state = State {
                    degraded: false,
                    credentials_refused: true,
                }
            }
            Fault::NotFound(_) => *state = State::default(),
            Fault::RateLimited { .. }
            | Fault::Unavailable { .. }
            | Fault::Status(_)
            | Fault::Invalid(_) => {
                state.degraded = false;
            }
        });
    }

    fn state(&self, upstream: &str) -> State {
        self.states
            .read()
            .get(upstream)
            .copied()
            .unwrap_or_default()
    }

    /// News are told in the log, once.
    fn change(&self, upstream: &str, change: impl FnOnce(&mut State)) {
        let before = self.state(upstream);
        let mut state = before;
        change(&mut state);
        if state == before {
            return;
        }
        self.states.write().insert(upstream.into(), state);
        match (before.degraded, state.degraded) {
            (false, true) => {
                tracing::warn!(
                    upstream,
                    "link degraded: cached tags are served without waiting for it"
                );
            }
            (true, false) => tracing::info!(upstream, "link answers again"),
            _ => {}
        }
        if state.credentials_refused && !before.credentials_refused {
            tracing::error!(
                upstream,
                "refuses this cache's credentials: see proxy.username and proxy.password"
            );
        }
    }
}
