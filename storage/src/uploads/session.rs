//! One push while somebody has the turn on it: its file, how far that is written and hashed. Everything here may wait for the
//! disk, except to take bytes in; it lives on until the last write that was begun is done, so the turn does too.

use std::{mem, sync::Arc};

use bytes::{Buf, Bytes};
use cistern_oci::{Algorithm, Digest, Hasher, RepositoryName, UploadId};
use parking_lot::Mutex;

use super::turns::{Hashed, OneTurn};
use crate::{
    CommitError, StorageError,
    core::{Core, if_there},
    durable::ABOVE_BLOB,
    growing::Growth,
    memory::Trust,
    pump::sync,
};

/// So much is taken in before it is written. While it is being written as much again is taken in; not more, as many push at once.
pub(super) const BATCH: usize = 64 * 1024;

/// One push.
pub(super) struct Session {
    pub(super) file: Arc<Growth>,
    of: RepositoryName,
    writing: Mutex<Writing>,
    /// What was taken in and is not being written yet.
    waiting: Mutex<Vec<u8>>,
    turn: OneTurn,
}

struct Writing {
    /// Bytes in the file.
    written: u64,
    /// Has seen the first `hashed` of them.
    hasher: Hasher,
    hashed: u64,
    failed: Option<StorageError>,
    /// The push is no more.
    ended: bool,
}

impl Session {
    /// Opens the file of a push; `None`: there is none.
    pub(super) fn open(
        core: &Arc<Core>,
        turn: OneTurn,
        of: RepositoryName,
        algorithm: Algorithm,
    ) -> Result<Option<Self>, StorageError> {
        let path = core.layout.upload_data(turn.id());
        let Some(facts) = if_there("look at", &path, core.disk.facts(&path))? else {
            return Ok(None);
        };
        let file = core
            .disk
            .open_or_create(&path)
            .map_err(|error| StorageError::io("open", &path, error))?;
        turn.has_received(facts.size);
        let known = turn
            .hashed()
            .filter(|known| known.length <= facts.size)
            .unwrap_or_else(|| Hashed::nothing(algorithm, core.now()));
        Ok(Some(Self {
            file: Arc::new(Growth {
                core: Arc::clone(core),
                file: Arc::new(file),
            }),
            of,
            writing: Mutex::new(Writing {
                written: facts.size,
                hasher: known.hasher,
                hashed: known.length,
                failed: None,
                ended: false,
            }),
            waiting: Mutex::default(),
            turn,
        }))
    }

    pub(super) fn id(&self) -> &UploadId {
        self.turn.id()
    }

    /// How many bytes are in the file.
    pub(super) fn written(&self) -> u64 {
        self.writing.lock().written
    }

    /// Takes in as much as fits; how much. Never waits for the disk.
    pub(super) fn take_in(&self, bytes: &mut Bytes, received: u64) -> usize {
        let mut waiting = self.waiting.lock();
        let taken = bytes.len().min(BATCH.saturating_sub(waiting.len()));
        if waiting.capacity() == 0 {
            waiting.reserve_exact(BATCH);
        }
        waiting.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        bytes.advance(taken);
        self.turn.has_received(received + taken as u64);
        taken
    }

