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
use http::Response;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};

use self::line::Line;
use super::Http;
use super::body::{AnswerBody, BodyError};
use super::connection::Caller;
use super::request::Asked;
use super::request_id::RequestId;
use super::response::Answer;
use crate::metrics::{Action, Unfinished};
use crate::pull::Served;

/// A request that has not been answered yet.
pub(super) struct Observation {
    caller: Arc<Caller>,
    started: Instant,
    action: Action,
    line: Option<Box<Line>>,
}

/// The body of an answer, watched.
pub(super) struct ObservedBody {
    body: AnswerBody,
    sent: u64,
    failed: bool,
    caller: Arc<Caller>,
    started: Instant,
    headed: Instant,
    action: Action,
    served: Option<Served>,
    line: Option<Box<Line>>,
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
        http: &Http,
        caller: &Arc<Caller>,
        head: &Parts,
        asked: &Asked,
        request_id: &RequestId,
    ) -> Self {
        let line = http.settings.access_log.then(|| {
            Box::new(Line::of(
                head,
                asked,
                request_id,
                caller.peer,
                &http.settings.trusted_proxies,
            ))
        });
        Self {
            caller: Arc::clone(caller),
            started: Instant::now(),
            action: asked.action,
            line,
        }
    }

    /// Counts the answer and goes on watching its body.
    pub(super) fn answered(self, answer: Answer) -> Response<ObservedBody> {
        let Self {
            caller,
            started,
            action,
            mut line,
        } = self;
        let headed = Instant::now();
        let metrics = caller.service.metrics();
        let status = answer.response.status();
        metrics.requests.count(action, status.into(), answer.served);
        metrics
            .request_seconds
            .observe((headed - started).as_secs_f64());
        if let Some(line) = &mut line {
            line.answered(status, answer.digest, answer.served);
        }
        let served = answer.served;
        answer.response.map(|body| ObservedBody {
            body,
            sent: 0,
            failed: false,
            caller,
            started,
            headed,
            action,
            served,
            line,
        })
    }
}

// === impl ObservedBody ===

impl Body for ObservedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => self.sent += frame.data_ref().map_or(0, |bytes| bytes.len() as u64),
            Some(Err(error)) => {
                self.failed = true;
                tracing::warn!(%error, sent = self.sent, "a body was cut short");
            }
            None => {}
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

impl Drop for ObservedBody {
    fn drop(&mut self) {
        let end = match () {
            () if self.failed => BodyEnd::Error,
            () if self.body.is_end_stream() => BodyEnd::Complete,
            () => BodyEnd::Cancelled,
        };
        let metrics = self.caller.service.metrics();
        if let Some(served) = self.served {
            metrics.body_bytes.add(served, self.sent);
        }
        if self.action == Action::BlobGet {
            metrics
                .body_seconds
                .observe(self.headed.elapsed().as_secs_f64());
        }
        match end {
            BodyEnd::Complete => {}
            BodyEnd::Cancelled => metrics.bodies_unfinished.count(Unfinished::Cancelled),
            BodyEnd::Error => metrics.bodies_unfinished.count(Unfinished::Error),
        }
        if let Some(line) = self.line.take() {
            line.write(self.sent, end, self.started.elapsed());
        }
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
