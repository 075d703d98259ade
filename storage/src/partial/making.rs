//! The file of a blob in the making: a partial, or, while another writes the partial of the same blob, a file beside it that
//! nobody goes on with. Everything here may wait for the disk.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cistern_oci::Digest;
use parking_lot::Mutex;

use super::{
    Found, LEAST,
    claims::{Claim, Claimed},
    journal::{About, Journal},
};
use crate::{
    DiskFile, StorageError,
    core::{Core, if_there},
    new_file::NewFile,
};

/// A file in the making. Dropped, a partial stays; a file beside one goes.
pub(crate) enum Making {
    /// One that is gone on with when its writer is cut off.
    Partial(Box<PartialFile>),
    /// One that is not.
    Beside(Mutex<Option<NewFile>>, Digest),
}

/// The two files of a partial, claimed.
pub(crate) struct PartialFile {
    core: Arc<Core>,
    digest: Digest,
    journal: Mutex<Journal>,
    /// Whether there is a line in it that this writer wrote. The journal itself may be waiting for the device.
    is_told: AtomicBool,
    claim: Claim,
}

impl Making {
    /// Goes on with a partial. It is cut to what is trusted of it.
    pub(crate) fn go_on(
        core: &Arc<Core>,
        digest: Digest,
        claim: Claim,
        found: &Found,
        size: Option<u64>,
    ) -> Result<(Self, DiskFile), StorageError> {
        core.still_held()?;
        let opened = open_partial(core, &digest, found, size);
        let (journal, open) = opened.inspect_err(|error| {
            // What cannot be opened must not be in the way of the next one for ever.
            if matches!(error, StorageError::Io { .. }) {
                let _ = core.remove_partial(&digest);
            }
        })?;
        claim.claimed.has_written(found.length);
        claim.claimed.knows(size);
        let partial = PartialFile {
            core: Arc::clone(core),
            digest,
            journal: Mutex::new(journal),
            is_told: AtomicBool::new(true),
            claim,
        };
        Ok((Self::Partial(Box::new(partial)), open))
    }

    /// Begins with nothing; beside another, if there is no claim.
    pub(crate) fn begin(
        core: &Arc<Core>,
        digest: Digest,
        claim: Option<Claim>,
        size: Option<u64>,
    ) -> Result<(Self, DiskFile), StorageError> {
        let Some(claim) = claim else {
            let (file, open) = NewFile::create(core, &digest)?;
            return Ok((Self::Beside(Mutex::new(Some(file)), digest), open));
        };
        core.still_held()?;
        let partial = PartialFile {
            core: Arc::clone(core),
            digest,
            journal: Mutex::new(Journal::new(core, &digest, About::default())),
            is_told: AtomicBool::new(false),
            claim,
        };
        partial.knows(size);
        let open = partial.create()?;
        Ok((Self::Partial(Box::new(partial)), open))
    }

    /// Begins again with nothing, in a new file.
    pub(crate) fn begin_again(
        &self,
        core: &Arc<Core>,
        size: Option<u64>,
    ) -> Result<DiskFile, StorageError> {
        match self {
            Self::Partial(partial) => {
                *partial.journal.lock() = Journal::new(core, &partial.digest, About::default());
                partial.is_told.store(false, Ordering::Release);
                partial.claim.claimed.has_written(0);
                partial.knows(size);
                partial.create()
            }
            Self::Beside(file, digest) => {
                let (new, open) = NewFile::create(core, digest)?;
                *file.lock() = Some(new);
                Ok(open)
            }
        }
    }

    /// How others see it, if they can.
    pub(crate) fn claimed(&self) -> Option<&Claimed> {
        match self {
            Self::Partial(partial) => Some(&partial.claim.claimed),
            Self::Beside(..) => None,
        }
    }

    /// From now on this size is known, or none.
    pub(crate) fn knows(&self, size: Option<u64>) {
        if let Self::Partial(partial) = self {
            partial.knows(size);
        }
    }

