//! The blobs of the store, by digest.

use std::fmt;

use bytes::Bytes;
use cistern_oci::Digest;

use crate::{BlobWriter, Growing, StorageError, StoredBlob};

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
pub struct Blobs;

impl Blobs {
    /// A finished blob, or `None`. Never a partial one.
    pub async fn open(&self, digest: &Digest) -> Result<Option<StoredBlob>, StorageError> {
        let _ = digest;
        unimplemented!()
    }

    /// The length of a finished blob in bytes. Its bytes are not looked at.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        let _ = digest;
        unimplemented!()
    }

    /// All bytes of a small blob, verified. A damaged one is moved aside and absent; a longer one than `at_most` bytes is
    /// [`StorageError::TooLong`].
    pub async fn read(&self, digest: &Digest, at_most: u64) -> Result<Option<Bytes>, StorageError> {
        let _ = (digest, at_most);
        unimplemented!()
    }

    /// Stores a small blob whose bytes are known to hash to `digest`; checked again here.
    pub async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), StorageError> {
        let _ = (digest, bytes);
        unimplemented!()
    }

    /// Begins a blob that others read while it grows. Refused below the reserve and by a read-only store.
    pub async fn start<F: Clone + Send + Sync + 'static>(
        &self,
        digest: Digest,
        size: Option<u64>,
        growing: Growing<F>,
    ) -> Result<BlobWriter<F>, StartRefused<F>> {
        let _ = (digest, size, growing);
        unimplemented!()
    }

    /// Removes a blob; the bytes it freed, or `None` when there was none. Open readers keep reading.
    pub async fn remove(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        let _ = digest;
        unimplemented!()
    }

    /// Remembers that this digest was used now. Memory only; written in batches.
    pub fn note_use(&self, digest: &Digest) {
        let _ = digest;
        unimplemented!()
    }
}
