//! Watching a request until its *body* ends: counters always, one log line if it is wanted.
//!
//! The line is written when the last byte was handed over, the caller went away, or the body broke; a layer that looked at heads
//! only would call every cut 2 GB body a success of two milliseconds. Without the log nothing is copied or formatted.

mod line;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use self::line::Line;
pub(super) use self::line::{certainly_forwarded_for, is_forwarded};
use super::body::{AnswerBody, BodyError};
use super::connection::Caller;
use super::error::ApiError;
use super::failures::Failed;
use super::request::Asked;
use super::request_id::RequestId;
use super::response::Answer;
use crate::metrics::{Action, Unfinished};
use crate::pull::Served;

/// A request, from its head to the end of its answer's body. Whatever ends it, dropping this counts and writes the line.
pub(super) struct Observation {
    caller: Arc<Caller>,
    started: Instant,
    headed: Option<Instant>,
    action: Action,
    served: Option<Served>,
    sent: u64,
    end: BodyEnd,
    line: Option<Box<Line>>,
    /// What to write down if the body ends short; a hit does not.
    if_cut: Option<Box<(Failed, RequestId)>>,
}

/// The body of an answer, watched.
pub(super) struct ObservedBody {
    body: AnswerBody,
    observation: Observation,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyEnd {
    /// Every byte was handed over.
    Complete,
    /// Dropped before its end: the caller went away, or the connection broke.
    Cancelled,
    /// It could not be read to its end.
    Error,
}

// === impl Observation ===

impl Observation {
    /// Starts watching.
    pub(super) fn begin(
        caller: &Arc<Caller>,
        head: &Parts,
        asked: &Asked,
        request_id: &RequestId,
    ) -> Self {
        let settings = caller.service.settings();
        let line = settings.access_log.then(|| {
            Box::new(Line::of(
                head,
                asked,
                request_id,
                caller.peer,
                &settings.trusted_proxies,
            ))
        });
        Self {
            caller: Arc::clone(caller),
            started: Instant::now(),
            headed: None,
            action: asked.action,
            served: None,
            sent: 0,
            end: BodyEnd::Cancelled,
            line,
            if_cut: None,
        }
    }

    /// Writes down that a request for something in a repository was refused. Who only has to say who he is was not.
    pub(super) fn refused(
        &self,
        error: &ApiError,
        head: &Parts,
        asked: &Asked,
        request_id: &RequestId,
    ) {
        let Some(endpoint) = asked.endpoint() else {
            return;
        };
        if error.status == StatusCode::UNAUTHORIZED {
            return;
        }
        let id = request_id.text();
        let what = Failed {
            method: head.method.clone(),
            endpoint: endpoint.clone(),
            status: error.status,
            message: error.message_for(id),
        };
        let (service, peer) = (&self.caller.service, self.caller.peer);
        let trusted = &service.settings().trusted_proxies;
        let forwarded =
            peer.and_then(|peer| line::forwarded_for(peer.ip(), &head.headers, trusted));
        let caller = line::asked_by(forwarded, peer);
        service.failures().note(what, caller, id);
    }

    /// From now on it is known what it would be that failed, if the body of a blob that is being downloaded ends short.
    pub(super) fn may_be_cut(mut self, answer: &Answer, asked: &Asked, id: &RequestId) -> Self {
        if asked.action == Action::BlobGet
            && matches!(answer.served, Some(Served::Miss | Served::Joined))
            && let Some(endpoint) = asked.endpoint()
        {
            let what = Failed {
                method: Method::GET,
                endpoint: endpoint.clone(),
                status: answer.response.status(),
                message: String::new(),
            };
            self.if_cut = Some(Box::new((what, id.clone())));
        }
        self
    }

    /// Counts the answer and goes on watching its body.
    pub(super) fn answered(mut self, answer: Answer) -> Response<ObservedBody> {
        let Answer {
            response,
            digest,
            served,
        } = answer;
        let headed = Instant::now();
        let metrics = self.caller.service.metrics();
        metrics
            .requests
            .count(self.action, response.status().into(), served);
        metrics
            .request_seconds
            .observe((headed - self.started).as_secs_f64());
        if let Some(line) = &mut self.line {
            line.answered(response.status(), digest, served);
        }
        self.headed = Some(headed);
        self.served = served;
        response.map(|body| ObservedBody::new(body, self))
    }

    fn failed(&mut self, error: &BodyError) {
        self.end = BodyEnd::Error;
        if let Some(what) = self.if_cut.take() {
            let (mut what, id) = *what;
            what.message = format!("the body was cut after {} bytes: {error}", self.sent);
            let caller = line::asked_by(None, self.caller.peer);
            self.caller.service.failures().note(what, caller, id.text());
        }
        if let Some(line) = &mut self.line {
            line.failed(error.to_string());
        } else {
            tracing::warn!(%error, sent = self.sent, "a body was cut short");
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let metrics = self.caller.service.metrics();
        if let Some(served) = self.served {
            metrics.body_bytes.add(served, self.sent);
        }
        if let Some(headed) = self.headed
            && self.action == Action::BlobGet
        {
            metrics.body_seconds.observe(headed.elapsed().as_secs_f64());
        }
        match self.end {
            BodyEnd::Complete => {}
            BodyEnd::Cancelled => metrics.bodies_unfinished.count(Unfinished::Cancelled),
            BodyEnd::Error => metrics.bodies_unfinished.count(Unfinished::Error),
        }
        if let Some(line) = self.line.take() {
            line.write(self.sent, self.end, self.started.elapsed());
        }
    }
}

// === impl ObservedBody ===

impl ObservedBody {
    fn new(mut body: AnswerBody, observation: Observation) -> Self {
        body.hand_over_to(observation.caller.handover.as_ref());
        let mut observed = Self { body, observation };
        observed.note_end();
        observed
    }

    fn note_end(&mut self) {
        if self.body.is_end_stream() {
            self.observation.end = BodyEnd::Complete;
        }
    }
}

impl Body for ObservedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                self.observation.sent += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
                self.note_end();
            }
            Some(Err(error)) => self.observation.failed(error),
            None => self.observation.end = BodyEnd::Complete,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl BodyEnd ===

impl BodyEnd {
    fn text(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
        }
    }
}
