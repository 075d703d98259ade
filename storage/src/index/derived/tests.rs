use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::SystemTime,
};

use cistern_oci::{Digest, RepositoryName, Tag};

use super::Derived;
use crate::{
    StorageError,
    index::{BlobRecord, Index, IndexError, IndexResult, ManifestRecord, MemoryIndex, StoredTag},
    testing::{name, sha256},
};

/// An index that works until it is told to fail.
#[derive(Default)]
struct Failing {
    inner: MemoryIndex,
    /// 0 works, 1 fails as a full disk, 2 as damage, 3 panics.
    mood: Arc<AtomicU8>,
}

impl Failing {
    fn ask<T>(&self, work: impl FnOnce(&MemoryIndex) -> IndexResult<T>) -> IndexResult<T> {
        match self.mood.load(Ordering::Relaxed) {
            0 => work(&self.inner),
            1 => Err(IndexError::Disk("full".to_owned())),
            2 => Err(IndexError::Damaged("no JSON".to_owned())),
            _ => panic!("on purpose"),
        }
    }
}

impl Index for Failing {
    fn blob(&self, digest: &Digest) -> IndexResult<Option<BlobRecord>> {
        self.ask(|inner| inner.blob(digest))
    }
    fn set_blob(&self, digest: &Digest, record: &BlobRecord) -> IndexResult<()> {
        self.ask(|inner| inner.set_blob(digest, record))
    }
    fn forget_blob(&self, digest: &Digest) -> IndexResult<()> {
        self.ask(|inner| inner.forget_blob(digest))
    }
    fn blobs(&self, after: Option<&Digest>, most: usize) -> IndexResult<Vec<(Digest, BlobRecord)>> {
        self.ask(|inner| inner.blobs(after, most))
    }
    fn used(&self, digest: &Digest) -> IndexResult<Option<SystemTime>> {
        self.ask(|inner| inner.used(digest))
    }
    fn record_uses(&self, uses: &[(Digest, SystemTime)]) -> IndexResult<()> {
        self.ask(|inner| inner.record_uses(uses))
    }
    fn tag(&self, of: &RepositoryName, tag: &Tag) -> IndexResult<Option<StoredTag>> {
        self.ask(|inner| inner.tag(of, tag))
    }
    fn set_tag(&self, of: &RepositoryName, tag: &Tag, record: &StoredTag) -> IndexResult<()> {
        self.ask(|inner| inner.set_tag(of, tag, record))
    }
    fn forget_tag(&self, of: &RepositoryName, tag: &Tag) -> IndexResult<()> {
        self.ask(|inner| inner.forget_tag(of, tag))
    }
    fn manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> IndexResult<Option<ManifestRecord>> {
        self.ask(|inner| inner.manifest(of, digest))
    }
    fn set_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> IndexResult<()> {
        self.ask(|inner| inner.set_manifest(of, digest, record))
    }
    fn forget_manifest(&self, of: &RepositoryName, digest: &Digest) -> IndexResult<()> {
        self.ask(|inner| inner.forget_manifest(of, digest))
    }
    fn manifests(
        &self,
        after: Option<(&RepositoryName, &Digest)>,
        most: usize,
    ) -> IndexResult<Vec<(RepositoryName, Digest, ManifestRecord)>> {
        self.ask(|inner| inner.manifests(after, most))
    }
    fn names(&self, of: &RepositoryName, digest: &Digest) -> IndexResult<Option<u64>> {
        self.ask(|inner| inner.names(of, digest))
    }
    fn referrers(&self, of: &RepositoryName, subject: &Digest) -> IndexResult<Vec<Digest>> {
        self.ask(|inner| inner.referrers(of, subject))
    }
    fn is_complete(&self) -> IndexResult<bool> {
        self.ask(Index::is_complete)
    }
    fn set_complete(&self, complete: bool) -> IndexResult<()> {
        self.ask(|inner| inner.set_complete(complete))
    }
    fn flush(&self) -> IndexResult<()> {
        self.ask(Index::flush)
    }
}

type Scanned = Result<bool, StorageError>;

#[test]
fn an_index_that_fails_in_any_way_is_replaced_and_nobody_notices() {
    for (mood, is_damaged) in [(1, false), (2, true), (3, true)] {
        let failing = Failing::default();
        let switch = Arc::clone(&failing.mood);
        let derived = Derived::new(Arc::new(failing));
        let record = BlobRecord {
            size: 1,
            stamp: None,
        };
        derived.set_blob(&sha256(b"1"), &record);
        assert_eq!(derived.blob(&sha256(b"1")), Some(record.clone()));
        assert!(!derived.has_failed());
        switch.store(mood, Ordering::Relaxed);
        assert_eq!(
            derived.blob(&sha256(b"1")),
            None,
            "not known is all it says"
        );
        assert!(derived.has_failed());
        assert_eq!(derived.is_damaged(), is_damaged);
        derived.set_blob(&sha256(b"2"), &record);
        assert_eq!(
            derived.blob(&sha256(b"2")),
            Some(record),
            "and it goes on learning"
        );
        derived.flush().unwrap();
    }
}

#[test]
fn what_was_seen_complete_before_a_failure_is_not_complete_after_it() {
    let failing = Failing::default();
    let switch = Arc::clone(&failing.mood);
    let derived = Derived::new(Arc::new(failing));
    let of = name("a");
    derived.scan(&of, || Scanned::Ok(false)).unwrap();
    assert!(
        !derived.is_scanned(&of),
        "a scan that was stopped does not count"
    );
    derived.scan(&of, || Scanned::Ok(true)).unwrap();
    assert!(derived.is_scanned(&of));
    switch.store(1, Ordering::Relaxed);
    assert_eq!(derived.names(&of, &sha256(b"1")), None);
    assert!(!derived.is_scanned(&of));
    let during = Failing::default();
    let switch = Arc::clone(&during.mood);
    let derived = Derived::new(Arc::new(during));
    let fails_meanwhile = || {
        switch.store(2, Ordering::Relaxed);
        derived.set_complete(true);
        Scanned::Ok(true)
    };
    derived.scan(&of, fails_meanwhile).unwrap();
    assert!(
        !derived.is_scanned(&of),
        "nor does one during which the index failed"
    );
}
