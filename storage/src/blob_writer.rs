//! Writing a blob that others read while it grows: the one way a blob comes to exist.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use cistern_oci::{Digest, Hasher, RepositoryName};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Growing, Lease, StorageError, StoredBlob,
    core::Core,
    growing::Growth,
    pump::{Intake, Promise, Promised, Pump, Written, sync},
};

/// Why the bytes that were written did not become a blob.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// They hash to another digest.
    #[error("expected {expected}, but the bytes hash to {actual}")]
    WrongDigest {
        /// The name they were to have.
        expected: Box<Digest>,
        /// The name they have.
        actual: Box<Digest>,
    },
    /// They are more or fewer than was announced.
    #[error("expected {expected} bytes, but {actual} came")]
    WrongSize {
        /// How many were announced.
        expected: u64,
        /// How many came.
        actual: u64,
    },
    /// The disk refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Writes one blob. Nothing is visible under its digest until [`BlobWriter::commit`]; dropped before, nothing is left of it
/// and its readers are told that it was interrupted.
///
/// Readers may have what is written, except the last 64 KiB of the announced size (of what is written, where no size was
/// announced): those only when digest and length proved right.
pub struct BlobWriter<F: Clone + Send + Sync + 'static> {
    // Dropped in this order: readers are told first.
    growing: Growing<F>,
    pump: AbortOnDropHandle<Result<Written, StorageError>>,
    intake: Arc<Intake>,
    growth: Arc<Growth>,
    file: NewFile,
    digest: Digest,
    size: Option<u64>,
    taken: u64,
    _promised: Promised,
    _lease: Lease,
}

impl<F: Clone + Send + Sync + 'static> BlobWriter<F> {
    /// Begins to write into a new file.
    pub(crate) fn new(
        begun: Begun,
        digest: Digest,
        size: Option<u64>,
        growing: Growing<F>,
    ) -> Self {
        let Begun {
            growth,
            file,
            promise,
        } = begun;
        let core = &growth.core;
        let intake = Arc::new(Intake::default());
        let pump = Pump {
            intake: Arc::clone(&intake),
            to: Arc::clone(&growth),
            publisher: growing.publisher(),
            size,
            hasher: Hasher::new(digest.algorithm()),
            promise: Arc::clone(&promise),
        };
        let lease = core.leases.hold(digest);
        let pump = AbortOnDropHandle::new(core.pumps.spawn(pump.run()));
        Self {
            growing,
            pump,
            intake,
            growth,
            file,
            digest,
            size,
            taken: 0,
            _promised: Promised(promise),
            _lease: lease,
        }
    }

    /// Takes the next bytes. Returns when there is room for more, which is not when they are on disk; an error of the disk
    /// comes back from this call or a later one. More bytes than were announced are [`StorageError::TooLong`].
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let taken = self.taken.saturating_add(bytes.len() as u64);
        if let Some(limit) = self.size.filter(|size| taken > *size) {
            return Err(StorageError::TooLong { limit });
        }
        self.taken = taken;
        self.intake.take(bytes).await
    }

    /// How many bytes were taken.
    pub fn written(&self) -> u64 {
        self.taken
    }

    /// How many bodies are being read or waited for just now.
    pub fn readers(&self) -> usize {
        self.growing.readers()
    }

    /// The upstream has answered: from now on headers may leave before bytes come. [`Blobs::start`](crate::Blobs::start) does
    /// not say so, since a partial may be gone on with before anybody is asked.
    pub fn answered(&self) {
        self.growing.answered(None);
    }

    /// The upstream has answered, with this size. Another one than was known before is [`StorageError::OtherSize`], fewer bytes
    /// than were taken are [`StorageError::TooLong`]; nothing is lost then, but one of the two is wrong. [`StorageError::Full`]
    /// when there is no room for so many.
    pub async fn learn_size(&mut self, size: u64) -> Result<(), StorageError> {
        if let Some(known) = self.size.filter(|known| *known != size) {
            return Err(StorageError::OtherSize { known, told: size });
        }
        self.growing.answered(Some(size));
        Ok(())
    }

    /// Stops for now: every reader is told why, what came stays as a partial.
    pub async fn suspend(self, why: F) {
        self.growing.fail(why);
    }

    /// Goes back to the first byte, to begin with other bytes. Only while no reader was given any: an error otherwise, and when
    /// the disk refuses; then [`BlobWriter::discard`] is all that is left.
    pub async fn restart(&mut self) -> Result<(), StorageError> {
        Err(StorageError::Interrupted(
            "readers were given bytes already".to_owned(),
        ))
    }

    /// Gives up, since the bytes are wrong: every reader is told why, nothing is kept.
    pub fn discard(self, why: F) {
        self.growing.fail(why);
    }

    /// Verifies digest and length, lets readers have the end, makes the bytes durable and publishes them. On an error readers
    /// who do not have all bytes yet are told that the blob was interrupted.
    pub async fn commit(self) -> Result<StoredBlob, CommitError> {
        self.finish(Vec::new, None::<fn(&CommitError) -> F>).await
    }

    /// As [`BlobWriter::commit`], for these repositories: each is linked to the blob before the blob has its name, so that a
    /// blob that is found is never one of which nothing tells whose it is. `explain` finds words for the readers when it fails.
    pub async fn commit_for(
        self,
        holders: impl FnOnce() -> Vec<RepositoryName> + Send + 'static,
        explain: impl FnOnce(&CommitError) -> F + Send,
    ) -> Result<StoredBlob, CommitError> {
        self.finish(holders, Some(explain)).await
    }

    async fn finish(
        self,
        holders: impl FnOnce() -> Vec<RepositoryName> + Send + 'static,
        explain: Option<impl FnOnce(&CommitError) -> F + Send>,
    ) -> Result<StoredBlob, CommitError> {
        let Self {
            growing,
            pump,
            intake,
            growth,
            file,
            digest,
            size,
            ..
        } = self;
        intake.end();
        let blob = match check(pump.await, digest, size) {
            Ok(length) => {
                StoredBlob::verified_already(&growth.core, Arc::clone(&growth.file), digest, length)
            }
            Err(error) => {
                if let Some(explain) = explain {
                    growing.fail(explain(&error));
                }
                return Err(error);
            }
        };
        growing.complete(blob.clone());
        let core = Arc::clone(&growth.core);
        core.off(move |core| {
            sync(&growth)?;
            for holder in holders() {
                if let Err(error) = core.link_blob(&holder, &digest) {
                    tracing::warn!(repository = %holder, %digest, %error, "blob is kept but not linked");
                }
            }
            core.publish(file, &growth, &digest)
        })
        .await?;
        Ok(blob)
    }
}

