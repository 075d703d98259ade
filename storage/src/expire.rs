//! Dropping what nobody used for a while (`proxy.ttl`): the age that counts is that of the last use, and what a used manifest
//! names is used with it.

use std::{
    collections::{HashMap, HashSet},
    time::SystemTime,
};

use cistern_oci::{Digest, RepositoryName};

use crate::{StorageError, core::Core, index::ManifestRecord, repositories::TagLocks};

use std::sync::Arc;

pub(crate) mod pinned;

/// What one round of [`crate::Storage::expire`] dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Tags whose manifest went.
    pub tags: u64,
    /// Manifest links of repositories.
    pub manifests: u64,
    /// Blobs (layers, configs and manifests' bytes) whose files went.
    pub blobs: u64,
    /// Bytes freed by them.
    pub bytes: u64,
}

/// How many index entries are looked at between two calls of the index.
const PAGE: usize = 1000;

/// One round of dropping.
pub(crate) struct Round {
    pub(crate) core: Arc<Core>,
    pub(crate) tag_locks: Arc<TagLocks>,
    pub(crate) unused_since: SystemTime,
    /// The repositories that may lose what they hold, and those that may not.
    pub(crate) dropping: Vec<RepositoryName>,
    pub(crate) keeping: Vec<RepositoryName>,
    pub(crate) expired: Expired,
}

pub(crate) type Held = Vec<(RepositoryName, Digest, ManifestRecord)>;

impl Round {
    pub(crate) fn run(mut self) -> Result<Expired, StorageError> {
        self.core.writable()?;
        self.core.write_uses();
        let manifests = all_manifests(&self.core, self.dropping.iter().chain(&self.keeping))?;
        let kept = self.kept(&manifests)?;
        let mut dropped = HashSet::new();
        for (of, digest, _) in manifests {
            if self.dropping.binary_search(&of).is_ok()
                && !kept.contains(&digest)
                && self.unlink(&of, &digest)?
            {
                dropped.insert((of, digest));
            }
        }
        self.drop_tags(&dropped)?;
        self.drop_blobs(&kept)?;
        Ok(self.expired)
    }

    /// The digests that stay: of used manifests, of those of repositories that may not drop, of what is pinned, and of all that
    /// these name.
    fn kept(&self, manifests: &Held) -> Result<HashSet<Digest>, StorageError> {
        let mut records: HashMap<&Digest, &ManifestRecord> = HashMap::new();
        let mut waiting: Vec<Digest> = Vec::new();
        for (of, digest, record) in manifests {
            records.insert(digest, record);
            if self.dropping.binary_search(of).is_err() || self.is_used(digest) {
                waiting.push(*digest);
            }
        }
        let pinned = pinned::Pinned {
            core: &self.core,
            tag_locks: &self.tag_locks,
        };
        waiting.extend(pinned.all(manifests)?);
        let mut kept = HashSet::new();
        while let Some(digest) = waiting.pop() {
            if kept.insert(digest)
                && let Some(record) = records.get(&digest)
            {
                waiting.extend(record.named().map(|named| named.digest));
            }
        }
        Ok(kept)
    }

    /// Whether a digest was used since or is held just now. One of which that is not known, as in an index made anew, counts as
    /// used now.
    fn is_used(&self, digest: &Digest) -> bool {
        let is_recent = |at: SystemTime| at >= self.unused_since;
        if self.core.leases.is_held(digest) || self.core.uses.used(digest).is_some_and(is_recent) {
            return true;
        }
        self.core.index.used(digest).map_or_else(
            || {
                self.core.index.record_uses(&[(*digest, self.core.now())]);
                true
            },
            is_recent,
        )
    }

    fn unlink(&mut self, of: &RepositoryName, digest: &Digest) -> Result<bool, StorageError> {
        let _removing = self.core.linking.write();
        if self.is_used(digest) {
            return Ok(false);
        }
        let held = self.core.unlink_manifest(of, digest)?;
        self.expired.manifests += u64::from(held);
        Ok(true)
    }

    fn drop_tags(
        &mut self,
        dropped: &HashSet<(RepositoryName, Digest)>,
    ) -> Result<(), StorageError> {
        let repositories: HashSet<&RepositoryName> = dropped.iter().map(|(of, _)| of).collect();
        for of in repositories {
            for tag in self.core.tags_of(of)? {
                let one = self.tag_locks.on(&self.core, (of.clone(), tag));
                let digest = one.load()?.map(|record| record.digest);
                // Fetched again meanwhile, it is held again.
                if let Some(digest) =
                    digest.filter(|digest| dropped.contains(&(of.clone(), *digest)))
                    && !self.core.has_revision(of, &digest)?
                {
                    self.expired.tags += u64::from(one.remove()?);
                }
            }
        }
        Ok(())
    }

    fn drop_blobs(&mut self, kept: &HashSet<Digest>) -> Result<(), StorageError> {
        let mut after = None;
        loop {
            let page = self.core.index.blobs(after.as_ref(), PAGE);
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for (digest, _) in page {
                if !kept.contains(&digest) && !self.is_used(&digest) {
                    self.drop_blob(&digest)?;
                }
            }
        }
    }

    fn drop_blob(&mut self, digest: &Digest) -> Result<(), StorageError> {
        let _removing = self.core.linking.write();
        for of in &self.keeping {
            if self
                .core
                .has_link(&self.core.layout.layer_link(of, digest), digest)?
            {
                return Ok(());
            }
        }
        for of in self.dropping.iter().chain(&self.keeping) {
            if self.is_used(digest) || self.core.has_revision(of, digest)? {
                return Ok(());
            }
        }
        for of in &self.dropping {
            self.core.unlink_blob(of, digest)?;
        }
        if let Some(bytes) = self.core.remove_blob(digest)? {
            self.expired.blobs += 1;
            self.expired.bytes += bytes;
        }
        Ok(())
    }
}

/// Every manifest of these repositories, which are all there are.
pub(crate) fn all_manifests<'all>(
    core: &Core,
    repositories: impl Iterator<Item = &'all RepositoryName>,
) -> Result<Held, StorageError> {
    for of in repositories {
        core.index_manifests(of, || true)?;
    }
    let mut found: Held = Vec::new();
    loop {
        let after = found.last().map(|(of, digest, _)| (of, digest));
        let page = core.index.manifests(after, PAGE);
        if page.is_empty() {
            return Ok(found);
        }
        found.extend(page);
    }
}

#[cfg(test)]
pub(crate) mod tests;
