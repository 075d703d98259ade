//! The bytes of a blob as a stream that ends neatly only after exactly the bytes of its range.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::Stream;

use crate::{Piece, StorageError};

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
    pieces: Pin<Box<dyn Stream<Item = Result<Piece, ReadError>> + Send>>,
    /// Whether whoever polls can send pieces from their file.
    from_file: Arc<AtomicBool>,
}

impl BlobBytes {
    /// A body that is in memory already.
    pub fn from_bytes(bytes: Bytes) -> Self {
        let piece = (!bytes.is_empty()).then_some(Ok(Piece::Read(bytes)));
        Self {
            pieces: Box::pin(futures_util::stream::iter(piece)),
            from_file: Arc::default(),
        }
    }

    /// A body that some reader produces piece by piece.
    pub(crate) fn from_reader<R: Pieces>(reader: R) -> Self {
        let from_file = Arc::new(AtomicBool::new(false));
        let state = (reader, Arc::clone(&from_file));
        let pieces = futures_util::stream::unfold(Some(state), |state| async move {
            let (mut reader, from_file) = state?;
            match reader.next(from_file.load(Ordering::Relaxed)).await {
                Some(Ok(piece)) => Some((Ok(piece), Some((reader, from_file)))),
                Some(Err(error)) => Some((Err(error), None)),
                None => None,
            }
        });
        Self {
            pieces: Box::pin(pieces),
            from_file,
        }
    }

    /// The next piece, which may be one that still lies in its file: for who can send from there.
    pub fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, ReadError>>> {
        self.poll_any(context, true)
    }

    pub(crate) fn poll_any(
        &mut self,
        context: &mut Context<'_>,
        from_file: bool,
    ) -> Poll<Option<Result<Piece, ReadError>>> {
        self.from_file.store(from_file, Ordering::Relaxed);
        self.pieces.as_mut().poll_next(context)
    }
}

/// Produces the pieces of a body, one after the other.
pub(crate) trait Pieces: Send + 'static {
    /// The next piece; `None` only after all of them. Only if `from_file` it may be one that still lies in its file.
    fn next(
        &mut self,
        from_file: bool,
    ) -> impl Future<Output = Option<Result<Piece, ReadError>>> + Send;
}

impl Stream for BlobBytes {
    type Item = Result<Bytes, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(self.poll_any(context, false));
        Poll::Ready(piece.map(|piece| Ok(piece?.into_bytes()?)))
    }
}

impl fmt::Debug for BlobBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BlobBytes").finish_non_exhaustive()
    }
}
