//! One reader of a growing blob: waits for bytes, and reads those that are there at its own pace.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
};

use cistern_oci::ByteRange;
use tokio::sync::watch;

use super::{Growth, Progress, Reading, Stage};
use crate::{
    BlobBytes, Piece, ReadError, StoredBlob,
    blob_bytes::Pieces,
    reading::{Pace, next_piece},
};

/// Reads one range.
pub(super) struct GrowingReader<F> {
    receiver: watch::Receiver<Progress<F>>,
    at: u64,
    range: ByteRange,
    pace: Pace,
    /// Once the blob is complete: the bytes that are left.
    rest: Option<BlobBytes>,
    _reading: Reading,
}

/// What a reader does next.
enum Step {
    Wait,
    Read { from: Arc<Growth>, left: u64 },
    Finish(StoredBlob),
}

impl<F: Clone + Send + Sync + 'static> GrowingReader<F> {
    pub(super) fn new(
        receiver: watch::Receiver<Progress<F>>,
        range: ByteRange,
        reading: Reading,
    ) -> Self {
        Self {
            receiver,
            at: range.first,
            range,
            pace: Pace::new(),
            rest: None,
            _reading: reading,
        }
    }

    fn step(&mut self) -> Result<Step, ReadError> {
        let progress = self.receiver.borrow_and_update();
        match &progress.stage {
            Stage::Complete(blob) => Ok(Step::Finish(blob.clone())),
            Stage::Writing { from, readable }
            | Stage::Failed {
                rest: Some((from, readable)),
                ..
            } if *readable > self.at => {
                progress.given.store(true, Ordering::Release);
                let end = readable.saturating_sub(1).min(self.range.last);
                Ok(Step::Read {
                    from: Arc::clone(from),
                    left: end - self.at + 1,
                })
            }
            Stage::Failed { .. } => Err(ReadError::Unfinished),
            Stage::Writing { .. } | Stage::Waiting => Ok(Step::Wait),
        }
    }

    async fn piece(&mut self, from_file: bool) -> Result<Option<Piece>, ReadError> {
        loop {
            if let Some(rest) = &mut self.rest {
                return poll_fn(|context| rest.poll_any(context, from_file))
                    .await
                    .transpose();
            }
            match self.step()? {
                Step::Wait => {
                    if self.receiver.changed().await.is_err() {
                        return Err(ReadError::Unfinished);
                    }
                }
                Step::Finish(blob) => {
                    self.rest = Some(blob.read(ByteRange {
                        first: self.at,
                        last: self.range.last,
                    }));
                }
                Step::Read { from, left } => {
                    let place = (self.at, left);
                    let piece =
                        next_piece(&from.core, &from.file, place, &mut self.pace, from_file)
                            .await?;
                    if piece.length() == 0 {
                        return Err(ReadError::Short { size: self.at });
                    }
                    return Ok(Some(piece));
                }
            }
        }
    }
}

impl<F: Clone + Send + Sync + 'static> Pieces for GrowingReader<F> {
    async fn next(&mut self, from_file: bool) -> Option<Result<Piece, ReadError>> {
        if self.at > self.range.last {
            return None;
        }
        match self.piece(from_file).await {
            Ok(Some(piece)) => {
                self.at = self.at.saturating_add(piece.length() as u64);
                Some(Ok(piece))
            }
            Ok(None) => Some(Err(ReadError::Short { size: self.at })),
            Err(error) => Some(Err(error)),
        }
    }
}