    /// Whether no more fits before something is written.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.lock().len() >= BATCH
    }

    pub(super) fn is_anything_waiting(&self) -> bool {
        !self.waiting.lock().is_empty()
    }

    /// Writes what is waiting; how many bytes are in the file then. Once it has failed it goes on failing.
    pub(super) fn write_waiting(&self) -> Result<u64, StorageError> {
        let mut writing = self.writing.lock();
        self.write_to_the_end(&mut writing)
    }

    fn write_to_the_end(&self, writing: &mut Writing) -> Result<u64, StorageError> {
        if let Some(error) = &writing.failed {
            return Err(error.clone());
        }
        let bytes = mem::take(&mut *self.waiting.lock());
        if !bytes.is_empty()
            && let Err(error) = self.write(writing, &bytes)
        {
            // What came of the failed write is no part of the push.
            let Growth { core, file } = &*self.file;
            let _ = core.disk.set_length(file, writing.written);
            self.turn.has_received(writing.written);
            writing.failed = Some(error.clone());
            return Err(error);
        }
        Ok(writing.written)
    }

    fn write(&self, writing: &mut Writing, bytes: &[u8]) -> Result<(), StorageError> {
        let Growth { core, file } = &*self.file;
        if core.room()? == 0 {
            return Err(StorageError::Full);
        }
        self.catch_up(writing)?;
        core.disk
            .write_at(file, bytes, writing.written)
            .map_err(|error| StorageError::io("write", file.path(), error))?;
        writing.hasher.update(bytes);
        writing.written += bytes.len() as u64;
        writing.hashed = writing.written;
        Ok(())
    }

    /// Hashes what is in the file and was not hashed, as after a restart.
    fn catch_up(&self, writing: &mut Writing) -> Result<(), StorageError> {
        let range = (writing.hashed, writing.written);
        self.file
            .core
            .hash_part(&self.file.file, range, &mut writing.hasher)?;
        writing.hashed = writing.written;
        Ok(())
    }

    // === the end ===

    /// Makes a blob of it that its repository holds. Its size.
    pub(super) fn commit(&self, digest: &Digest) -> Result<u64, CommitError> {
        let mut writing = self.writing.lock();
        let size = self.write_to_the_end(&mut writing)?;
        let actual = self.digest(&mut writing, digest.algorithm())?;
        if actual != *digest {
            self.remove(&mut writing)?;
            return Err(CommitError::WrongDigest {
                expected: Box::new(*digest),
                actual: Box::new(actual),
            });
        }
        sync(&self.file)?;
        let core = &self.file.core;
        if core.upload_of(&self.of, self.id())?.is_none() {
            return Err(StorageError::Interrupted("the push was given up".to_owned()).into());
        }
        let _lease = core.leases.hold(*digest);
        self.place(size, digest)?;
        core.settle_blob(digest)?;
        // With the lease held only damage takes the bytes away.
        if !core.keep_layer(&self.of, digest)? {
            return Err(StorageError::Damaged(*digest).into());
        }
        if let Err(error) = self.remove(&mut writing) {
            tracing::warn!(%error, id = %self.id(), "cannot remove what is left of a push; it will expire");
        }
        Ok(size)
    }

    fn digest(&self, writing: &mut Writing, algorithm: Algorithm) -> Result<Digest, StorageError> {
        if writing.hashed == 0 {
            writing.hasher = Hasher::new(algorithm);
        }
        self.catch_up(writing)?;
        let found = writing.hasher.clone().finish();
        if found.algorithm() == algorithm {
            return Ok(found);
        }
        let mut hasher = Hasher::new(algorithm);
        let whole = (0, writing.written);
        self.file
            .core
            .hash_part(&self.file.file, whole, &mut hasher)?;
        Ok(hasher.finish())
    }

    /// Gives the verified file its place, unless such a blob is there already.
    fn place(&self, size: u64, digest: &Digest) -> Result<(), StorageError> {
        let Growth { core, file } = &*self.file;
        let path = core.layout.blob(digest);
        let known = core.examine(digest)?.map(|(_, known)| known.trust);
        {
            let _adding = core.linking.read();
            let is_there = known == Some(Trust::Verified) && core.disk.facts(&path).is_ok();
            if !is_there {
                let stamp = core.stamp(file)?.filter(|stamp| stamp.size == size);
                let stamp = stamp.ok_or(StorageError::Damaged(*digest))?;
                core.in_new_directory(&path, || core.disk.rename(file.path(), &path))
                    .map_err(|error| StorageError::io("rename to", &path, error))?;
                core.trust_from_now_on(digest, stamp);
            }
        }
        core.uses.note(digest, core.now());
        core.settle(&path, ABOVE_BLOB)
    }

    /// Removes the push and its bytes.
    pub(super) fn cancel(&self) -> Result<(), StorageError> {
        self.remove(&mut self.writing.lock())
    }

    fn remove(&self, writing: &mut Writing) -> Result<(), StorageError> {
        writing.ended = true;
        self.waiting.lock().clear();
        self.file.core.remove_upload(self.id())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let writing = self.writing.get_mut();
        if writing.ended {
            self.turn.forget();
        } else {
            self.turn.remember(Hashed {
                hasher: writing.hasher.clone(),
                length: writing.hashed,
                at: self.file.core.now(),
            });
        }
    }
}
