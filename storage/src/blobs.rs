//! The blobs of the store, by digest.

use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use bytes::Bytes;
use cistern_oci::Digest;

use crate::{
    BlobWriter, Dropped, Growing, Partial, PartialBounds, StorageError, StoredBlob,
    begun::Begun,
    core::{Core, if_there},
    disk::read_open,
    growing::Growth,
    index::{BlobRecord, Stamp},
    memory::Trust,
    new_file::NewFile,
    promise::Promise,
    pump::sync,
};

/// A blob could not be begun; the writer's end is given back, its readers still wait.
pub struct StartRefused<F: Clone + Send + Sync + 'static> {
    /// Why: [`StorageError::Full`] below the reserve, [`StorageError::ReadOnly`], or what the disk said.
    pub why: StorageError,
    /// The writer's end, as it was handed in.
    pub growing: Growing<F>,
}

impl<F: Clone + Send + Sync + 'static> fmt::Debug for StartRefused<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StartRefused")
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

/// The blobs of the store.
pub struct Blobs {
    core: Arc<Core>,
}

impl Blobs {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
        }
    }

    /// A finished blob, or `None`. Never a partial one.
    pub async fn open(&self, digest: &Digest) -> Result<Option<StoredBlob>, StorageError> {
        if let Some(blob) = self.core.open_warm(digest)? {
            return Ok(Some(blob));
        }
        let digest = *digest;
        self.core.off(move |core| core.open_blob(&digest)).await
    }

    /// The length of a finished blob in bytes. Its bytes are not looked at, except those of a small one that nobody has
    /// verified yet.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        Ok(self.open(digest).await?.map(|blob| blob.size()))
    }

    /// All bytes of a small blob, verified. A damaged one is moved aside and absent; a longer one than `at_most` bytes is
    /// [`StorageError::TooLong`].
    pub async fn read(&self, digest: &Digest, at_most: u64) -> Result<Option<Bytes>, StorageError> {
        let digest = *digest;
        self.core
            .off(move |core| core.read_verified(&digest, at_most))
            .await
    }

    /// Stores a small blob whose bytes are known to hash to `digest`; checked again here. Small things are kept below the
    /// reserve too, until the disk itself is full.
    pub async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), StorageError> {
        let digest = *digest;
        self.core
            .off(move |core| core.put_blob(&digest, &bytes))
            .await
    }

    /// Whether a blob of this size could be begun now: [`StorageError::Full`] below the reserve, [`StorageError::ReadOnly`]. To be
    /// asked before its bytes are sent for; [`Blobs::start`] has the last word.
    pub async fn has_room(&self, size: Option<u64>) -> Result<(), StorageError> {
        self.core
            .off(move |core| {
                core.writable()?;
                core.still_held()?;
                Promise::make(core, size.unwrap_or(0), 0).map(drop)
            })
            .await
    }

    /// Begins a blob that others read while it grows, or goes on with the partial of it that is there: then
    /// [`BlobWriter::written`] says from where, and readers may have those bytes at once, except for the withheld end. They are
    /// hashed again in the background; no byte that is appended is written before that is done. Refused below the reserve and by
    /// a read-only store.
    ///
    /// Whoever begins it says by [`BlobWriter::answered`] or [`BlobWriter::learn_size`] that its bytes are on their way.
    pub async fn start<F: Clone + Send + Sync + 'static>(
        &self,
        digest: Digest,
        size: Option<u64>,
        growing: Growing<F>,
    ) -> Result<BlobWriter<F>, StartRefused<F>> {
        let size = size.or_else(|| growing.size());
        let claim = self.core.claims.take_soon(&digest).await;
        match self
            .core
            .off(move |core| Begun::begin(core, digest, claim, size))
            .await
        {
            Ok(begun) => Ok(BlobWriter::new(begun, growing)),
            Err(why) => Err(StartRefused { why, growing }),
        }
    }

    /// How much of a blob is there already, before it is whole: of a partial the bytes that can be trusted, of one that is
    /// being written just now how far it is. `None`: nothing worth going on with.
    pub async fn partial(&self, digest: &Digest) -> Result<Option<Partial>, StorageError> {
        if let Some(claimed) = self.core.claims.of(digest).await {
            let (length, size) = (claimed.written(), claimed.size());
            return Ok((length > 0).then_some(Partial { length, size }));
        }
        let digest = *digest;
        self.core
            .off(move |core| Ok(core.find_partial(&digest)?.map(|found| found.partial())))
            .await
    }

    /// Removes partials until the bounds hold, the oldest first, and what is of no use in any case. Never one that is being
    /// written.
    pub async fn expire_partials(&self, bounds: PartialBounds) -> Result<Dropped, StorageError> {
        self.core
            .off(move |core| core.expire_partials(&bounds))
            .await
    }

    /// Removes a blob; the bytes it freed, or `None` when there was none. Open readers keep reading.
    pub async fn remove(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        let digest = *digest;
        self.core
            .off(move |core| {
                let _removing = core.linking.write();
                core.remove_blob(&digest)
            })
            .await
    }

    /// When this digest was last used, as far as that is known.
    pub async fn last_used(&self, digest: Digest) -> Option<SystemTime> {
        let used = self.core.off(move |core| {
            let noted = core.uses.used(&digest);
            Ok(noted.or_else(|| core.index.used(&digest)))
        });
        used.await.ok().flatten()
    }

    /// Remembers that this digest was used now. Memory only; written in batches.
    pub fn note_use(&self, digest: &Digest) {
        if self.core.uses.note(digest, self.core.now()) {
            let core = Arc::clone(&self.core);
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                self.core
                    .tasks
                    .spawn_blocking_on(move || core.write_uses(), &runtime);
            }
        }
    }
}

