//! What each repository holds: tags, manifests, blobs. Files first, index second; the only writer of links.
//!
//! Two things are kept outside Distribution's own directories, because its garbage collector gives up on a store in which it
//! meets a revision it cannot read: the revisions of other kinds of manifest, and media types that a manifest's own bytes do
//! not tell. Both are one file, `cistern/revisions/<name>/_revisions/<alg>/<hex>`, which holds the media type. A tag's link may
//! point at such a revision: Distribution then finds no manifest and asks its upstream.

mod hosted;
mod manifests;
mod readable;
mod referrers;
mod tags;

use std::{sync::Arc, time::SystemTime};

use cistern_oci::{Digest, Manifest, RepositoryName, Tag};

pub use self::referrers::Referrer;
pub(crate) use self::tags::TagLocks;
use crate::{StorageError, core::Core};

/// What is known about a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRecord {
    /// What it points at.
    pub digest: Digest,
    /// When an upstream last confirmed it; `None` when it is known from its file only, which counts as stale.
    pub checked_at: Option<SystemTime>,
    /// Which upstream confirmed it.
    pub source: Option<Arc<str>>,
}

/// That an upstream confirmed a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// When.
    pub at: SystemTime,
    /// Which.
    pub source: Arc<str>,
}

/// The repositories of the store.
pub struct Repositories {
    core: Arc<Core>,
    tag_locks: Arc<TagLocks>,
}

impl Repositories {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            tag_locks: Arc::new(TagLocks::new()),
        }
    }

    /// What is known about a tag, or `None`.
    pub async fn tag(
        &self,
        of: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<TagRecord>, StorageError> {
        let key = (of.clone(), tag.clone());
        if let Some(record) = self.core.memory.tags.get(&key) {
            return Ok(Some(record));
        }
        let locks = Arc::clone(&self.tag_locks);
        self.core.off(move |core| locks.on(core, key).load()).await
    }

    /// Points a tag at a digest that an upstream just named for it. An answer older than the one already recorded changes
    /// nothing.
    pub async fn set_tag(
        &self,
        of: &RepositoryName,
        tag: &Tag,
        to: &Digest,
        checked: Checked,
    ) -> Result<(), StorageError> {
        let (key, to) = ((of.clone(), tag.clone()), *to);
        let locks = Arc::clone(&self.tag_locks);
        self.core
            .off(move |core| locks.on(core, key).set(&to, checked))
            .await
    }

    /// Removes a tag; whether there was one.
    pub async fn remove_tag(&self, of: &RepositoryName, tag: &Tag) -> Result<bool, StorageError> {
        let key = (of.clone(), tag.clone());
        let locks = Arc::clone(&self.tag_locks);
        self.core
            .off(move |core| locks.on(core, key).remove())
            .await
    }

    /// The tags known here, sorted by bytes.
    pub async fn tags(&self, of: &RepositoryName) -> Result<Vec<Tag>, StorageError> {
        let of = of.clone();
        self.core.off(move |core| core.tags_of(&of)).await
    }

    /// Whether this repository holds this blob (a link; the bytes are [`crate::Blobs`]' matter).
    pub async fn holds_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let key = (of.clone(), *digest);
        if self.core.memory.layers.contains_key(&key) {
            return Ok(true);
        }
        self.core
            .off(move |core| {
                let _adding = core.linking.read();
                let holds = core.has_link(&core.layout.layer_link(&key.0, &key.1), &key.1)?;
                if holds {
                    core.memory.layers.insert(key, ());
                }
                Ok(holds)
            })
            .await
    }

    /// Lets this repository hold this blob.
    pub async fn link_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), StorageError> {
        let (of, digest) = (of.clone(), *digest);
        self.core
            .off(move |core| core.link_blob(&of, &digest))
            .await
    }

    /// Whether this repository holds this manifest (a link).
    pub async fn holds_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let key = (of.clone(), *digest);
        if self.core.memory.revisions.contains_key(&key) {
            return Ok(true);
        }
        self.core
            .off(move |core| core.has_revision(&key.0, &key.1))
            .await
    }

    /// Stores a manifest's exact bytes and lets this repository hold it.
    pub async fn put_manifest(
        &self,
        of: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<(), StorageError> {
        let (of, manifest) = (of.clone(), manifest.clone());
        self.core
            .off(move |core| core.put_manifest(&of, &manifest))
            .await
    }

    /// A manifest of this repository: its exact bytes, verified, and the media type it came with.
    pub async fn manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Manifest>, StorageError> {
        let key = (of.clone(), *digest);
        if let Some(manifest) = self.core.remembered_manifest(of, digest) {
            return Ok(Some(manifest));
        }
        self.core
            .off(move |core| core.read_manifest(&key.0, &key.1))
            .await
    }

    /// The size that a stored manifest of this repository gives for this blob, or `None` when none names it.
    pub async fn names_digest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, StorageError> {
        let (of, digest) = (of.clone(), *digest);
        self.core
            .off(move |core| core.names_digest(&of, &digest))
            .await
    }

    pub(crate) fn tag_locks(&self) -> Arc<TagLocks> {
        Arc::clone(&self.tag_locks)
    }

    /// All repositories, sorted by bytes.
    pub async fn list(&self) -> Result<Vec<RepositoryName>, StorageError> {
        self.core.off(|core| core.repositories()).await
    }
}

impl Core {
    /// Lets a repository hold a blob, which need not be there yet: a link without a blob is no more than a miss. The file is
    /// looked at even if memory knows of it; somebody may have emptied the store.
    pub(crate) fn link_blob(
        self: &Arc<Self>,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), StorageError> {
        let link = self.layout.layer_link(of, digest);
        let _adding = self.linking.read();
        if !self.has_link(&link, digest)? {
            self.writable()?;
            self.write_link(&link, digest)?;
        }
        self.memory.layers.insert((of.clone(), *digest), ());
        Ok(())
    }

    /// Lets a repository no longer hold a blob; call it with `linking` held for writing.
    pub(crate) fn unlink_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let was_there = self.remove_with_directories(&self.layout.layer_link(of, digest), 1)?;
        self.memory.layers.invalidate(&(of.clone(), *digest));
        Ok(was_there)
    }

    /// All repositories: every directory that has something of Distribution's in it. Sorted by bytes.
    pub(crate) fn repositories(&self) -> Result<Vec<RepositoryName>, StorageError> {
        let mut found = Vec::new();
        let mut waiting = vec![String::new()];
        while let Some(above) = waiting.pop() {
            let names: Vec<String> = self.names_in(&self.layout.repositories().join(&above))?;
            let mut is_repository = false;
            for name in names {
                if name.starts_with('_') {
                    is_repository |= name == "_layers" || name == "_manifests";
                    continue;
                }
                let path = if above.is_empty() {
                    name
                } else {
                    format!("{above}/{name}")
                };
                // What is no name cannot hold names either; files and strangers' directories are passed over.
                if path.parse::<RepositoryName>().is_ok() {
                    waiting.push(path);
                }
            }
            if is_repository && let Ok(name) = above.parse() {
                found.push(name);
            }
        }
        found.sort();
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
