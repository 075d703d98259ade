//! Buffers that bodies are read into, used again and again: a buffer comes back when the last view of its bytes is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;

/// The piece a reader begins with, and slow readers keep.
pub(crate) const SMALL: usize = 64 * 1024;
/// The piece of a reader that keeps up.
pub(crate) const LARGE: usize = 256 * 1024;

/// Buffers kept for later, of each kind.
const IDLE_SMALL: usize = 64;
const IDLE_LARGE: usize = 48;
/// With so much in flight, no more large pieces: many readers must not cost much memory.
const PRESSED: usize = 16 * 1024 * 1024;

/// A pool of buffers of two sizes.
#[derive(Default)]
pub(crate) struct Buffers {
    small: Mutex<Vec<Vec<u8>>>,
    large: Mutex<Vec<Vec<u8>>>,
    /// Bytes of all buffers in use.
    in_use: AtomicUsize,
}

impl Buffers {
    /// A buffer for at most `length` bytes, of at most [`LARGE`].
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Buffer {
        let (kept, size) = if length <= SMALL {
            (&self.small, SMALL)
        } else {
            (&self.large, LARGE)
        };
        let bytes = kept.lock().pop().unwrap_or_else(|| vec![0; size]);
        self.in_use.fetch_add(bytes.len(), Ordering::Relaxed);
        Buffer {
            bytes,
            filled: 0,
            pool: Arc::clone(self),
        }
    }

    /// Whether so much is in flight that pieces should be small.
    pub(crate) fn is_pressed(&self) -> bool {
        self.in_use.load(Ordering::Relaxed) > PRESSED
    }

    /// Lets go of what is not in use.
    pub(crate) fn trim(&self) {
        for kept in [&self.small, &self.large] {
            *kept.lock() = Vec::new();
        }
    }

    fn put_back(&self, bytes: Vec<u8>) {
        self.in_use.fetch_sub(bytes.len(), Ordering::Relaxed);
        let (kept, most) = if bytes.len() == SMALL {
            (&self.small, IDLE_SMALL)
        } else {
            (&self.large, IDLE_LARGE)
        };
        let mut kept = kept.lock();
        if kept.len() < most {
            kept.push(bytes);
        }
    }
}

/// One buffer; it goes back to its pool when dropped.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    filled: usize,
    pool: Arc<Buffers>,
}

impl Buffer {
    /// Room for at most `length` bytes.
    pub(crate) fn room(&mut self, length: usize) -> &mut [u8] {
        let length = length.min(self.bytes.len());
        self.bytes.get_mut(..length).unwrap_or_default()
    }

    /// The first `filled` bytes, as a value that gives the buffer back when it goes.
    pub(crate) fn into_bytes(mut self, filled: usize) -> Bytes {
        self.filled = filled;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.put_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_once_its_last_view_is_gone() {
        let pool = Arc::new(Buffers::default());
        let mut buffer = pool.take(10);
        buffer.room(3).copy_from_slice(b"abc");
        let place = buffer.bytes.as_ptr();
        let bytes = buffer.into_bytes(3);
        let view = bytes.slice(1..);
        drop(bytes);
        assert_eq!(&view[..], b"bc");
        assert_eq!(pool.in_use.load(Ordering::Relaxed), SMALL);
        drop(view);
        assert_eq!(pool.in_use.load(Ordering::Relaxed), 0);
        assert_eq!(pool.take(10).bytes.as_ptr(), place);
    }

    #[test]
    fn idle_buffers_are_bounded() {
        let pool = Arc::new(Buffers::default());
        let many: Vec<_> = (0..IDLE_LARGE + 20).map(|_| pool.take(LARGE)).collect();
        assert!(pool.is_pressed());
        drop(many);
        assert_eq!(pool.large.lock().len(), IDLE_LARGE);
        pool.trim();
        assert!(pool.large.lock().is_empty());
        assert!(!pool.is_pressed());
    }
}
