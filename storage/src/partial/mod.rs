//! Partials: what came of a blob before its download was cut off, kept below `cistern/partials` to go on with. A partial is two
//! files: the bytes, and a small one that says how many of them are on the device and in which start of the machine they were
//! written ([`journal`]); without both there is none.
//!
//! In the same start of the machine all bytes of the file are trusted: what a killed process wrote is still in memory. After
//! another start only those that were on the device. Nobody relies on it further than that: a blob is verified whole before
//! it is one.

pub(crate) mod claims;
mod expiry;
mod journal;
mod making;

use std::time::SystemTime;

use cistern_oci::Digest;

use self::journal::About;
pub(crate) use self::making::Making;
use crate::{
    Reserve, StorageError,
    core::{Core, if_there},
    index::time,
    pump::WITHHELD,
};

/// With fewer bytes than this it is as quick to begin anew.
pub(crate) const LEAST: u64 = WITHHELD;

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
    /// How many are left, those that are being written not counted.
    pub left: u64,
}

/// A partial on disk that is worth going on with.
pub(crate) struct Found {
    about: About,
    /// The bytes that are trusted.
    pub(crate) length: u64,
    /// The bytes of the file.
    on_disk: u64,
}

impl Found {
    pub(crate) fn partial(&self) -> Partial {
        Partial {
            length: self.length,
            size: self.about.size,
        }
    }

    /// How many of the trusted bytes are on the device.
    pub(crate) fn durable(&self) -> u64 {
        self.about.durable.min(self.length)
    }

    /// When it was last gone on with; a time that has not come yet is none.
    fn used(&self, now: SystemTime) -> Option<SystemTime> {
        Some(time(self.about.changed)).filter(|used| *used <= now)
    }
}

impl Core {
    /// Looks for a partial. What is too short to be of use, or longer than the blob, counts as none.
    pub(crate) fn find_partial(&self, digest: &Digest) -> Result<Option<Found>, StorageError> {
        let Some(about) = self.about_partial(digest)? else {
            return Ok(None);
        };
        let path = self.layout.partial(digest);
        let facts = if_there("look at", &path, self.disk.facts(&path))?;
        let Some(facts) = facts.filter(|facts| facts.is_regular) else {
            return Ok(None);
        };
        let is_in_memory = about.boot.is_some() && about.boot == self.boot;
        let length = if is_in_memory {
            facts.size
        } else {
            facts.size.min(about.durable)
        };
        let is_of_use = length >= LEAST && about.size.is_none_or(|size| length <= size);
        Ok(is_of_use.then_some(Found {
            about,
            length,
            on_disk: facts.size,
        }))
    }

    /// Removes a partial, what makes it one first. The bytes of its file, if there was one.
    pub(crate) fn remove_partial(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        let about = self.layout.partial_about(digest);
        if_there("remove", &about, self.disk.remove(&about))?;
        let path = self.layout.partial(digest);
        let facts = if_there("look at", &path, self.disk.facts(&path))?;
        let removed = if_there("remove", &path, self.disk.remove(&path))?;
        Ok(removed.and(facts).map(|facts| facts.size))
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