/// Whether what was written is what it should be.
fn check(
    pumped: Result<Result<Written, StorageError>, tokio::task::JoinError>,
    expected: Digest,
    size: Option<u64>,
) -> Result<u64, CommitError> {
    let written = match pumped {
        Ok(written) => written?,
        Err(error) => return Err(StorageError::Interrupted(error.to_string()).into()),
    };
    if let Some(expected) = size.filter(|size| *size != written.length) {
        return Err(CommitError::WrongSize {
            expected,
            actual: written.length,
        });
    }
    let actual = written.hasher.finish();
    if actual == expected {
        Ok(written.length)
    } else {
        Err(CommitError::WrongDigest {
            expected: Box::new(expected),
            actual: Box::new(actual),
        })
    }
}

/// A new file, and the room it may fill.
pub(crate) struct Begun {
    growth: Arc<Growth>,
    file: NewFile,
    promise: Arc<Promise>,
}

impl Begun {
    /// Creates a new file for a blob, if the store may be written to and has room.
    pub(crate) fn begin(
        core: &Arc<Core>,
        digest: &Digest,
        size: Option<u64>,
    ) -> Result<Self, StorageError> {
        core.writable()?;
        let promise = Promise::make(core, size.unwrap_or(0))?;
        let (file, open) = NewFile::create(core, digest)?;
        let growth = Arc::new(Growth {
            core: Arc::clone(core),
            file: Arc::new(open),
        });
        Ok(Self {
            growth,
            file,
            promise,
        })
    }
}

/// A file in the making. Dropped before it was published, it is removed.
pub(crate) struct NewFile {
    core: Arc<Core>,
    path: Option<PathBuf>,
}

impl NewFile {
    /// Creates an empty file for a digest.
    pub(crate) fn create(
        core: &Arc<Core>,
        digest: &Digest,
    ) -> Result<(Self, crate::DiskFile), StorageError> {
        core.still_held()?;
        let path = core.new_file(digest);
        let open = core
            .in_new_directory(&path, || core.disk.create_new(&path))
            .map_err(|error| StorageError::io("create", &path, error))?;
        Ok((
            Self {
                core: Arc::clone(core),
                path: Some(path),
            },
            open,
        ))
    }

    /// Gives the file its name. From then on it is not removed any more.
    pub(crate) fn rename(mut self, to: &std::path::Path) -> Result<(), StorageError> {
        if let Some(path) = &self.path {
            self.core
                .in_new_directory(to, || self.core.disk.rename(path, to))
                .map_err(|error| StorageError::io("rename to", to, error))?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let Some(path) = self.path.take() else {
            return;
        };
        let core = Arc::clone(&self.core);
        let remove = move || {
            if let Err(error) = core.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished file; the next start will");
            }
        };
        // Removing a large file takes a while; outside a runtime nobody is kept waiting.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

#[cfg(test)]
mod tests;
