//! Reading pieces of a file: at once on the reactor when the bytes are in memory, off it when the device has to be waited for.

use std::{io, sync::Arc, time::Instant};

use bytes::Bytes;

use crate::{
    DiskFile, FilePiece, Piece, StorageError,
    buffers::{LARGE, SMALL},
    core::Core,
};

/// A reader that asks for its next piece within this time keeps up.
const KEEPS_UP_MILLIS: u128 = 50;

/// How large the next piece of one reader should be.
#[derive(Debug)]
pub(crate) struct Pace {
    piece: usize,
    last: Option<Instant>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            piece: SMALL,
            last: None,
        }
    }

    /// The size of the next piece, at most `left`.
    pub(crate) fn next(&mut self, left: u64, core: &Core) -> usize {
        let now = Instant::now();
        let keeps_up = self
            .last
            .replace(now)
            .is_some_and(|last| now.duration_since(last).as_millis() < KEEPS_UP_MILLIS);
        if !keeps_up || core.buffers.is_pressed() {
            self.piece = SMALL;
        } else {
            self.piece = (self.piece * 2).min(LARGE);
        }
        usize::try_from(left).map_or(self.piece, |left| left.min(self.piece))
    }
}

/// The next piece of one reader: at most `left` bytes, which are trusted; empty only at the end of the file.
pub(crate) async fn next_piece(
    core: &Arc<Core>,
    file: &Arc<DiskFile>,
    (offset, left): (u64, u64),
    pace: &mut Pace,
    from_file: bool,
) -> Result<Piece, StorageError> {
    // Of a few bytes a copy costs less than a call of their own.
    if from_file
        && left > SMALL as u64
        && let Some(piece) = FilePiece::of(core, file, offset, left)
    {
        return Ok(Piece::InFile(piece));
    }
    let length = pace.next(left, core);
    let bytes = read_piece(core, file, offset, length).await?;
    Ok(Piece::Read(bytes))
}

/// Reads at most `length` bytes; empty only at the end of the file.
async fn read_piece(
    core: &Arc<Core>,
    file: &Arc<DiskFile>,
    offset: u64,
    length: usize,
) -> Result<Bytes, StorageError> {
    let mut buffer = core.buffers.take(length);
    match core.disk.read_at_once(file, buffer.room(length), offset) {
        Ok(count) => return Ok(buffer.into_bytes(count)),
        Err(error) if must_wait(&error) => {}
        Err(error) => return Err(StorageError::io("read", file.path(), error)),
    }
    let file = Arc::clone(file);
    core.off(move |core| {
        let count = core
            .disk
            .read_at(&file, buffer.room(length), offset)
            .map_err(|error| StorageError::io("read", file.path(), error))?;
        Ok(buffer.into_bytes(count))
    })
    .await
}

/// Whether the file system only said that the bytes are not in memory, or that it cannot tell.
fn must_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Unsupported
            | io::ErrorKind::Interrupted
            | io::ErrorKind::InvalidInput
    )
}
