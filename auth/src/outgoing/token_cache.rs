//! One token request per scope, however many callers want the token at once. Whoever comes first asks the token server; the
//! others wait for its answer. A caller that leaves in the middle hands the task to the next one who waits.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{Token, TokenAnswer, TokenRequest};

/// Tokens by what they were asked for. `E` is what a failed request to the token server comes back with.
pub struct TokenCache<E> {
    slots: Mutex<HashMap<TokenRequest, Arc<Slot<E>>>>,
}

struct Slot<E> {
    /// One permit: the turn to ask the token server.
    turn: Semaphore,
    state: Mutex<State<E>>,
}

struct State<E> {
    token: Option<Token>,
    /// How many requests to the token server have ended; tells a waiter whether one ended while it waited.
    ended: u64,
    /// How the last of them failed, if it did.
    failure: Option<E>,
}

/// What a caller finds on looking into a slot.
enum Found {
    /// A token in its best years.
    Good(Token),
    /// A token that still holds but shall be replaced, or none.
    Wanting { still: Option<Token>, ended: u64 },
}

/// More scopes than any deployment pulls from at once; beyond it, tokens that nobody waits for are dropped.
const MOST_SLOTS: usize = 4096;

impl<E: Clone> TokenCache<E> {
    /// An empty cache.
    pub fn new() -> Self {
        Self {
            slots: Mutex::new(HashMap::new()),
        }
    }

    /// The token for a request: the one at hand, or the one that `fetch` brings. `refused` is a token the registry has just
    /// turned down: it is not handed out again. While one caller replaces an ageing token, the others go on with it; if
    /// replacing fails, so does that caller.
    pub async fn token<F, Answer>(
        &self,
        request: &TokenRequest,
        refused: Option<&Token>,
        now: Instant,
        fetch: F,
    ) -> Result<Token, E>
    where
        F: FnOnce() -> Answer,
        Answer: Future<Output = Result<TokenAnswer, E>>,
    {
        let slot = self.slot(request, now);
        let (still, ended_before) = match slot.look(refused, now) {
            Found::Good(token) => return Ok(token),
            Found::Wanting { still, ended } => (still, ended),
        };
        // The semaphore is never closed, so without a permit there is an older token to go on with.
        let turn = match &still {
            Some(_) => slot.turn.try_acquire().ok(),
            None => slot.turn.acquire().await.ok(),
        };
        if let (None, Some(token)) = (&turn, &still) {
            return Ok(token.clone());
        }
        match slot.look(refused, now) {
            Found::Good(token) => return Ok(token),
            Found::Wanting { ended, .. } if ended > ended_before => {
                if let Some(failure) = slot.state.lock().failure.clone() {
                    return Err(failure);
                }
            }
            Found::Wanting { .. } => {}
        }
        let result = fetch().await.map(Token::of);
        slot.note(&result);
        match (result, still) {
            (Err(_), Some(token)) => Ok(token),
            (result, _) => result,
        }
    }

    fn slot(&self, request: &TokenRequest, now: Instant) -> Arc<Slot<E>> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(request) {
            return Arc::clone(slot);
        }
        if slots.len() >= MOST_SLOTS {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.holds_token(now));
        }
        if slots.len() >= MOST_SLOTS {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(
            slots
                .entry(request.clone())
                .or_insert_with(|| Arc::new(Slot::new())),
        )
    }
}

impl<E: Clone> Slot<E> {
    fn new() -> Self {
        Self {
            turn: Semaphore::new(1),
            state: Mutex::new(State {
                token: None,
                ended: 0,
                failure: None,
            }),
        }
    }

    fn look(&self, refused: Option<&Token>, now: Instant) -> Found {
        let state = self.state.lock();
        let usable = state
            .token
            .as_ref()
            .filter(|token| token.is_valid(now) && Some(*token) != refused);
        match usable {
            Some(token) if !token.wants_refresh(now) => Found::Good(token.clone()),
            still => Found::Wanting {
                still: still.cloned(),
                ended: state.ended,
            },
        }
    }

    fn note(&self, result: &Result<Token, E>) {
        let mut state = self.state.lock();
        state.ended += 1;
        match result {
            Ok(token) => {
                state.token = Some(token.clone());
                state.failure = None;
            }
            Err(failure) => state.failure = Some(failure.clone()),
        }
    }

    fn holds_token(&self, now: Instant) -> bool {
        self.state
            .lock()
            .token
            .as_ref()
            .is_some_and(|token| token.is_valid(now))
    }
}

impl<E: Clone> Default for TokenCache<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for TokenCache<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("scopes", &self.slots.lock().len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
