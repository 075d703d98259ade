//! The index of a store that must not be written to, or whose index cannot be opened: gone with the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    time::SystemTime,
};

use cistern_oci::{Digest, RepositoryName, Tag};
use parking_lot::Mutex;

use super::{BlobRecord, Index, IndexResult, ManifestRecord, StoredTag};

/// Facts in memory.
#[derive(Default)]
pub(crate) struct MemoryIndex {
    facts: Mutex<Facts>,
}

#[derive(Default)]
struct Facts {
    blobs: BTreeMap<Digest, BlobRecord>,
    uses: BTreeMap<Digest, SystemTime>,
    tags: BTreeMap<(RepositoryName, Tag), StoredTag>,
    manifests: BTreeMap<(RepositoryName, Digest), ManifestRecord>,
    /// Repository, what is named, and by which manifest.
    names: BTreeMap<(RepositoryName, Digest, Digest), u64>,
    /// Repository, subject, and which manifest says something about it.
    referrers: BTreeSet<(RepositoryName, Digest, Digest)>,
    complete: bool,
}

impl Facts {
    fn forget_names(&mut self, of: &RepositoryName, digest: &Digest, record: &ManifestRecord) {
        for named in record.named() {
            self.names.remove(&(of.clone(), named.digest, *digest));
        }
        if let Some(subject) = record.subject {
            self.referrers.remove(&(of.clone(), subject, *digest));
        }
    }
}

fn after<K>(key: Option<K>) -> (Bound<K>, Bound<K>) {
    (
        key.map_or(Bound::Unbounded, Bound::Excluded),
        Bound::Unbounded,
    )
}

impl Index for MemoryIndex {
    fn blob(&self, digest: &Digest) -> IndexResult<Option<BlobRecord>> {
        Ok(self.facts.lock().blobs.get(digest).cloned())
    }

    fn set_blob(&self, digest: &Digest, record: &BlobRecord) -> IndexResult<()> {
        self.facts.lock().blobs.insert(*digest, record.clone());
        Ok(())
    }

    fn forget_blob(&self, digest: &Digest) -> IndexResult<()> {
        let mut facts = self.facts.lock();
        facts.blobs.remove(digest);
        facts.uses.remove(digest);
        Ok(())
    }

    fn blobs(
        &self,
        from: Option<&Digest>,
        at_most: usize,
    ) -> IndexResult<Vec<(Digest, BlobRecord)>> {
        let facts = self.facts.lock();
        let found = facts.blobs.range(after(from.copied()));
        Ok(found
            .take(at_most)
            .map(|(digest, record)| (*digest, record.clone()))
            .collect())
    }

    fn used(&self, digest: &Digest) -> IndexResult<Option<SystemTime>> {
        Ok(self.facts.lock().uses.get(digest).copied())
    }

    fn record_uses(&self, uses: &[(Digest, SystemTime)]) -> IndexResult<()> {
        self.facts.lock().uses.extend(uses.iter().copied());
        Ok(())
    }

    fn tag(&self, of: &RepositoryName, tag: &Tag) -> IndexResult<Option<StoredTag>> {
        Ok(self
            .facts
            .lock()
            .tags
            .get(&(of.clone(), tag.clone()))
            .cloned())
    }

    fn set_tag(&self, of: &RepositoryName, tag: &Tag, record: &StoredTag) -> IndexResult<()> {
        self.facts
            .lock()
            .tags
            .insert((of.clone(), tag.clone()), record.clone());
        Ok(())
    }

    fn forget_tag(&self, of: &RepositoryName, tag: &Tag) -> IndexResult<()> {
        self.facts.lock().tags.remove(&(of.clone(), tag.clone()));
        Ok(())
    }

    fn manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> IndexResult<Option<ManifestRecord>> {
        Ok(self
            .facts
            .lock()
            .manifests
            .get(&(of.clone(), *digest))
            .cloned())
    }

    fn set_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> IndexResult<()> {
        let mut facts = self.facts.lock();
        if let Some(old) = facts
            .manifests
            .insert((of.clone(), *digest), record.clone())
        {
            facts.forget_names(of, digest, &old);
        }
        for named in record.named() {
            facts
                .names
                .insert((of.clone(), named.digest, *digest), named.size);
        }
        if let Some(subject) = record.subject {
            facts.referrers.insert((of.clone(), subject, *digest));
        }
        Ok(())
    }

    fn forget_manifest(&self, of: &RepositoryName, digest: &Digest) -> IndexResult<()> {
        let mut facts = self.facts.lock();
        if let Some(old) = facts.manifests.remove(&(of.clone(), *digest)) {
            facts.forget_names(of, digest, &old);
        }
        Ok(())
    }

    fn manifests(
        &self,
        from: Option<(&RepositoryName, &Digest)>,
        at_most: usize,
    ) -> IndexResult<Vec<(RepositoryName, Digest, ManifestRecord)>> {
        let facts = self.facts.lock();
        let from = from.map(|(of, digest)| (of.clone(), *digest));
        let found = facts.manifests.range(after(from)).take(at_most);
        Ok(found
            .map(|((of, digest), record)| (of.clone(), *digest, record.clone()))
            .collect())
    }

    fn names(&self, of: &RepositoryName, digest: &Digest) -> IndexResult<Option<u64>> {
        let facts = self.facts.lock();
        let first = (of.clone(), *digest, Digest::Sha256([0; 32]));
        let next = facts.names.range(first..).next();
        Ok(next
            .filter(|((repository, named, _), _)| repository == of && named == digest)
            .map(|(_, size)| *size))
    }

    fn referrers(&self, of: &RepositoryName, subject: &Digest) -> IndexResult<Vec<Digest>> {
        let facts = self.facts.lock();
        let first = (of.clone(), *subject, Digest::Sha256([0; 32]));
        let found = facts.referrers.range(first..);
        Ok(found
            .take_while(|(repository, about, _)| repository == of && about == subject)
            .map(|(_, _, digest)| *digest)
            .collect())
    }

    fn is_complete(&self) -> IndexResult<bool> {
        Ok(self.facts.lock().complete)
    }

    fn set_complete(&self, complete: bool) -> IndexResult<()> {
        self.facts.lock().complete = complete;
        Ok(())
    }

    fn flush(&self) -> IndexResult<()> {
        Ok(())
    }
}
