//! A body from an upstream on its way through: passed on as it comes, watched for silence and for an early end.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http_body::Body as _;
use tokio::time::Sleep;

use super::address::host_and_port;
use super::redirect::Arrival;
use super::{Budget, Fault, LinkFault, Priority, Taken, UpstreamError, answer, link};

/// The bytes of an answer as they arrive. Ends with an error item where the connection broke, fell silent or brought fewer
/// bytes than the answer had announced.
pub struct UpstreamBody {
    inner: reqwest::Body,
    host: Arc<str>,
    /// Bytes still to come, where a range tells; a `Content-Length` is watched by the client itself.
    remaining: Option<u64>,
    idle: Duration,
    /// Runs while nothing comes.
    silence: Option<Pin<Box<Sleep>>>,
    budget: Budget,
    priority: Priority,
    /// What came and has not been passed on. While there is any nothing more is read, and the upstream is held back.
    held: Bytes,
    /// The wait for the budget's share of its first bytes, and how many these are.
    waiting: Option<(Taken, usize)>,
    is_over: bool,
}

impl UpstreamBody {
    /// `length` is what a range announces. `idle` is how long nothing may come while somebody wants it to.
    pub(super) fn new(
        arrival: Arrival,
        length: Option<u64>,
        idle: Duration,
        budget: Budget,
    ) -> Self {
        Self {
            host: host_and_port(&arrival.url),
            inner: arrival.response.into(),
            remaining: length,
            idle,
            silence: None,
            budget,
            priority: Priority::default(),
            held: Bytes::new(),
            waiting: None,
            is_over: false,
        }
    }

    /// From now on the bytes are taken from the budget at this priority.
    pub fn set_priority(&mut self, priority: Priority) {
        self.priority = priority;
        if let Some((taken, _)) = &mut self.waiting {
            taken.set_priority(priority);
        }
    }

    /// Whether bytes have come that wait for the budget: then it is no silence of the upstream if none are passed on.
    pub fn holds_bytes(&self) -> bool {
        !self.held.is_empty()
    }

    /// The next part of what is held, as soon as the budget has its bytes. No silence of the upstream: it would send more.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.held.is_empty() {
            return Poll::Ready(None);
        }
        let (taken, length) = self.waiting.get_or_insert_with(|| {
            let length = self.held.len().min(self.budget.part());
            (self.budget.take(length, self.priority), length)
        });
        ready!(Pin::new(taken).poll(context));
        let length = *length;
        self.waiting = None;
        Poll::Ready(Some(self.held.split_to(length.min(self.held.len()))))
    }

    /// The next piece as the connection has it.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            let frame = match Pin::new(&mut self.inner).poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return self.poll_silence(context),
            };
            self.silence = None;
            let piece = match frame {
                None => return Poll::Ready(self.end()),
                Some(Err(error)) => return Poll::Ready(Some(Err(link::fault_of(&error)))),
                // Trailers say nothing to us.
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            if !piece.is_empty() {
                return Poll::Ready(Some(self.count(piece)));
            }
        }
    }

    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let idle = self.idle;
        let silence = self
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        ready!(silence.as_mut().poll(context));
        let detail = format!("the body stopped for {} s", idle.as_secs_f32());
        Poll::Ready(Some(Err(Fault::Unreachable {
            link: LinkFault::Timeout,
            detail,
        })))
    }

    fn count(&mut self, piece: Bytes) -> Result<Bytes, Fault> {
        if let Some(remaining) = self.remaining {
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            let Some(rest) = remaining.checked_sub(length) else {
                return Err(Fault::Invalid(
                    "sent more bytes than its Content-Range says".to_owned(),
                ));
            };
            self.remaining = Some(rest);
        }
        Ok(piece)
    }

    fn end(&self) -> Option<Result<Bytes, Fault>> {
        let missing = self.remaining.filter(|remaining| *remaining > 0)?;
        let detail = format!("the body ended {missing} bytes before the end of its range");
        Some(Err(Fault::Unreachable {
            link: LinkFault::Closed,
            detail,
        }))
    }
}

impl Stream for UpstreamBody {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(part) = ready!(this.poll_held(context)) {
                return Poll::Ready(Some(Ok(part)));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            match ready!(this.poll_piece(context)) {
                Some(Ok(piece)) => this.held = piece,
                Some(Err(fault)) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(fault.at(&this.host))));
                }
                None => this.is_over = true,
            }
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody")
            .field("host", &self.host)
            .field("remaining", &self.remaining)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

/// Reads a body that shall fit into memory; one that does not, or never ends, is given up at the limit.
pub(super) async fn read_all(mut body: UpstreamBody, at_most: u64) -> Result<Bytes, UpstreamError> {
    let host = Arc::clone(&body.host);
    let limit = usize::try_from(at_most).unwrap_or(usize::MAX);
    let mut whole = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        if piece.len() > limit - whole.len() {
            return Err(Fault::Invalid(format!(
                "sent more than {at_most} bytes where that is the limit"
            ))
            .at(&host));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// Refuses a body that is not sent as its bare bytes: what it decodes to may be anything, and its digest is of the bytes.
pub(super) fn require_bare(arrival: &Arrival) -> Result<(), UpstreamError> {
    match answer::content_encoding(arrival.headers()) {
        None => Ok(()),
        Some(coding) => {
            let coding: String = coding.chars().take(20).collect();
            Err(arrival.fault(Fault::Invalid(format!(
                "sent its answer with Content-Encoding {coding:?}, which was not asked for"
            ))))
        }
    }
}
