//! Pieces of files on their way past hyper, which knows bytes only.
//!
//! A body that has a piece of a file puts it here and gives hyper as many *stand-in* bytes, which nobody reads or copies. When hyper
//! wants to write those, the socket knows them by their address and lets the system send the piece from its file instead. Both go
//! through one connection in the same order, so that the first piece here is always the one that is meant; if ever it were not,
//! the connection is cut.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::LazyLock;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::pull::{FilePiece, Piece};

/// Never written to and never read, so that it takes addresses but no memory.
static STAND_IN: LazyLock<&'static [u8]> =
    LazyLock::new(|| Box::leak(vec![0; FilePiece::LONGEST].into_boxed_slice()));

/// The pieces of one connection that hyper has in hand.
#[derive(Debug, Default)]
pub(super) struct Handover {
    waiting: Mutex<VecDeque<FilePiece>>,
}

// === impl Handover ===

impl Handover {
    /// What hyper gets for a piece: its bytes, or others that stand for it.
    pub(super) fn bytes_for(&self, piece: Piece) -> Bytes {
        match piece {
            Piece::Read(bytes) => bytes,
            Piece::InFile(piece) => self.put(piece),
        }
    }

    fn put(&self, piece: FilePiece) -> Bytes {
        let length = piece.length();
        self.waiting.lock().push_back(piece);
        Bytes::from_static(STAND_IN.get(..length).unwrap_or_default())
    }

    /// Sends the piece that `length` stand-in bytes, of those at the front, stand for: how many of them went.
    ///
    /// # Errors
    /// What the socket says; or that the bytes stand for nothing, or not for so much.
    pub(super) fn send(&self, socket: &impl AsFd, length: usize) -> io::Result<usize> {
        let mut waiting = self.waiting.lock();
        let piece = waiting
            .front_mut()
            .filter(|piece| piece.length() == length)
            .ok_or_else(out_of_step)?;
        let sent = piece.send(socket)?;
        if piece.length() == 0 {
            waiting.pop_front();
        }
        Ok(sent)
    }
}

/// Whether these bytes stand for a piece of a file.
pub(super) fn is_stand_in(bytes: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&bytes.as_ptr())
}

/// Stand-in bytes must never reach the wire.
pub(super) fn out_of_step() -> io::Error {
    io::Error::other("a piece of a file is not where it should be")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_that_stand_for_nothing_are_never_sent() {
        let (here, there) = UnixStream::pair().unwrap();
        let handover = Handover::default();
        let error = handover.send(&here, 4096).unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock);
        there.set_nonblocking(true).unwrap();
        let nothing = io::Read::read(&mut &there, &mut [0; 1]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn stand_ins_are_known_wherever_they_were_cut_and_other_bytes_are_not_taken_for_them() {
        let all = Bytes::from_static(*STAND_IN);
        assert!(is_stand_in(&all));
        assert!(is_stand_in(&all.slice(FilePiece::LONGEST - 1..)));
        assert!(!is_stand_in(&vec![0; FilePiece::LONGEST]));
        assert!(!is_stand_in(b""));
        let bytes = Bytes::from_static(b"some bytes");
        let same = Handover::default().bytes_for(Piece::Read(bytes.clone()));
        assert_eq!(same, bytes);
        assert!(!is_stand_in(&same));
    }
}