impl Core {
    /// Opens a blob whose file still looks as when it was last trusted, on the reactor: two system calls on names that are in
    /// memory. `None` says nothing.
    fn open_warm(self: &Arc<Self>, digest: &Digest) -> Result<Option<StoredBlob>, StorageError> {
        let Some(known) = self
            .memory
            .known
            .get(digest)
            .filter(|known| known.trust == Trust::Verified)
        else {
            return Ok(None);
        };
        let path = self.layout.blob(digest);
        let Some(file) = if_there("open", &path, self.disk.open(&path))? else {
            self.memory.known.invalidate(digest);
            return Ok(None);
        };
        if self.stamp(&file)? != Some(known.stamp) {
            return Ok(None);
        }
        Ok(Some(StoredBlob::verified_already(
            self,
            Arc::new(file),
            *digest,
            known.stamp.size,
        )))
    }

    fn open_blob(self: &Arc<Self>, digest: &Digest) -> Result<Option<StoredBlob>, StorageError> {
        Ok(self.examine(digest)?.map(|(file, known)| {
            let file = Arc::new(file);
            if known.trust == Trust::Verified {
                StoredBlob::verified_already(self, file, *digest, known.stamp.size)
            } else {
                StoredBlob::unverified(self, file, *digest, known.stamp)
            }
        }))
    }

    /// Reads a small blob and hashes it, whatever is known about its file.
    pub(crate) fn read_verified(
        &self,
        digest: &Digest,
        at_most: u64,
    ) -> Result<Option<Bytes>, StorageError> {
        let path = self.layout.blob(digest);
        let Some(file) = if_there("open", &path, self.disk.open(&path))? else {
            return Ok(None);
        };
        let Some(stamp) = self.stamp(&file)? else {
            return Ok(None);
        };
        if stamp.size > at_most {
            return Err(StorageError::TooLong { limit: at_most });
        }
        let bytes = read_open(&*self.disk, &file, at_most)
            .map_err(|error| StorageError::io("read", &path, error))?;
        let is_right = self.judge(digest, stamp, Digest::of(digest.algorithm(), &bytes));
        Ok(is_right.then(|| bytes.into()))
    }

    /// Stores a small blob whole.
    pub(crate) fn put_blob(
        self: &Arc<Self>,
        digest: &Digest,
        bytes: &Bytes,
    ) -> Result<(), StorageError> {
        self.writable()?;
        if Digest::of(digest.algorithm(), bytes) != *digest {
            return Err(StorageError::Damaged(*digest));
        }
        let is_there = self
            .examine(digest)?
            .is_some_and(|(_, known)| known.trust == Trust::Verified);
        if is_there {
            return Ok(());
        }
        let (file, open) = NewFile::create(self, digest)?;
        let growth = Growth {
            core: Arc::clone(self),
            file: Arc::new(open),
        };
        self.disk
            .write_at(&growth.file, bytes, 0)
            .map_err(|error| StorageError::io("write", growth.file.path(), error))?;
        sync(&growth)?;
        self.publish(|to| file.rename(to), &growth, digest)
    }

    /// Gives a finished, durable file its place, by `rename`. From here on the blob exists.
    pub(crate) fn publish(
        &self,
        rename: impl FnOnce(&Path) -> Result<(), StorageError>,
        growth: &Growth,
        digest: &Digest,
    ) -> Result<(), StorageError> {
        let _adding = self.linking.read();
        rename(&self.layout.blob(digest))?;
        if let Some(stamp) = self.stamp(&growth.file)? {
            self.trust_from_now_on(digest, stamp);
        }
        self.uses.note(digest, self.now());
        Ok(())
    }

    /// Removes a blob's file; call it with `linking` held for writing.
    pub(crate) fn remove_blob(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        self.writable()?;
        let path = self.layout.blob(digest);
        let facts = if_there("look at", &path, self.disk.facts(&path))?;
        let was_there = self.remove_with_directories(&path, 1)?;
        self.memory.forget_blob(digest);
        self.index.forget_blob(digest);
        Ok(facts.filter(|_| was_there).map(|facts| facts.size))
    }

    /// Writes the noted uses to the index.
    pub(crate) fn write_uses(&self) {
        let uses = self.uses.take();
        if !uses.is_empty() {
            self.index.record_uses(&uses);
        }
    }

    /// Records that a blob is there, without a word about its bytes.
    pub(crate) fn record_presence(&self, digest: &Digest, stamp: Stamp) {
        if self
            .index
            .blob(digest)
            .is_none_or(|record| record.size != stamp.size)
        {
            self.index.set_blob(
                digest,
                &BlobRecord {
                    size: stamp.size,
                    stamp: None,
                },
            );
        }
    }
}
