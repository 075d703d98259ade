//! Partials: what came of a blob before its download was cut off, kept to go on with.

use std::time::SystemTime;

use crate::Reserve;

/// What is there of a blob that is not whole yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// How many of its first bytes are there and can be trusted to be what came.
    pub length: u64,
    /// How many it will be, if that was known.
    pub size: Option<u64>,
}

/// How many partials may be kept.
#[derive(Clone, Copy, Debug)]
pub struct PartialBounds {
    /// At most so many.
    pub most: usize,
    /// At most so many bytes of them all, or such a share of the disk.
    pub bytes: Reserve,
    /// Those that were not gone on with since then go. `None`: their age does not count.
    pub unused_since: Option<SystemTime>,
}

/// What was dropped of the partials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many partials.
    pub partials: u64,
    /// The bytes that came of them.
    pub bytes: u64,
}
