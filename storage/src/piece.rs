//! A piece of a body: bytes that were read, or bytes that still lie in their file and can go to a socket from there.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use bytes::Bytes;

use crate::{DiskFile, StorageError, core::Core};

/// A piece of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes.
    Read(Bytes),
    /// Bytes that lie in memory as part of a file.
    InFile(FilePiece),
}

impl Piece {
    /// How many bytes it has.
    pub fn length(&self) -> usize {
        match self {
            Self::Read(bytes) => bytes.len(),
            Self::InFile(piece) => piece.length(),
        }
    }

    /// The bytes themselves.
    pub(crate) fn into_bytes(self) -> Result<Bytes, StorageError> {
        match self {
            Self::Read(bytes) => Ok(bytes),
            Self::InFile(piece) => piece.read(),
        }
    }
}

/// Bytes of an open file that are trusted and were in memory a moment ago.
pub struct FilePiece {
    core: Arc<Core>,
    file: Arc<DiskFile>,
    offset: u64,
    length: usize,
}

impl FilePiece {
    /// No piece is longer, in bytes.
    pub const LONGEST: usize = 2 * 1024 * 1024;

    /// These bytes, if they are in memory; at most [`FilePiece::LONGEST`] of them.
    pub(crate) fn of(
        core: &Arc<Core>,
        file: &Arc<DiskFile>,
        offset: u64,
        left: u64,
    ) -> Option<Self> {
        let length = usize::try_from(left).map_or(Self::LONGEST, |left| left.min(Self::LONGEST));
        let is_there = core.disk.is_in_memory(file, offset, length);
        is_there.then(|| Self {
            core: Arc::clone(core),
            file: Arc::clone(file),
            offset,
            length,
        })
    }

    /// How many bytes are still to be sent.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Hands bytes to a socket that does not block, as many as it takes: how many.
    ///
    /// # Errors
    /// `WouldBlock` when it takes none now, `UnexpectedEof` when the file has become shorter than it was, or what the socket says.
    pub fn send(&mut self, to: &impl AsFd) -> io::Result<usize> {
        self.send_to(to.as_fd())
    }

    fn send_to(&mut self, to: BorrowedFd<'_>) -> io::Result<usize> {
        let sent = self
            .core
            .disk
            .send(&self.file, to, self.offset, self.length)?;
        if sent == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += sent as u64;
        self.length = self.length.saturating_sub(sent);
        Ok(sent)
    }

    /// All of the bytes: a piece that has become shorter is an error, or a body would end neatly before its range does.
    fn read(self) -> Result<Bytes, StorageError> {
        let mut bytes = vec![0; self.length];
        let mut filled = 0;
        let failed = |error| StorageError::io("read", self.file.path(), error);
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let offset = self.offset + filled as u64;
            match self.core.disk.read_at(&self.file, rest, offset) {
                Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => filled += count,
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(bytes.into())
    }
}

impl fmt::Debug for FilePiece {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FilePiece")
            .field("offset", &self.offset)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
