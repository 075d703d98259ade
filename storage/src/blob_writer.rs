//! Writing a blob that others read while it grows: the one way a blob comes to exist.

use std::sync::Arc;

use bytes::Bytes;
use cistern_oci::{Digest, Hasher, RepositoryName};
use tokio::task::JoinHandle;

use crate::{
    Growing, Lease, StorageError, StoredBlob,
    begun::Begun,
    growing::Growth,
    partial::Making,
    promise::Promise,
    pump::{End, Intake, Pump, Target, Written, readable, sync},
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

/// Writes one blob. Nothing is visible under its digest until [`BlobWriter::commit`]. Dropped before, as when the task that owns
/// it ends, its readers are told that it was interrupted, and what came stays as a partial: [`crate::Blobs::start`] goes on with
/// it, also after a restart. So does what came before a kill, all of it, and what came before a power cut but for the last 4 MiB
/// at most. Less than 64 KiB are not kept, nor is what the disk could not hold.
///
/// Readers may have what is written, except the last 64 KiB of the announced size (of what is written, where no size was
/// announced): those only when digest and length proved right.
pub struct BlobWriter<F: Clone + Send + Sync + 'static> {
    // Dropped in this order: readers are told first.
    growing: Growing<F>,
    ending: Ending,
    pump: JoinHandle<Result<Written, StorageError>>,
    target: Target,
    digest: Digest,
    size: Option<u64>,
    taken: u64,
    promised: Promised,
    _lease: Lease,
}

/// Lets the pump end when nobody told it to, as a drop does.
struct Ending {
    intake: Arc<Intake>,
    making: Arc<Making>,
}

impl Ending {
    fn end(&self, end: End) {
        if let Some(claimed) = self.making.claimed() {
            claimed.is_ending();
        }
        self.intake.end(end);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.end(End::Suspended);
    }
}

/// Takes a promise back at once when it goes, also while the pump has not noticed yet that nobody wants its work any more.
struct Promised(Arc<Promise>);

impl Drop for Promised {
    fn drop(&mut self) {
        self.0.break_off();
    }
}

