//! The bytes of an opened blob, wherever they come from.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cistern_storage::{BlobBytes, Piece, ReadError};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};

use super::hold::Patient;
use crate::upstream::UpstreamError;

/// A body ended before its last byte. Whoever sends it on must cut the connection, never end it neatly.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BodyBroke(pub String);

/// The bytes of an opened blob.
pub enum BlobBody {
    /// From the store.
    Stored(BlobBytes),
    /// From a running download.
    Growing(Box<GrowingBody>),
    /// Straight from an upstream, not kept here.
    Passing(BoxStream<'static, Result<Bytes, BodyBroke>>),
}

/// The bytes of a running download, for a caller that is held while the download waits for its link, if there is a place.
pub struct GrowingBody {
    bytes: BlobBytes,
    patient: Patient,
}

impl GrowingBody {
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        next: impl FnOnce(&mut BlobBytes, &mut Context<'_>) -> Poll<Option<Result<T, ReadError>>>,
    ) -> Poll<Option<Result<T, BodyBroke>>> {
        let polled = next(&mut self.bytes, context);
        if polled.is_pending()
            && let Err(down) = self.patient.poll_look(context)
        {
            return Poll::Ready(Some(Err(not_held(&down))));
        }
        polled.map_err(|error| BodyBroke(error.to_string()))
    }
}

fn not_held(down: &UpstreamError) -> BodyBroke {
    BodyBroke(format!(
        "as many callers as proxy.holdlimit allows are waiting already: {down}"
    ))
}

impl BlobBody {
    /// From a running download, for this caller.
    pub(super) fn growing(bytes: BlobBytes, patient: Patient) -> Self {
        Self::Growing(Box::new(GrowingBody { bytes, patient }))
    }

    /// No bytes at all: a blob of size zero.
    pub fn empty() -> Self {
        Self::Passing(stream::empty().boxed())
    }

    /// The next piece, which may be one that still lies in its file: for who can send from there.
    pub fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BodyBroke>>> {
        match self {
            Self::Stored(bytes) => bytes
                .poll_piece(context)
                .map_err(|error| BodyBroke(error.to_string())),
            Self::Growing(body) => body.poll(context, BlobBytes::poll_piece),
            Self::Passing(bytes) => bytes.poll_next_unpin(context).map_ok(Piece::Read),
        }
    }
}

impl From<BlobBytes> for BlobBody {
    fn from(bytes: BlobBytes) -> Self {
        Self::Stored(bytes)
    }
}

impl Stream for BlobBody {
    type Item = Result<Bytes, BodyBroke>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.get_mut() {
            Self::Stored(bytes) => bytes
                .poll_next_unpin(context)
                .map_err(|error| BodyBroke(error.to_string())),
            Self::Growing(body) => body.poll(context, StreamExt::poll_next_unpin),
            Self::Passing(bytes) => bytes.poll_next_unpin(context),
        }
    }
}
