//! Writing to hosted repositories: durable before it returns, for what was pushed here exists nowhere else.
//!
//! Whoever adds holds a lease on the digest from before it looks whether the bytes are there until the link to them is written.
//! Whoever removes bytes does so only where nobody has a lease, with `linking` held for writing: so no link is left without its
//! bytes. Links go before bytes, tags before what they point at; a crash in between leaves at most bytes that nobody links.

use std::sync::Arc;

use cistern_oci::{Digest, Manifest, RepositoryName, Tag};

use super::{Repositories, TagLocks, readable::is_readable_for_distribution};
use crate::{
    StorageError,
    core::{Core, if_there},
    durable::{ABOVE_LINK, ABOVE_MEDIA_TYPE},
    index::ManifestRecord,
};

/// The most blobs that are remembered to be removed when their readers are done.
const MOST_REMEMBERED: usize = 10_000;

impl Repositories {
    /// Lets this repository hold a blob whose bytes are in the store, durably. `false`: they are not there.
    pub async fn keep_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let (of, digest) = (of.clone(), *digest);
        self.core
            .off(move |core| core.keep_blob(&of, &digest))
            .await
    }

    /// Stores a manifest's exact bytes and lets this repository hold it, durably.
    pub async fn keep_manifest(
        &self,
        of: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<(), StorageError> {
        let (of, manifest) = (of.clone(), manifest.clone());
        self.core
            .off(move |core| core.keep_manifest(&of, &manifest))
            .await
    }

    /// Points a tag at a manifest that this repository holds, durably. If the manifest was removed meanwhile its tags went with
    /// it, this one too.
    pub async fn keep_tag(
        &self,
        of: &RepositoryName,
        tag: &Tag,
        to: &Digest,
    ) -> Result<(), StorageError> {
        let (key, to) = ((of.clone(), tag.clone()), *to);
        let locks = self.tag_locks();
        self.core
            .off(move |core| locks.on(core, key).keep(&to))
            .await
    }

    /// Removes a tag durably; whether there was one.
    pub async fn drop_tag(&self, of: &RepositoryName, tag: &Tag) -> Result<bool, StorageError> {
        let key = (of.clone(), tag.clone());
        let locks = self.tag_locks();
        self.core
            .off(move |core| locks.on(core, key).remove_durably())
            .await
    }

    /// Removes a manifest from this repository durably, with every tag that points at it; whether it held it. The bytes go when no
    /// repository holds them any more.
    pub async fn drop_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let (of, digest) = (of.clone(), *digest);
        let locks = self.tag_locks();
        self.core
            .off(move |core| core.drop_manifest(&of, &digest, &locks))
            .await
    }

    /// Removes a blob from this repository durably; whether it held it. The bytes go when no repository holds them any more, as a
    /// blob or as a manifest, and nobody reads them.
    pub async fn drop_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let (of, digest) = (of.clone(), *digest);
        self.core
            .off(move |core| core.drop_layer(&of, &digest))
            .await
    }

    /// Whether any repository holds this blob.
    pub async fn holders(&self, digest: &Digest) -> Result<bool, StorageError> {
        let digest = *digest;
        self.core
            .off(move |core| {
                for of in core.repositories()? {
                    if core.has_link(&core.layout.layer_link(&of, &digest), &digest)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            })
            .await
    }
}

// === adding ===

impl Core {
    fn keep_blob(
        self: &Arc<Self>,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        self.writable()?;
        let _lease = self.leases.hold(*digest);
        if self.examine(digest)?.is_none() {
            return Ok(false);
        }
        self.settle_blob(digest)?;
        self.uses.note(digest, self.now());
        self.keep_layer(of, digest)
    }

    /// Lets a repository hold a blob; call it with a lease on it held since its bytes were seen or made durable. `false`: they are
    /// gone all the same.
    pub(crate) fn keep_layer(
        self: &Arc<Self>,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let link = self.layout.layer_link(of, digest);
        let prepared = self.prepare_link(&link, digest)?;
        {
            let _adding = self.linking.read();
            let bytes = self.layout.blob(digest);
            if if_there("look at", &bytes, self.disk.facts(&bytes))?.is_none() {
                return Ok(false);
            }
            prepared.rename(&link)?;
            self.memory.layers.insert((of.clone(), *digest), ());
        }
        self.settle(&link, ABOVE_LINK)?;
        Ok(true)
    }

