//! What each repository holds: tags, manifests, blobs. Files first, index second; the only writer of links.

use std::{sync::Arc, time::SystemTime};

use cistern_oci::{Digest, Manifest, RepositoryName, Tag};

use crate::StorageError;

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
pub struct Repositories;

impl Repositories {
    /// What is known about a tag, or `None`.
    pub async fn tag(
        &self,
        of: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<TagRecord>, StorageError> {
        let _ = (of, tag);
        unimplemented!()
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
        let _ = (of, tag, to, checked);
        unimplemented!()
    }

    /// Removes a tag; whether there was one.
    pub async fn remove_tag(&self, of: &RepositoryName, tag: &Tag) -> Result<bool, StorageError> {
        let _ = (of, tag);
        unimplemented!()
    }

    /// The tags known here, sorted by bytes.
    pub async fn tags(&self, of: &RepositoryName) -> Result<Vec<Tag>, StorageError> {
        let _ = of;
        unimplemented!()
    }

    /// Whether this repository holds this blob (a link; the bytes are [`crate::Blobs`]' matter).
    pub async fn holds_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let _ = (of, digest);
        unimplemented!()
    }

    /// Lets this repository hold this blob.
    pub async fn link_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), StorageError> {
        let _ = (of, digest);
        unimplemented!()
    }

    /// Whether this repository holds this manifest (a link).
    pub async fn holds_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let _ = (of, digest);
        unimplemented!()
    }

    /// Stores a manifest's exact bytes and lets this repository hold it.
    pub async fn put_manifest(
        &self,
        of: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<(), StorageError> {
        let _ = (of, manifest);
        unimplemented!()
    }

    /// A manifest of this repository: its exact bytes, verified, and the media type it came with.
    pub async fn manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Manifest>, StorageError> {
        let _ = (of, digest);
        unimplemented!()
    }

    /// The size that a stored manifest of this repository gives for this blob, or `None` when none names it.
    pub async fn names_digest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, StorageError> {
        let _ = (of, digest);
        unimplemented!()
    }

    /// All repositories, sorted by bytes.
    pub async fn list(&self) -> Result<Vec<RepositoryName>, StorageError> {
        unimplemented!()
    }
}