impl<F: Clone + Send + Sync + 'static> BlobWriter<F> {
    /// Goes on with what is there. Readers may have that at once, except for the withheld end.
    pub(crate) fn new(begun: Begun, growing: Growing<F>) -> Self {
        let (digest, size, there) = (begun.digest, begun.size, begun.there);
        let Begun {
            target, promise, ..
        } = begun;
        growing.knows(size);
        if there > 0 {
            let readable = readable(there, size);
            growing.publisher().readable(&target.growth, readable);
        }
        let begins = (there, begun.durable, size);
        let (intake, pump) = pump(&target, &growing, digest, &promise, begins);
        let making = Arc::clone(&target.making);
        let lease = target.growth.core.leases.hold(digest);
        Self {
            growing,
            ending: Ending { intake, making },
            pump,
            target,
            digest,
            size,
            taken: there,
            promised: Promised(promise),
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
        self.ending.intake.take(bytes).await
    }

    /// How many bytes were taken, those of the partial it began with included: the upstream is to be asked from here on.
    pub fn written(&self) -> u64 {
        self.taken
    }

    /// How many bytes it will be, if that is known.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// How many bodies are being read or waited for just now.
    pub fn readers(&self) -> usize {
        self.growing.readers()
    }

    /// The upstream has answered: from now on headers may leave before bytes come. [`crate::Blobs::start`] does not say so,
    /// since a partial may be gone on with before anybody is asked.
    pub fn answered(&self) {
        self.growing.answered(None);
    }

    /// The upstream has answered, with this size. Another one than was known before is [`StorageError::OtherSize`], fewer bytes
    /// than were taken are [`StorageError::TooLong`]; nothing is lost then, but one of the two is wrong. What stays as a partial
    /// after that claims no size. [`StorageError::Full`] when there is no room for so many.
    pub async fn learn_size(&mut self, size: u64) -> Result<(), StorageError> {
        let (making, promise, taken) = (
            Arc::clone(&self.target.making),
            Arc::clone(&self.promised.0),
            self.taken,
        );
        let wrong = match self.size {
            Some(known) if known != size => Some(StorageError::OtherSize { known, told: size }),
            _ if size < taken => Some(StorageError::TooLong { limit: size }),
            _ => None,
        };
        let is_new = self.size.is_none();
        let core = &self.target.growth.core;
        core.off(move |_| {
            if let Some(wrong) = wrong {
                making.knows(None);
                return Err(wrong);
            }
            if is_new {
                promise.learn_size(size, taken)?;
                making.knows(Some(size));
            }
            Ok(())
        })
        .await?;
        self.size = Some(size);
        self.ending.intake.learn_size(size);
        self.growing.answered(Some(size));
        Ok(())
    }

    /// Stops for now: every reader is told why, what came stays as a partial. Returns when it is on the device.
    pub async fn suspend(self, why: F) {
        let Self {
            growing,
            ending,
            pump,
            ..
        } = self;
        growing.fail(why);
        ending.end(End::Suspended);
        // The pump says itself what goes wrong.
        let _ = pump.await;
    }

    /// Goes back to the first byte, to begin with other bytes. Only while no reader was given any: an error otherwise, and when
    /// the disk refuses; then [`BlobWriter::discard`] is all that is left.
    pub async fn restart(&mut self) -> Result<(), StorageError> {
        if !self.growing.begin_again() {
            let why = "its readers were given bytes already";
            return Err(StorageError::Interrupted(why.to_owned()));
        }
        self.ending.intake.end(End::Restarted);
        // What went wrong with the old bytes is of no interest any more.
        let _ = (&mut self.pump).await;
        self.promised.0.break_off();
        let (making, size) = (Arc::clone(&self.target.making), self.size);
        let core = Arc::clone(&self.target.growth.core);
        let begun = core.off(move |core| {
            let open = making.begin_again(core, size)?;
            let promise = Promise::make(core, size.unwrap_or(0), 0);
            Ok((open, promise.inspect_err(|_| making.discard())?))
        });
        let (open, promise) = begun.await?;
        self.target.growth = Arc::new(Growth {
            core,
            file: Arc::new(open),
        });
        self.promised = Promised(promise);
        let promise = &self.promised.0;
        (self.ending.intake, self.pump) = pump(
            &self.target,
            &self.growing,
            self.digest,
            promise,
            (0, 0, size),
        );
        self.taken = 0;
        Ok(())
    }

    /// Gives up, since the bytes are wrong: every reader is told why, nothing is kept.
    pub fn discard(self, why: F) {
        let Self {
            growing, ending, ..
        } = self;
        growing.fail(why);
        ending.end(End::Discarded);
    }

    /// Verifies digest and length, lets readers have the end, makes the bytes durable and publishes them. On an error readers
    /// who do not have all bytes yet are told that the blob was interrupted, and nothing is kept.
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
            ending,
            pump,
            target,
            digest,
            size,
            ..
        } = self;
        ending.end(End::Whole);
        let core = Arc::clone(&target.growth.core);
        let blob = match check(pump.await, digest, size) {
            Ok(length) => {
                let file = Arc::clone(&target.growth.file);
                StoredBlob::verified_already(&core, file, digest, length)
            }
            Err(error) => {
                // What the disk refused is gone already.
                if !matches!(error, CommitError::Storage(_)) {
                    target.discard().await;
                }
                if let Some(explain) = explain {
                    growing.fail(explain(&error));
                }
                return Err(error);
            }
        };
        growing.complete(blob.clone());
        core.off(move |core| {
            if let Err(error) = sync(&target.growth) {
                target.making.discard();
                return Err(error);
            }
            for holder in holders() {
                if let Err(error) = core.link_blob(&holder, &digest) {
                    tracing::warn!(repository = %holder, %digest, %error, "blob is kept but not linked");
                }
            }
            core.publish(|to| target.making.rename(to), &target.growth, &digest)
        })
        .await?;
        Ok(blob)
    }
}

/// Begins to write into a file of which so many bytes are there, and so many of them on the device, for a blob of this size.
fn pump<F: Clone + Send + Sync + 'static>(
    target: &Target,
    growing: &Growing<F>,
    digest: Digest,
    promise: &Arc<Promise>,
    (written, durable, size): (u64, u64, Option<u64>),
) -> (Arc<Intake>, JoinHandle<Result<Written, StorageError>>) {
    let intake = Arc::new(Intake::new(written, durable, size));
    let pump = Pump {
        intake: Arc::clone(&intake),
        target: target.clone(),
        publisher: growing.publisher(),
        promise: Arc::clone(promise),
        hasher: Hasher::new(digest.algorithm()),
        hashed: 0,
        written,
        durable,
    };
    // It ends by itself, soon after its writer.
    (intake, target.growth.core.pumps.spawn(pump.run()))
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

#[cfg(test)]
mod tests;
