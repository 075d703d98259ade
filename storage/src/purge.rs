//! Removing one image of a mirrored repository, with what no other image here needs. It can be fetched again, so nothing of this is
//! made durable.

use std::{collections::HashMap, collections::HashSet, sync::Arc};

use cistern_oci::{Digest, Reference, RepositoryName};

use crate::{
    StorageError,
    core::Core,
    expire::{Held, all_manifests, pinned::Pinned},
    index::ManifestRecord,
    repositories::TagLocks,
};

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Manifests that the repository no longer holds.
    pub manifests: u64,
    /// Blobs whose files went, those of manifests not counted.
    pub blobs: u64,
    /// Bytes freed.
    pub bytes: u64,
}

/// The removal of one image.
pub(crate) struct Purge<'a> {
    core: &'a Arc<Core>,
    tag_locks: &'a TagLocks,
    of: RepositoryName,
    purged: Purged,
}

impl<'a> Purge<'a> {
    pub(crate) fn new(core: &'a Arc<Core>, tag_locks: &'a TagLocks, of: RepositoryName) -> Self {
        Self {
            core,
            tag_locks,
            of,
            purged: Purged::default(),
        }
    }

    /// `None`: there is no such image.
    pub(crate) fn run(mut self, reference: &Reference) -> Result<Option<Purged>, StorageError> {
        self.core.writable()?;
        let root = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => {
                let one = self.tag_locks.on(self.core, (self.of.clone(), tag.clone()));
                let Some(record) = one.load()? else {
                    return Ok(None);
                };
                one.remove()?;
                record.digest
            }
        };
        let repositories = self.core.repositories()?;
        let manifests = all_manifests(self.core, repositories.iter())?;
        let image = self.image(root, &manifests);
        if image.is_empty() {
            return Ok(matches!(reference, Reference::Tag(_)).then_some(self.purged));
        }
        let kept = self.kept(&image, &manifests)?;
        let mut named = HashSet::new();
        for digest in image.keys().filter(|digest| !kept.contains(digest)) {
            let _removing = self.core.linking.write();
            if self.core.leases.is_held(digest) {
                continue;
            }
            self.purged.manifests += u64::from(self.core.unlink_manifest(&self.of, digest)?);
        }
        for (digest, record) in &image {
            named.insert((*digest, true));
            named.extend(record.blobs.iter().map(|blob| (blob.digest, false)));
        }
        for (digest, is_manifest) in named {
            if !kept.contains(&digest) {
                self.drop_blob(&digest, is_manifest, &repositories)?;
            }
        }
        Ok(Some(self.purged))
    }

    /// The manifests in this repository that belong to the image: itself, what it names, and what refers to these.
    fn image<'m>(&self, root: Digest, manifests: &'m Held) -> HashMap<Digest, &'m ManifestRecord> {
        let here: HashMap<Digest, &ManifestRecord> = manifests
            .iter()
            .filter(|(of, ..)| *of == self.of)
            .map(|(_, digest, record)| (*digest, record))
            .collect();
        let mut found = HashMap::new();
        let mut waiting = vec![root];
        while let Some(digest) = waiting.pop() {
            let Some(record) = here.get(&digest) else {
                continue;
            };
            if found.insert(digest, *record).is_none() {
                waiting.extend(record.children.iter().map(|child| child.digest));
                let refers = |(_, record): &(&Digest, &&ManifestRecord)| {
                    record.subject.as_ref() == Some(&digest)
                };
                waiting.extend(here.iter().filter(refers).map(|(digest, _)| *digest));
            }
        }
        found
    }

    /// What must stay: all that other images here name, what other tags mean, what is pinned and what is held.
    fn kept(
        &self,
        image: &HashMap<Digest, &ManifestRecord>,
        manifests: &Held,
    ) -> Result<HashSet<Digest>, StorageError> {
        let pinned = Pinned {
            core: self.core,
            tag_locks: self.tag_locks,
        };
        let mut waiting: Vec<Digest> = pinned.all(manifests)?.into_iter().collect();
        for tag in self.core.tags_of(&self.of)? {
            let one = self.tag_locks.on(self.core, (self.of.clone(), tag));
            waiting.extend(one.load()?.map(|record| record.digest));
        }
        waiting.extend(
            image
                .keys()
                .filter(|digest| self.core.leases.is_held(digest)),
        );
        let mut kept = HashSet::new();
        for (of, digest, record) in manifests {
            if *of != self.of || !image.contains_key(digest) {
                kept.insert(*digest);
                waiting.extend(record.named().map(|named| named.digest));
            }
        }
        let mut passed = HashSet::new();
        while let Some(digest) = waiting.pop() {
            if passed.insert(digest)
                && let Some(record) = image.get(&digest)
            {
                waiting.extend(record.named().map(|named| named.digest));
            }
        }
        kept.extend(passed);
        Ok(kept)
    }

    fn drop_blob(
        &mut self,
        digest: &Digest,
        is_manifest: bool,
        repositories: &[RepositoryName],
    ) -> Result<(), StorageError> {
        let _removing = self.core.linking.write();
        if self.core.leases.is_held(digest) {
            return Ok(());
        }
        for of in repositories {
            let link = self.core.layout.layer_link(of, digest);
            let is_linked = *of != self.of && self.core.has_link(&link, digest)?;
            if is_linked || self.core.has_revision(of, digest)? {
                return Ok(());
            }
        }
        self.core.unlink_blob(&self.of, digest)?;
        if let Some(bytes) = self.core.remove_blob(digest)? {
            self.purged.blobs += u64::from(!is_manifest);
            self.purged.bytes += bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
