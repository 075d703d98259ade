//! Leaving an upstream alone that said 429. Until the pause is over every question is answered from here, without a dial;
//! then one question goes first, and the others wait for what becomes of it: one retry for everybody.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Fault, UpstreamError};

/// One door that may be shut: the registry's own, its token servers', its storage's.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    /// Tells those who wait that whoever went first is back, and what failed if the link did.
    outcome: watch::Sender<Option<UpstreamError>>,
}

/// The doors of one address.
#[derive(Debug, Default)]
pub(super) struct Gates {
    /// The registry itself.
    pub(super) registry: Gate,
    /// Wherever its tokens come from.
    pub(super) tokens: Gate,
    /// Wherever it sends those who want a blob.
    pub(super) storage: Gate,
}

#[derive(Debug, Default)]
struct State {
    /// Until when nobody is let through; in the past: somebody may go first. None: everybody may pass.
    until: Option<Instant>,
    /// Who said so.
    host: Option<Arc<str>>,
    /// Somebody has gone first and is not back.
    is_tried: bool,
    /// How many pauses in a row, and how long the last of them was.
    pauses: u32,
    last: Duration,
    ended: Option<Instant>,
}

/// The leave to ask. Dropped without a word by whoever went first, it lets the next one go first.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    gate: &'a Gate,
    goes_first: bool,
}

/// The first pause where the upstream named none; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(15);
/// The longest pause of our own choosing.
const LONGEST: Duration = Duration::from_mins(5);
/// The longest pause that is heeded where the upstream named one: one question in so long a time hurts nobody, and a limit
/// that was lifted early is noticed.
const LONGEST_NAMED: Duration = Duration::from_mins(15);
/// The shortest, for upstreams that say 429 and "at once".
const SHORTEST: Duration = Duration::from_secs(1);
/// After this much more quiet than the last pause was long, the next one counts as the first.
const QUIET: Duration = Duration::from_mins(1);

impl Default for Gate {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            outcome: watch::Sender::new(None),
        }
    }
}

impl Gate {
    /// Waits for the leave to ask: none is given during a pause, and after it only to one until that one is back.
    pub(super) async fn enter(&self) -> Result<Turn<'_>, UpstreamError> {
        loop {
            let mut outcome = match self.look() {
                Seen::Open { goes_first } => {
                    return Ok(Turn {
                        gate: self,
                        goes_first,
                    });
                }
                Seen::Shut(error) => return Err(error),
                Seen::Tried(outcome) => outcome,
            };
            // The sender lives as long as the gate.
            let _ = outcome.changed().await;
            if let Some(error) = outcome.borrow().clone() {
                return Err(error);
            }
        }
    }

    fn look(&self) -> Seen {
        let mut state = self.state.lock();
        let goes_first = match state.until {
            None => false,
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                if let (false, Some(host)) = (left.is_zero(), &state.host) {
                    let retry_after = Some(left);
                    return Seen::Shut(Fault::RateLimited { retry_after }.at(host));
                }
                if state.is_tried {
                    return Seen::Tried(self.outcome.subscribe());
                }
                state.is_tried = true;
                true
            }
        };
        Seen::Open { goes_first }
    }

    /// This host said 429 and perhaps for how long. What is told is how long it is left alone.
    pub(super) fn shut(&self, host: &Arc<str>, named: Option<Duration>) -> Duration {
        let now = Instant::now();
        let mut state = self.state.lock();
        let left = state.left(now);
        // Questions that were on their way together are refused together, and that is one refusal.
        if left.is_zero() {
            state.note_pause(now);
        }
        let pause = match named {
            Some(named) => named.clamp(SHORTEST, LONGEST_NAMED).max(left),
            None if left.is_zero() => with_jitter(own_pause(state.pauses)),
            None => left,
        };
        state.host = Some(Arc::clone(host));
        state.until = Some(now + pause);
        state.last = pause;
        state.ended = state.until;
        drop(state);
        if left.is_zero() {
            let seconds = pause.as_secs_f64().ceil();
            tracing::warn!(%host, seconds, "too many requests: left alone");
        }
        pause
    }

    /// How long the pause still is, if there is one.
    pub(super) fn paused_for(&self) -> Option<Duration> {
        let left = self.state.lock().left(Instant::now());
        Some(left).filter(|left| !left.is_zero())
    }

    fn come_back(&self, failed: Option<UpstreamError>, is_open: bool) {
        let mut state = self.state.lock();
        state.is_tried = false;
        if is_open && state.left(Instant::now()).is_zero() {
            state.until = None;
        }
        self.outcome.send_replace(failed);
    }
}

enum Seen {
    Open { goes_first: bool },
    Shut(UpstreamError),
    Tried(watch::Receiver<Option<UpstreamError>>),
}

impl State {
    fn left(&self, now: Instant) -> Duration {
        self.until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn note_pause(&mut self, now: Instant) {
        let was_quiet = self
            .ended
            .is_some_and(|ended| now.saturating_duration_since(ended) > self.last + QUIET);
        self.pauses = if was_quiet { 1 } else { self.pauses + 1 };
    }
}

/// 15 s, 30 s, … at most 5 min.
fn own_pause(pauses: u32) -> Duration {
    let doublings = pauses.saturating_sub(1).min(8);
    (FIRST * 2_u32.pow(doublings)).min(LONGEST)
}

/// Up to a fifth more, so that many caches behind one address do not come back together.
fn with_jitter(pause: Duration) -> Duration {
    // The keys of a hash map's hasher are different every time, which is chance enough here.
    let chance = RandomState::new().hash_one(()) % 1000;
    let thousandth = u32::try_from(chance).unwrap_or_default();
    pause + pause * thousandth / 5000
}

impl Turn<'_> {
    /// Tells what became of the question. Only what whoever went first found counts: an answer opens the gate to all; a
    /// link that fails is told to those who wait, and the next question goes first again.
    pub(super) fn leave<T>(mut self, result: Result<&T, &UpstreamError>) {
        if !std::mem::take(&mut self.goes_first) {
            return;
        }
        let (failed, is_open) = match result {
            Ok(_) => (None, true),
            Err(error) => match error.fault {
                Fault::Unreachable { .. } => (Some(error.clone()), false),
                Fault::RateLimited { .. } => (None, false),
                Fault::NotFound(_)
                | Fault::CredentialsRefused { .. }
                | Fault::Unavailable { .. }
                | Fault::Status(_)
                | Fault::Invalid(_) => (None, true),
            },
        };
        self.gate.come_back(failed, is_open);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.goes_first {
            self.gate.come_back(None, false);
        }
    }
}

impl Gates {
    /// How long nothing can be had from this address. A storage that limits us concerns blobs only and does not count.
    pub(super) fn paused_for(&self) -> Option<Duration> {
        self.registry.paused_for().max(self.tokens.paused_for())
    }
}

#[cfg(test)]
mod tests;
