//! What the store knows about its files without looking at them. Derived from the files, and lost without harm: only when a
//! tag was last checked and when a blob was last used cannot be found out again.
//!
//! An [`Index`] may fail; [`Derived`] is what the rest of the store sees, and it never does.

#[cfg(test)]
mod contract;
mod derived;
mod memory;
mod records;
mod sled;

use std::time::SystemTime;

use cistern_oci::{Digest, RepositoryName, Tag};

pub(crate) use self::{
    derived::Derived,
    memory::MemoryIndex,
    records::{BlobRecord, ManifestRecord, Stamp, StoredTag, nanoseconds, time},
    sled::SledIndex,
};

/// The number of the index format. An index of another format is moved aside and rebuilt.
pub(crate) const FORMAT: u32 = 2;

/// Why the index could not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// The disk refused; what is stored may well be right.
    #[error("{0}")]
    Disk(String),
    /// What is stored makes no sense: the index has to be made anew.
    #[error("damaged: {0}")]
    Damaged(String),
}

pub(crate) type IndexResult<T> = Result<T, IndexError>;

/// Facts about blobs, tags and manifests. Calls may wait for the disk: not for the reactor.
pub(crate) trait Index: Send + Sync + 'static {
    /// What is known about a blob's file.
    fn blob(&self, digest: &Digest) -> IndexResult<Option<BlobRecord>>;
    fn set_blob(&self, digest: &Digest, record: &BlobRecord) -> IndexResult<()>;
    /// Forgets a blob and when it was used.
    fn forget_blob(&self, digest: &Digest) -> IndexResult<()>;
    /// The next blobs after one, in order.
    fn blobs(
        &self,
        after: Option<&Digest>,
        at_most: usize,
    ) -> IndexResult<Vec<(Digest, BlobRecord)>>;

    /// When a blob or manifest was last used.
    fn used(&self, digest: &Digest) -> IndexResult<Option<SystemTime>>;
    fn record_uses(&self, uses: &[(Digest, SystemTime)]) -> IndexResult<()>;

    fn tag(&self, of: &RepositoryName, tag: &Tag) -> IndexResult<Option<StoredTag>>;
    fn set_tag(&self, of: &RepositoryName, tag: &Tag, record: &StoredTag) -> IndexResult<()>;
    fn forget_tag(&self, of: &RepositoryName, tag: &Tag) -> IndexResult<()>;

    /// What a manifest of a repository names.
    fn manifest(&self, of: &RepositoryName, digest: &Digest)
    -> IndexResult<Option<ManifestRecord>>;
    fn set_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> IndexResult<()>;
    fn forget_manifest(&self, of: &RepositoryName, digest: &Digest) -> IndexResult<()>;
    /// The next manifests after one, by repository and digest.
    fn manifests(
        &self,
        after: Option<(&RepositoryName, &Digest)>,
        at_most: usize,
    ) -> IndexResult<Vec<(RepositoryName, Digest, ManifestRecord)>>;
    /// The size that a manifest of this repository gives for this digest.
    fn names(&self, of: &RepositoryName, digest: &Digest) -> IndexResult<Option<u64>>;

    /// The manifests of this repository whose subject is this digest, sorted.
    fn referrers(&self, of: &RepositoryName, subject: &Digest) -> IndexResult<Vec<Digest>>;

    /// Whether every file of the store was looked at once.
    fn is_complete(&self) -> IndexResult<bool>;
    fn set_complete(&self, complete: bool) -> IndexResult<()>;

    /// Makes everything so far durable.
    fn flush(&self) -> IndexResult<()>;
}
