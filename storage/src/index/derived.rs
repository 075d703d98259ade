//! The index as the rest of the store sees it: it never fails. What it cannot answer counts as not known, which only means
//! that the files are looked at; an index that breaks is put out of use for the rest of the run.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use cistern_oci::{Digest, RepositoryName, Tag};
use parking_lot::{Mutex, RwLock};

use super::{BlobRecord, Index, IndexError, IndexResult, ManifestRecord, MemoryIndex, StoredTag};

/// An index that never fails.
pub(crate) struct Derived {
    index: RwLock<Arc<dyn Index>>,
    failed: AtomicBool,
    damaged: AtomicBool,
    /// The repositories whose manifests are all in the index, as this run has seen itself.
    scanned: Mutex<HashSet<RepositoryName>>,
}

impl Derived {
    pub(crate) fn new(index: Arc<dyn Index>) -> Self {
        Self {
            index: RwLock::new(index),
            failed: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            scanned: Mutex::new(HashSet::new()),
        }
    }

    /// Whether the index failed: what happened since is not in it.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Whether the index proved damaged: it is to be moved aside at the next start.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    /// Whether this run has seen that every manifest of a repository is in the index.
    pub(crate) fn is_scanned(&self, of: &RepositoryName) -> bool {
        self.scanned.lock().contains(of)
    }

    /// Lets `scan` put every manifest of a repository into the index, and remembers it if that is done, unless the index failed
    /// meanwhile.
    pub(crate) fn scan<E>(
        &self,
        of: &RepositoryName,
        scan: impl FnOnce() -> Result<bool, E>,
    ) -> Result<(), E> {
        let before = Arc::clone(&*self.index.read());
        let is_done = scan()?;
        let now = self.index.read();
        if is_done && Arc::ptr_eq(&before, &now) {
            self.scanned.lock().insert(of.clone());
        }
        Ok(())
    }

    fn ask<T: Default>(&self, work: impl FnOnce(&dyn Index) -> IndexResult<T>) -> T {
        self.try_ask(work).unwrap_or_default()
    }

    /// sled panics on some kinds of damage, so a panic counts as an error.
    fn try_ask<T>(&self, work: impl FnOnce(&dyn Index) -> IndexResult<T>) -> IndexResult<T> {
        let index = Arc::clone(&*self.index.read());
        let result = catch_unwind(AssertUnwindSafe(|| work(&*index)))
            .unwrap_or_else(|_| Err(IndexError::Damaged("it panicked".to_owned())));
        if let Err(error) = &result {
            self.put_out_of_use(&index, error);
        }
        result
    }

    fn put_out_of_use(&self, failed: &Arc<dyn Index>, error: &IndexError) {
        let mut index = self.index.write();
        if Arc::ptr_eq(&index, failed) {
            tracing::warn!(%error, "the index failed and is out of use until the next start; files are served all the same");
            *index = Arc::new(MemoryIndex::default());
            self.scanned.lock().clear();
            self.failed.store(true, Ordering::Release);
            if matches!(error, IndexError::Damaged(_)) {
                self.damaged.store(true, Ordering::Release);
            }
        }
    }

    /// Lets go of an index whose files were removed; the facts of the rest of the run are kept in memory.
    pub(crate) fn give_up(&self) {
        let empty: Arc<dyn Index> = Arc::new(MemoryIndex::default());
        let old = std::mem::replace(&mut *self.index.write(), empty);
        self.scanned.lock().clear();
        self.failed.store(true, Ordering::Release);
        // sled may panic when it cannot write its last words.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
    }

    pub(crate) fn blob(&self, digest: &Digest) -> Option<BlobRecord> {
        self.ask(|index| index.blob(digest))
    }

    pub(crate) fn set_blob(&self, digest: &Digest, record: &BlobRecord) {
        self.ask(|index| index.set_blob(digest, record));
    }

    pub(crate) fn forget_blob(&self, digest: &Digest) {
        self.ask(|index| index.forget_blob(digest));
    }

    pub(crate) fn blobs(
        &self,
        after: Option<&Digest>,
        at_most: usize,
    ) -> Vec<(Digest, BlobRecord)> {
        self.ask(|index| index.blobs(after, at_most))
    }

    pub(crate) fn used(&self, digest: &Digest) -> Option<SystemTime> {
        self.ask(|index| index.used(digest))
    }

    pub(crate) fn record_uses(&self, uses: &[(Digest, SystemTime)]) {
        self.ask(|index| index.record_uses(uses));
    }

    pub(crate) fn tag(&self, of: &RepositoryName, tag: &Tag) -> Option<StoredTag> {
        self.ask(|index| index.tag(of, tag))
    }

    pub(crate) fn set_tag(&self, of: &RepositoryName, tag: &Tag, record: &StoredTag) {
        self.ask(|index| index.set_tag(of, tag, record));
    }

    pub(crate) fn forget_tag(&self, of: &RepositoryName, tag: &Tag) {
        self.ask(|index| index.forget_tag(of, tag));
    }

    pub(crate) fn manifest(&self, of: &RepositoryName, digest: &Digest) -> Option<ManifestRecord> {
        self.ask(|index| index.manifest(of, digest))
    }

    pub(crate) fn set_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        record: &ManifestRecord,
    ) {
        self.ask(|index| index.set_manifest(of, digest, record));
    }

    pub(crate) fn forget_manifest(&self, of: &RepositoryName, digest: &Digest) {
        self.ask(|index| index.forget_manifest(of, digest));
    }

    pub(crate) fn manifests(
        &self,
        after: Option<(&RepositoryName, &Digest)>,
        at_most: usize,
    ) -> Vec<(RepositoryName, Digest, ManifestRecord)> {
        self.ask(|index| index.manifests(after, at_most))
    }

    pub(crate) fn names(&self, of: &RepositoryName, digest: &Digest) -> Option<u64> {
        self.ask(|index| index.names(of, digest))
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.ask(Index::is_complete)
    }

    pub(crate) fn set_complete(&self, complete: bool) {
        self.ask(|index| index.set_complete(complete));
    }

    pub(crate) fn flush(&self) -> IndexResult<()> {
        self.try_ask(Index::flush)
    }
}

#[cfg(test)]
mod tests;
