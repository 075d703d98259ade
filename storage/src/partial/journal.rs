//! What is known about a partial's bytes beside the bytes: a small file with two slots that are written in turn, so that one of
//! them is whole whenever the power fails. A slot is one line: a checksum and JSON.

use std::{path::PathBuf, sync::Arc};

use cistern_oci::{Algorithm, Digest};
use serde::{Deserialize, Serialize};

use crate::{
    DiskFile, StorageError,
    core::{Core, if_there},
    disk::read_whole,
    index::nanoseconds,
};

/// How long a slot is: what a device writes whole or not at all.
const SLOT: usize = 512;
/// The longest file that is read.
const LONGEST: u64 = 2 * SLOT as u64;
/// How much of the checksum is written, in characters.
const CHECKSUM: usize = 16;

/// What one slot says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// Of two slots, the one with the higher number counts.
    pub(super) number: u64,
    /// How many bytes there will be, if that is known.
    pub(crate) size: Option<u64>,
    /// So many of the first bytes are on the device.
    pub(crate) durable: u64,
    /// The start of the machine in which the file was last written to, where the system names it.
    pub(crate) boot: Option<String>,
    /// When that was, in nanoseconds since 1970.
    pub(crate) changed: u64,
}

impl About {
    fn to_slot(&self) -> Vec<u8> {
        let json = serde_json::to_string(self).unwrap_or_default();
        let mut slot = format!("{} {json}\n", checksum(&json)).into_bytes();
        slot.resize(SLOT, b' ');
        slot
    }

    fn from_slot(slot: &[u8]) -> Option<Self> {
        let (line, _) = str::from_utf8(slot).ok()?.split_once('\n')?;
        let (sum, json) = line.split_once(' ')?;
        (sum == checksum(json)).then(|| serde_json::from_str(json).ok())?
    }
}

fn checksum(json: &str) -> String {
    let digest = Digest::of(Algorithm::Sha256, json.as_bytes());
    digest.hex().chars().take(CHECKSUM).collect()
}

impl Core {
    /// What the small file of a partial says; one that makes no sense says nothing.
    pub(crate) fn about_partial(&self, digest: &Digest) -> Result<Option<About>, StorageError> {
        let path = self.layout.partial_about(digest);
        let text = if_there("read", &path, read_whole(&*self.disk, &path, LONGEST))?;
        let slots = text.iter().flat_map(|text| text.chunks(SLOT));
        Ok(slots
            .filter_map(About::from_slot)
            .max_by_key(|about| about.number))
    }
}

/// Writes what is known about one partial.
pub(crate) struct Journal {
    core: Arc<Core>,
    path: PathBuf,
    about: About,
    /// Opened with the first line that is written.
    file: Option<DiskFile>,
    /// Whether the names of the partial are on the device.
    is_named: bool,
}

impl Journal {
    /// Of a partial of which this is known, or nothing. Touches no disk.
    pub(crate) fn new(core: &Arc<Core>, digest: &Digest, about: About) -> Self {
        Self {
            core: Arc::clone(core),
            path: core.layout.partial_about(digest),
            about,
            file: None,
            is_named: false,
        }
    }

    /// From now on this size is known, or none.
    pub(crate) fn knows(&mut self, size: Option<u64>) {
        self.about.size = size;
    }

    /// Says that the partial is being written to in this start of the machine.
    pub(crate) fn begin(&mut self) -> Result<(), StorageError> {
        self.write(self.about.durable)
    }

    /// Says, so that it outlives a power cut, that so many bytes do.
    pub(crate) fn is_durable(&mut self, durable: u64) -> Result<(), StorageError> {
        self.write(durable)?;
        if let Some(file) = &self.file {
            let synced = self.core.disk.sync(file);
            synced.map_err(|error| StorageError::io("sync", &self.path, error))?;
        }
        if !self.is_named {
            self.core.settle(&self.path, 0)?;
            self.is_named = true;
        }
        Ok(())
    }

    fn write(&mut self, durable: u64) -> Result<(), StorageError> {
        let Self { core, path, .. } = self;
        self.about.number += 1;
        self.about.durable = durable;
        self.about.boot.clone_from(&core.boot);
        self.about.changed = nanoseconds(core.now());
        let file = match self.file.take() {
            Some(file) => file,
            None => core
                .in_new_directory(path, || core.disk.open_or_create(path))
                .map_err(|error| StorageError::io("open", path, error))?,
        };
        let offset = self.about.number % 2 * SLOT as u64;
        let written = core.disk.write_at(&file, &self.about.to_slot(), offset);
        self.file = Some(file);
        written.map_err(|error| StorageError::io("write", path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_was_torn_says_nothing() {
        let about = About {
            number: u64::MAX,
            size: Some(u64::MAX),
            durable: u64::MAX,
            boot: Some("6d4b3c0e-8f57-4d37-9a5e-0c2a9d1f7b11".to_owned()),
            changed: u64::MAX,
        };
        let slot = about.to_slot();
        assert_eq!(slot.len(), SLOT, "the longest fits");
        assert_eq!(About::from_slot(&slot), Some(about.clone()));
        let other = About {
            durable: u64::MAX - 1,
            ..about
        };
        let other = other.to_slot();
        for cut in 0..SLOT {
            let torn = [&slot[..cut], &other[cut..]].concat();
            let read = About::from_slot(&torn).map(|about| about.to_slot());
            assert!(read.is_none_or(|read| read == slot || read == other));
        }
        assert_eq!(About::from_slot(&[0; SLOT]), None);
        assert_eq!(About::from_slot(&slot[..100]), None);
    }
}
