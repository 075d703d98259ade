//! The store as a whole.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use cistern_oci::RepositoryName;
use tokio_util::sync::CancellationToken;

use crate::{Blobs, Expired, Leases, Listing, OpenError, Options, Repositories, StorageError};

struct Parts {
    blobs: Blobs,
    repositories: Repositories,
    leases: Leases,
}

/// An open store. Cheap to clone; the last clone that goes lets go of the lock.
#[derive(Clone)]
pub struct Storage {
    parts: Arc<Parts>,
}

impl Storage {
    /// Opens the store at `options.root`. Never walks it: what the index does not know yet is found when it is asked for.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        drop(options);
        unimplemented!()
    }

    /// The blobs, by digest.
    pub fn blobs(&self) -> &Blobs {
        &self.parts.blobs
    }

    /// The repositories: tags, manifests, which blobs they hold.
    pub fn repositories(&self) -> &Repositories {
        &self.parts.repositories
    }

    /// What is being read, grown or pinned just now.
    pub fn leases(&self) -> &Leases {
        &self.parts.leases
    }

    /// Whether the store can do its work just now: it can be read and, unless opened read-only, a small file can be written.
    /// [`StorageError::Full`] tells a full disk, which still serves what it holds.
    pub async fn check(&self) -> Result<(), StorageError> {
        unimplemented!()
    }

    /// Fills the index from the files, if it is new or was moved aside. Stops early when told to, to go on at the next start.
    pub async fn rebuild_index(&self, stop: CancellationToken) {
        drop(stop);
        unimplemented!()
    }

    /// Writes last uses and the index to disk, and lets go of idle memory. To be called now and then, and before the end.
    pub async fn flush(&self) -> Result<(), StorageError> {
        unimplemented!()
    }

    /// Drops what was not used since: manifests with their tags, and blobs that no remaining manifest names. What is held or
    /// still linked by a repository that may not drop stays.
    pub async fn expire(
        &self,
        unused_since: SystemTime,
        may_drop: &(dyn Fn(&RepositoryName) -> bool + Send + Sync),
    ) -> Result<Expired, StorageError> {
        let _ = (unused_since, may_drop);
        unimplemented!()
    }

    /// A listing that was kept for this repository, or `None`.
    pub async fn listing(
        &self,
        of: &RepositoryName,
        kind: &str,
    ) -> Result<Option<Listing>, StorageError> {
        let _ = (of, kind);
        unimplemented!()
    }

    /// Keeps a listing for this repository.
    pub async fn set_listing(
        &self,
        of: &RepositoryName,
        kind: &str,
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        let _ = (of, kind, bytes);
        unimplemented!()
    }
}
