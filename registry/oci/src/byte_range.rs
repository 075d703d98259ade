//! A part of some bytes, once their number is known. Must not know how it was asked for.

use std::fmt;

/// A part of content: from the byte `first` to the byte `last`, both included, counted from zero.
/// Never empty as long as `first` is not beyond `last`. Prints as `0-499`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// The first byte.
    pub first: u64,
    /// The last byte, included.
    pub last: u64,
}

impl ByteRange {
    /// All of the content of this size; None if there is no byte in it.
    pub fn whole(size: u64) -> Option<Self> {
        size.checked_sub(1).map(|last| Self { first: 0, last })
    }

    /// How many bytes these are.
    pub fn length(&self) -> u64 {
        self.last
            .checked_sub(self.first)
            .map_or(0, |more| more.saturating_add(1))
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.first, self.last)
    }
}
