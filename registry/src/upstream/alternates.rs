//! Several addresses of one upstream: who is asked, and who next where one does not answer. Each address has its own tokens,
//! its own rules of whom credentials may be shown to, its own connections and its own pause.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::send::Shared;
use super::{Fault, UpstreamError};
use crate::chain::Asker;

/// All addresses, in the order of the configuration. There is at least one.
pub(super) struct Addresses {
    first: Shared,
    others: Vec<Shared>,
    /// One that has answered in the place of the first.
    stand_in: Arc<Mutex<Option<StandIn>>>,
}

#[derive(Clone, Copy)]
struct StandIn {
    /// Its place in the order; never 0.
    place: usize,
    since: Instant,
}

/// How long the one that answered in the first's place is asked before the first.
const STAND_IN_FOR: Duration = Duration::from_mins(5);

impl Addresses {
    pub(super) fn new(first: Shared, others: Vec<Shared>) -> Self {
        Self {
            first,
            others,
            stand_in: Arc::default(),
        }
    }

    /// The upstream's own address, by which it is known.
    pub(super) fn first(&self) -> &Shared {
        &self.first
    }

    /// The same addresses, asked for somebody else.
    pub(super) fn asked_by(&self, asker: &Asker) -> Self {
        Self {
            first: self.first.asked_by(asker),
            others: self
                .others
                .iter()
                .map(|other| other.asked_by(asker))
                .collect(),
            stand_in: Arc::clone(&self.stand_in),
        }
    }

    /// The address that the next question goes to.
    pub(super) fn asked_first(&self) -> &Shared {
        let place = self.stand_in.lock().map_or(0, |stand_in| stand_in.place);
        self.all().nth(place).unwrap_or(&self.first)
    }

    /// Every address.
    pub(super) fn all(&self) -> impl Iterator<Item = &Shared> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Asks one address after the other until one answers, whatever it answers. If none does, what is told is how the first
    /// one failed.
    pub(super) async fn in_turn<'a, T, Answer>(
        &'a self,
        ask: impl Fn(&'a Shared) -> Answer,
    ) -> Result<T, UpstreamError>
    where
        Answer: Future<Output = Result<T, UpstreamError>>,
    {
        let mut failure: Option<(usize, UpstreamError)> = None;
        for place in self.order() {
            let Some(address) = self.all().nth(place) else {
                continue;
            };
            match ask(address).await {
                Err(error) if is_no_answer(&error.fault) => {
                    if !self.others.is_empty() {
                        tracing::debug!(%error, "asking the next address");
                    }
                    if failure.as_ref().is_none_or(|(before, _)| place < *before) {
                        failure = Some((place, error));
                    }
                }
                answer => {
                    self.answered(place);
                    return answer;
                }
            }
        }
        let (_, error) = failure.unwrap_or_else(|| (0, self.first.unasked()));
        Err(error)
    }

    /// The order of one question. When a stand-in has served its time, this question asks the first address again, and the
    /// others keep to the stand-in until it is back.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..=self.others.len()).collect();
        let mut stand_in = self.stand_in.lock();
        if let Some(stand_in) = &mut *stand_in {
            if stand_in.since.elapsed() < STAND_IN_FOR {
                order.retain(|place| *place != stand_in.place);
                order.insert(0, stand_in.place);
            } else {
                stand_in.since = Instant::now();
            }
        }
        order
    }

    fn answered(&self, place: usize) {
        let mut stand_in = self.stand_in.lock();
        let before = stand_in.map_or(0, |before| before.place);
        if place == before {
            return;
        }
        *stand_in = (place > 0).then(|| StandIn {
            place,
            since: Instant::now(),
        });
        if let Some(address) = self.all().nth(place) {
            tracing::info!(upstream = %self.first.address.label(), answers = %address.address.label(), "another address of the upstream answers");
        }
    }
}

/// Whether another address may know better: the link failed, or what stands before the registry did.
fn is_no_answer(fault: &Fault) -> bool {
    match fault {
        Fault::Unreachable { .. } | Fault::Unavailable { .. } => true,
        Fault::Status(status) => *status >= 500,
        Fault::NotFound(_)
        | Fault::CredentialsRefused { .. }
        | Fault::RateLimited { .. }
        | Fault::Invalid(_) => false,
    }
}
