//! A part of some bytes as a caller asks for it, before their number is known. Must not know
//! headers; see `RangeHeader`.

use crate::ByteRange;

#[cfg(test)]
mod tests;

/// One range as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RangeRequest {
    /// From the byte `first` to the byte `last`, included, or to the end: `500-999`, `500-`.
    FromTo {
        /// The first byte wanted, counted from zero.
        first: u64,
        /// The last byte wanted; it may lie beyond the end, or before `first`.
        last: Option<u64>,
    },
    /// The last so many bytes: `-500`.
    Last {
        /// How many.
        length: u64,
    },
}

/// Content of this size has no byte that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("none of the bytes asked for exists, the content has {size}")]
pub struct NotSatisfiable {
    /// The size of the content in bytes.
    pub size: u64,
}

impl RangeRequest {
    /// The bytes that are meant, in content of this size: an end beyond the content is taken as its
    /// end, and more than all of the last bytes as all. Nothing can be given if the range begins
    /// behind the end, ends before it begins, or asks for the last zero bytes.
    pub fn within(self, size: u64) -> Result<ByteRange, NotSatisfiable> {
        let end = size.checked_sub(1).ok_or(NotSatisfiable { size })?;
        let range = match self {
            Self::FromTo { first, last } => ByteRange {
                first,
                last: last.map_or(end, |last| last.min(end)),
            },
            Self::Last { length: 0 } => return Err(NotSatisfiable { size }),
            Self::Last { length } => ByteRange {
                first: size.saturating_sub(length),
                last: end,
            },
        };
        if range.first > range.last {
            Err(NotSatisfiable { size })
        } else {
            Ok(range)
        }
    }
}
