//! Writing a blob that others read while it grows.

use bytes::Bytes;
use cistern_oci::Digest;

use crate::{Growing, StorageError, StoredBlob};

/// Why the bytes that were written did not become a blob.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// They hash to another digest.
    #[error("expected {expected}, but the bytes hash to {actual}")]
    WrongDigest {
        /// The name they were to have.
        expected: Digest,
        /// The name they have.
        actual: Digest,
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
    growing: Growing<F>,
}

impl<F: Clone + Send + Sync + 'static> BlobWriter<F> {
    /// Takes the next bytes. Returns when there is room for more, which is not when they are on disk; an error of the disk
    /// comes back from this call or a later one.
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        drop(bytes);
        unimplemented!()
    }

    /// How many bytes were taken.
    pub fn written(&self) -> u64 {
        unimplemented!()
    }

    /// How many bodies are being read or waited for just now.
    pub fn readers(&self) -> usize {
        self.growing.readers()
    }

    /// Gives up: every reader is told why, nothing is kept.
    pub fn fail(self, why: F) {
        self.growing.fail(why);
    }

    /// Verifies digest and length, lets readers have the end, makes the bytes durable and publishes them. On an error readers
    /// are told that the blob was interrupted.
    pub async fn commit(self) -> Result<StoredBlob, CommitError> {
        unimplemented!()
    }

    /// As [`BlobWriter::commit`], with words for the readers when the bytes are not what they should be.
    pub async fn commit_or(
        self,
        explain: impl FnOnce(&CommitError) -> F + Send,
    ) -> Result<StoredBlob, CommitError> {
        let _ = explain;
        unimplemented!()
    }
}
