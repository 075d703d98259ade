//! What is kept in memory so that warm requests touch neither the index nor more of the disk than they must. Only positive
//! facts, bounded, and taken back by the one writer when they end.

use bytes::Bytes;
use cistern_oci::{Digest, MediaType, RepositoryName, Tag};
use moka::sync::Cache;

use crate::{TagRecord, index::Stamp};

/// The most bytes of small things kept, and the largest of them.
const SMALL_BYTES: u64 = 16 * 1024 * 1024;
pub(crate) const LARGEST_SMALL: usize = 256 * 1024;

/// How many facts of each kind are kept.
const FACTS: u64 = 8 * 1024;

/// What is known about the bytes of a file that looks like its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Verified,
    Unverified,
    /// They are wrong, and the file could not be moved aside.
    Damaged,
}

/// A blob's file when it was last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) stamp: Stamp,
    pub(crate) trust: Trust,
}

/// Bounded caches.
pub(crate) struct Memory {
    /// Blobs' files.
    pub(crate) known: Cache<Digest, Known>,
    /// The bytes of manifests.
    pub(crate) bytes: Cache<Digest, Bytes>,
    /// Manifests that a repository holds, with the media type they are served as.
    pub(crate) revisions: Cache<(RepositoryName, Digest), MediaType>,
    /// Blobs that a repository holds.
    pub(crate) layers: Cache<(RepositoryName, Digest), ()>,
    /// Tags whose link was compared with the index in this run.
    pub(crate) tags: Cache<(RepositoryName, Tag), TagRecord>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        let bytes = Cache::builder()
            .max_capacity(SMALL_BYTES)
            .weigher(|_, bytes: &Bytes| {
                u32::try_from(bytes.len())
                    .unwrap_or(u32::MAX)
                    .saturating_add(256)
            })
            .build();
        Self {
            known: Cache::new(FACTS),
            bytes,
            revisions: Cache::new(FACTS),
            layers: Cache::new(FACTS),
            tags: Cache::new(FACTS),
        }
    }

    /// Keeps the bytes of a small thing.
    pub(crate) fn keep(&self, digest: &Digest, bytes: &Bytes) {
        if bytes.len() <= LARGEST_SMALL {
            self.bytes.insert(*digest, bytes.clone());
        }
    }

    /// Forgets everything.
    pub(crate) fn forget_all(&self) {
        self.known.invalidate_all();
        self.bytes.invalidate_all();
        self.revisions.invalidate_all();
        self.layers.invalidate_all();
        self.tags.invalidate_all();
    }

    /// Forgets a blob that is no longer there.
    pub(crate) fn forget_blob(&self, digest: &Digest) {
        self.known.invalidate(digest);
        self.bytes.invalidate(digest);
    }
}
