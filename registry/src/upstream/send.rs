//! A question to the upstream with everything it takes: permission, redirects, a new token after a 401. What comes back is an
//! answer that can be used, or the fault it means.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cistern_oci::RepositoryName;
use http::Method;
use http::header::{HeaderMap, HeaderValue, RANGE, VIA};
use url::Url;

use super::address::Address;
use super::dial::Dialer;
use super::pause::Gates;
use super::redirect::{Arrival, Journey, follow};
use super::token::{Permission, Purpose, Tokens};
use super::{Budget, Fault, Heard, Said, UpstreamError, answer};
use crate::chain::{self, Asker, Pseudonym};

/// What all requests to one address of an upstream share. A clone asks for somebody else, and shares the rest.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) address: Arc<Address>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) tokens: Arc<Tokens>,
    pub(super) gates: Arc<Gates>,
    pub(super) budget: Budget,
    pub(super) sender: Sender,
    /// Whether the last answer had been through a Cistern.
    pub(super) is_cistern: Arc<AtomicBool>,
}

/// Through whom a question goes to the upstream.
#[derive(Clone)]
pub(super) struct Sender {
    own: Pseudonym,
    /// How many caches wait for the answer below us.
    pub(super) below: u8,
    via: HeaderValue,
}

/// A question about a repository.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) repository: &'a RepositoryName,
    pub(super) purpose: Purpose,
    pub(super) headers: HeaderMap,
    /// Whether it is about a blob, which storage elsewhere may be asked for.
    pub(super) is_of_blob: bool,
    /// Whether redirects to other hosts are followed.
    pub(super) may_leave: bool,
    /// Whether a token that was good before is replaced when it is refused.
    pub(super) may_renew: bool,
    pub(super) heard: &'a Heard,
}

/// A question that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: UpstreamError,
    /// The upstream itself refused this method for this thing; some refuse HEAD where GET is answered, so the question may
    /// be asked in another way before this is believed.
    pub(super) is_refusal: bool,
}

/// No question needs more answers at one place: a challenge, a refused token from memory, a refused signature, the answer.
const MOST_ROUNDS: usize = 5;

impl Ask<'_> {
    /// Whether a part is asked for, so that 206 is an answer.
    fn wants_part(&self) -> bool {
        self.headers.contains_key(RANGE)
    }
}

impl Failure {
    /// A failure that asking in another way would not change.
    pub(super) fn of(error: UpstreamError) -> Self {
        Self {
            error,
            is_refusal: false,
        }
    }
}

impl Sender {
    /// Us, for `asker`.
    pub(super) fn new(own: Pseudonym, asker: &Asker) -> Self {
        // Tokens and colons, which every header value may hold.
        let via = HeaderValue::try_from(asker.via(&own));
        Self {
            below: asker.below(),
            via: via.unwrap_or(HeaderValue::from_static("1.1 cistern")),
            own,
        }
    }

    /// Says who asks. To whomever a redirect leads too: it may lead back to us.
    pub(super) fn sign(&self, mut headers: HeaderMap) -> HeaderMap {
        headers.insert(VIA, self.via.clone());
        headers
    }
}

impl Shared {
    /// The same upstream, asked for somebody else.
    pub(super) fn asked_by(&self, asker: &Asker) -> Self {
        Self {
            sender: Sender::new(self.sender.own.clone(), asker),
            ..self.clone()
        }
    }

    /// How long a body may be silent. Whoever is above notices first and goes on elsewhere, before whoever is below gives up on it.
    pub(super) fn idle(&self) -> Duration {
        chain::shorter(self.dialer.timeouts().idle, self.sender.below)
    }

    /// Takes note of what program answered. One on the way that answers in its place, with 5xx, says nothing of it.
    pub(super) fn note_program(&self, arrival: &Arrival) {
        if !arrival.away {
            let is_cistern = answer::is_from_cistern(arrival.headers());
            if is_cistern || arrival.status() < 500 {
                self.is_cistern.store(is_cistern, Ordering::Relaxed);
            }
        }
    }

    /// Asks once, and not at all while the upstream wants to be left alone. Trying again after a stumble is the caller's,
    /// see [`retrying`](super::retry::retrying).
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Arrival, Failure> {
        let registry = self.gates.registry.enter().await.map_err(Failure::of)?;
        let storage = if ask.is_of_blob {
            Some(self.gates.storage.enter().await.map_err(Failure::of)?)
        } else {
            None
        };
        let result = self.ask_in_rounds(ask).await;
        let outcome = result.as_ref().map_err(|failure| &failure.error);
        registry.leave(outcome);
        if let Some(storage) = storage {
            storage.leave(outcome);
        }
        result
    }

