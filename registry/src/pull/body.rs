//! The bytes of an opened blob, wherever they come from.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cistern_storage::{BlobBytes, Piece};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};

/// A body ended before its last byte. Whoever sends it on must cut the connection, never end it neatly.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct BodyBroke(pub String);

/// The bytes of an opened blob.
pub enum BlobBody {
    /// From the store or a running download.
    Stored(BlobBytes),
    /// Straight from an upstream, not kept here.
    Passing(BoxStream<'static, Result<Bytes, BodyBroke>>),
}

impl BlobBody {
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
            Self::Passing(bytes) => bytes.poll_next_unpin(context),
        }
    }
}
