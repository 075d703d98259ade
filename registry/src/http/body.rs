//! The bodies of answers: none, a few bytes, or a blob as it is read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::handover::Handover;
use crate::pull::{BlobBody, BodyBroke};
use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};

/// What follows the head of an answer.
pub(super) enum AnswerBody {
    /// Nothing: HEAD, 304.
    Empty,
    /// All of it at once.
    Whole(Bytes),
    /// A blob, or a part of one, of a known length.
    Blob {
        /// The bytes.
        bytes: BlobBody,
        /// How many are still to come.
        left: u64,
        /// Where pieces of files go, if the socket can send them.
        handover: Option<Arc<Handover>>,
    },
    /// A page.
    Page(axum::body::Body),
}

/// Why a body could not be completed. hyper closes the connection on it; nothing more is written.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error(transparent)]
    Read(#[from] BodyBroke),
    #[error("the bytes ended {left} before the promised length")]
    Short { left: u64 },
    #[error(transparent)]
    Page(#[from] axum::Error),
}

// === impl AnswerBody ===

impl AnswerBody {
    /// The bytes of a blob, `left` of them.
    pub(super) fn blob(bytes: BlobBody, left: u64) -> Self {
        Self::Blob {
            bytes,
            left,
            handover: None,
        }
    }

    /// Sends pieces of files from where they lie.
    pub(super) fn hand_over_to(&mut self, to: Option<&Arc<Handover>>) {
        if let Self::Blob { handover, .. } = self {
            *handover = to.map(Arc::clone);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        match body {
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *body = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Empty | Self::Blob { left: 0, .. } => Poll::Ready(None),
            Self::Blob {
                bytes,
                left,
                handover,
            } => {
                let piece = match handover {
                    None => ready!(Pin::new(bytes).poll_next(context)),
                    Some(handover) => ready!(bytes.poll_piece(context))
                        .map(|piece| Ok(handover.bytes_for(piece?))),
                };
                Poll::Ready(Some(match piece {
                    // An end that comes too early must never look like an end.
                    None => Err(BodyError::Short { left: *left }),
                    Some(Err(error)) => Err(error.into()),
                    Some(Ok(piece)) => {
                        *left = left.saturating_sub(piece.len() as u64);
                        Ok(Frame::data(piece))
                    }
                }))
            }
            Self::Page(page) => Pin::new(page).poll_frame(context).map_err(BodyError::Page),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Blob { left, .. } => *left == 0,
            Self::Page(page) => page.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Blob { left, .. } => SizeHint::with_exact(*left),
            Self::Page(page) => page.size_hint(),
        }
    }
}