    /// So many bytes will be written. From the first ones that are worth it, a kill leaves a partial.
    pub(crate) fn will_have(&self, bytes: u64) -> Result<(), StorageError> {
        match self {
            Self::Partial(partial) if bytes >= LEAST => partial.tell(),
            _ => Ok(()),
        }
    }

    /// So many bytes are written.
    pub(crate) fn has(&self, bytes: u64) {
        if let Some(claimed) = self.claimed() {
            claimed.has_written(bytes);
        }
    }

    /// The device has so many bytes: says so where it outlives a power cut.
    pub(crate) fn is_durable(&self, bytes: u64) -> Result<(), StorageError> {
        match self {
            Self::Partial(partial) => partial.journal.lock().is_durable(bytes),
            Self::Beside(..) => Ok(()),
        }
    }

    /// Gives the file its name. From then on it is no partial any more.
    pub(crate) fn rename(&self, to: &Path) -> Result<(), StorageError> {
        match self {
            Self::Partial(partial) => partial.rename(to),
            Self::Beside(file, _) => {
                let file = file.lock().take();
                file.map_or(Ok(()), |file| file.rename(to))
            }
        }
    }

    /// Removes it.
    pub(crate) fn discard(&self) {
        match self {
            Self::Partial(partial) => {
                if let Err(error) = partial.core.remove_partial(&partial.digest) {
                    tracing::warn!(digest = %partial.digest, %error, "cannot remove a download's bytes; housekeeping will");
                }
            }
            Self::Beside(file, _) => drop(file.lock().take()),
        }
    }
}

/// Opens the two files of a partial.
fn open_partial(
    core: &Arc<Core>,
    digest: &Digest,
    found: &Found,
    size: Option<u64>,
) -> Result<(Journal, DiskFile), StorageError> {
    let path = core.layout.partial(digest);
    let open = core
        .disk
        .open_or_create(&path)
        .map_err(|error| StorageError::io("open", &path, error))?;
    // Before it is said that it is of this start of the machine.
    if found.on_disk != found.length {
        let cut = core.disk.set_length(&open, found.length);
        cut.map_err(|error| StorageError::io("cut", &path, error))?;
    }
    let about = About {
        size,
        durable: found.durable(),
        ..found.about.clone()
    };
    let mut journal = Journal::new(core, digest, about);
    journal.begin()?;
    Ok((journal, open))
}

impl PartialFile {
    fn knows(&self, size: Option<u64>) {
        self.claim.claimed.knows(size);
        self.journal.lock().knows(size);
    }

    /// Makes a partial of the file, if that is not done yet.
    fn tell(&self) -> Result<(), StorageError> {
        if self.is_told.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.journal.lock().begin()
    }

    /// Creates the file, in the place of what is there. Whoever reads that goes on reading it.
    fn create(&self) -> Result<DiskFile, StorageError> {
        let Self { core, digest, .. } = self;
        let about = core.layout.partial_about(digest);
        let was_there = if_there("look at", &about, core.disk.facts(&about))?.is_some();
        core.remove_partial(digest)?;
        if was_there {
            // What was said of other bytes must not come back with the power.
            core.settle(&about, 0)?;
        }
        let path = core.layout.partial(digest);
        core.in_new_directory(&path, || core.disk.create_new(&path))
            .map_err(|error| StorageError::io("create", &path, error))
    }

    fn rename(&self, to: &Path) -> Result<(), StorageError> {
        let Self { core, digest, .. } = self;
        let path = core.layout.partial(digest);
        core.in_new_directory(to, || core.disk.rename(&path, to))
            .map_err(|error| StorageError::io("rename to", to, error))?;
        if self.is_told.load(Ordering::Acquire) {
            let about = core.layout.partial_about(digest);
            if let Err(error) = core.disk.remove(&about) {
                tracing::warn!(path = %about.display(), %error, "cannot remove what was said about a download; housekeeping will");
            }
        }
        Ok(())
    }
}
