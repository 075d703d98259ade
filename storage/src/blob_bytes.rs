//! The bytes of a blob as a stream that ends neatly only after exactly the bytes of its range.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::Stream;

use crate::StorageError;

/// Why a body could not be read to its end. The connection must be cut: what was sent is not all.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk refused, or the stored bytes proved damaged.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The blob was still growing and did not come to its end; its download knows why.
    #[error("the blob did not arrive to its end")]
    Unfinished,
    /// The blob ended before the range did.
    #[error("the blob ended at byte {size}, before the range that was asked for")]
    Short {
        /// The blob's real size.
        size: u64,
    },
}

/// The bytes of a blob's range: exactly them, or an error item, after which nothing comes. Never a neat end before the
/// range's end.
pub struct BlobBytes {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, ReadError>> + Send>>,
}

impl BlobBytes {
    /// A body that is in memory already.
    pub fn from_bytes(bytes: Bytes) -> Self {
        let piece = (!bytes.is_empty()).then_some(Ok(bytes));
        Self {
            pieces: Box::pin(futures_util::stream::iter(piece)),
        }
    }

    /// A body that some reader produces piece by piece.
    pub(crate) fn from_reader<R: Pieces>(reader: R) -> Self {
        let pieces = futures_util::stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match reader.next().await {
                Some(Ok(piece)) => Some((Ok(piece), Some(reader))),
                Some(Err(error)) => Some((Err(error), None)),
                None => None,
            }
        });
        Self {
            pieces: Box::pin(pieces),
        }
    }
}

/// Produces the pieces of a body, one after the other.
pub(crate) trait Pieces: Send + 'static {
    /// The next piece; `None` only after all of them.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, ReadError>>> + Send;
}

impl Stream for BlobBytes {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.as_mut().poll_next(context)
    }
}

impl fmt::Debug for BlobBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BlobBytes").finish_non_exhaustive()
    }
}