    async fn ask_in_rounds(&self, ask: &Ask<'_>) -> Result<Arrival, Failure> {
        let mut permission = self.permission(ask).await?;
        let mut may_ask_anew = ask.method == Method::GET;
        for _ in 0..MOST_ROUNDS {
            let arrival = self.travel(ask, &permission).await?;
            match arrival.status() {
                200 => return Ok(arrival),
                206 if ask.wants_part() => return Ok(arrival),
                401 if !arrival.away => {
                    match self.challenged(ask, &permission, arrival.headers()).await? {
                        Some(better) => permission = better,
                        None => return Err(self.refusal(&arrival, &permission)),
                    }
                }
                // ECR's word for a password that has expired; a program may know a new one.
                403 if !arrival.away && permission.is_basic() => {
                    match self.basic(ask, &permission).await? {
                        Some(better) => permission = better,
                        None => return Err(self.refusal(&arrival, &permission)),
                    }
                }
                // The storage we were sent to turns down the signature it should know: the registry gives a new one.
                400 | 401 | 403 if arrival.away && may_ask_anew => may_ask_anew = false,
                _ => return Err(self.refusal(&arrival, &permission)),
            }
            answer::drain(arrival.response).await;
        }
        Err(Failure::of(
            Fault::Invalid("asks for permission again and again".to_owned())
                .at(self.address.label()),
        ))
    }

    /// Asks only whether a registry is there. An answer of any kind is one, but for 5xx; one that limits us is there.
    pub(super) async fn ping(&self) -> Result<(), UpstreamError> {
        if self.gates.registry.paused_for().is_some() {
            return Ok(());
        }
        let journey = Journey {
            method: Method::GET,
            url: self.address.ping(),
            headers: self.sender.sign(HeaderMap::new()),
            authorization: None,
            form: None,
            may_leave: true,
        };
        let arrival = follow(&self.dialer, &journey, &Heard::default()).await?;
        self.note_program(&arrival);
        match arrival.status() {
            status if status >= 500 => Err(arrival.fault(Fault::Status(status))),
            _ => Ok(()),
        }
    }

    /// What is told of an address that nobody has asked.
    pub(super) fn unasked(&self) -> UpstreamError {
        Fault::Invalid("was not asked".to_owned()).at(self.address.label())
    }

    async fn travel(&self, ask: &Ask<'_>, permission: &Permission) -> Result<Arrival, Failure> {
        let journey = Journey {
            method: ask.method.clone(),
            url: ask.url.clone(),
            headers: self.sender.sign(ask.headers.clone()),
            authorization: permission.header(),
            form: None,
            may_leave: ask.may_leave,
        };
        let arrival = follow(&self.dialer, &journey, ask.heard).await;
        arrival
            .inspect(|arrival| self.note_program(arrival))
            .map_err(Failure::of)
    }

    /// Too many requests: whoever said so is not asked for a while.
    fn left_alone(&self, arrival: &Arrival) -> Fault {
        let gate = if arrival.away {
            &self.gates.storage
        } else {
            &self.gates.registry
        };
        let pause = gate.shut(&arrival.host(), answer::retry_after(arrival.headers()));
        Fault::RateLimited {
            retry_after: Some(pause),
        }
    }

    /// What an answer that is no success means.
    fn refusal(&self, arrival: &Arrival, permission: &Permission) -> Failure {
        let status = arrival.status();
        let own = !arrival.away;
        let fault = match status {
            404 => Fault::NotFound(Said::NotFound),
            429 => self.left_alone(arrival),
            503 => answer::unavailable(arrival.headers()),
            401 | 403 if own && permission.is_token() => {
                Fault::NotFound(Said::RefusedThoughTokenGranted(status))
            }
            401 | 403 if own && permission.is_basic() => Fault::CredentialsRefused { status },
            200..=299 => Fault::Invalid(format!("answered {status} where 200 was due")),
            _ => Fault::Status(status),
        };
        let error = match fault {
            Fault::NotFound(_) | Fault::CredentialsRefused { .. } => fault.at(self.address.label()),
            _ => arrival.fault(fault),
        };
        let is_refusal = matches!(status, 400..=428 | 430..=499 | 501);
        Failure { error, is_refusal }
    }
}