    fn keep_manifest(
        self: &Arc<Self>,
        of: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<(), StorageError> {
        self.writable()?;
        let digest = &manifest.digest;
        let _lease = self.leases.hold(*digest);
        self.put_blob(digest, &manifest.bytes)?;
        self.settle_blob(digest)?;
        self.uses.note(digest, self.now());
        // Without this directory Distribution does not see the repository.
        let layers = self.layout.layers(of);
        self.disk
            .create_directories(&layers)
            .map_err(|error| StorageError::io("create", &layers, error))?;
        self.settle(&layers, 0)?;
        let is_readable = is_readable_for_distribution(&manifest.bytes);
        let told_by_bytes = Manifest::media_type_of(None, &manifest.bytes) == manifest.media_type;
        // The media type is there before the link is, or the manifest might be served as another.
        let own = self.layout.own_revision(of, digest);
        if !(is_readable && told_by_bytes) {
            let media_type = manifest.media_type.as_str().as_bytes();
            let prepared = self.prepare_small(&own, media_type)?;
            let adding = self.linking.read();
            prepared.rename(&own)?;
            drop(adding);
            self.settle(&own, ABOVE_MEDIA_TYPE)?;
        }
        if is_readable {
            let link = self.layout.revision_link(of, digest);
            let prepared = self.prepare_link(&link, digest)?;
            let adding = self.linking.read();
            prepared.rename(&link)?;
            drop(adding);
            self.settle(&link, ABOVE_LINK)?;
            if told_by_bytes && self.remove_with_directories(&own, ABOVE_MEDIA_TYPE)? {
                self.settle(&own, ABOVE_MEDIA_TYPE)?;
            }
        }
        let _adding = self.linking.read();
        if self.has_revision(of, digest)? {
            self.index
                .set_manifest(of, digest, &ManifestRecord::of(&manifest.bytes));
            self.remember(of, manifest);
        }
        Ok(())
    }
}

// === removing ===

impl Core {
    fn drop_layer(&self, of: &RepositoryName, digest: &Digest) -> Result<bool, StorageError> {
        self.writable()?;
        let was_there = {
            let _removing = self.linking.write();
            self.unlink_blob(of, digest)?
        };
        if was_there {
            self.settle(&self.layout.layer_link(of, digest), ABOVE_LINK)?;
            self.remove_unlinked(digest)?;
        }
        Ok(was_there)
    }

    fn drop_manifest(
        self: &Arc<Self>,
        of: &RepositoryName,
        digest: &Digest,
        locks: &TagLocks,
    ) -> Result<bool, StorageError> {
        self.writable()?;
        if !self.has_revision(of, digest)? {
            return Ok(false);
        }
        self.drop_tags_to(of, digest, locks)?;
        let was_there = {
            let _removing = self.linking.write();
            self.unlink_manifest(of, digest)?
        };
        self.settle(&self.layout.revision_link(of, digest), ABOVE_LINK)?;
        self.settle(&self.layout.own_revision(of, digest), ABOVE_MEDIA_TYPE)?;
        // Those that were pointed at it meanwhile.
        self.drop_tags_to(of, digest, locks)?;
        self.remove_unlinked(digest)?;
        Ok(was_there)
    }

    fn drop_tags_to(
        self: &Arc<Self>,
        of: &RepositoryName,
        digest: &Digest,
        locks: &TagLocks,
    ) -> Result<(), StorageError> {
        for tag in self.tags_of(of)? {
            let one = locks.on(self, (of.clone(), tag));
            if one.load()?.is_some_and(|record| record.digest == *digest) {
                one.remove_durably()?;
            }
        }
        Ok(())
    }

    /// Removes the bytes of a digest that no repository holds, as a blob or as a manifest. Those that somebody holds on to are
    /// remembered for [`Core::remove_remembered`].
    fn remove_unlinked(&self, digest: &Digest) -> Result<(), StorageError> {
        let _removing = self.linking.write();
        for of in self.repositories()? {
            if self.has_link(&self.layout.layer_link(&of, digest), digest)?
                || self.has_revision(&of, digest)?
            {
                return Ok(());
            }
        }
        if self.leases.is_held(digest) {
            let mut unlinked = self.unlinked.lock();
            if unlinked.len() < MOST_REMEMBERED {
                unlinked.insert(*digest);
            }
            return Ok(());
        }
        self.remove_blob(digest)?;
        Ok(())
    }

    /// Removes the bytes that could not go with their last link because they were being read.
    pub(crate) fn remove_remembered(&self) {
        let unlinked = std::mem::take(&mut *self.unlinked.lock());
        for digest in unlinked {
            if let Err(error) = self.remove_unlinked(&digest) {
                tracing::warn!(%error, %digest, "cannot remove a deleted blob");
            }
        }
    }
}

#[cfg(test)]
mod tests;
