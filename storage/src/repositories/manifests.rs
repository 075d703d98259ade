//! Manifests of a repository on disk: the bytes are a blob, a link says that the repository holds them.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use cistern_oci::{Digest, MANIFEST_SIZE_LIMIT, Manifest, MediaType, RepositoryName};

use super::readable::is_readable_for_distribution;
use crate::{
    StorageError,
    core::{Core, if_there, is_absent},
    disk::read_whole,
    index::ManifestRecord,
};

/// The longest file that holds a media type.
const LONGEST_MEDIA_TYPE: u64 = 1024;

impl Core {
    /// Whether a repository holds a manifest.
    pub(crate) fn has_revision(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        if self.has_link(&self.layout.revision_link(of, digest), digest)? {
            return Ok(true);
        }
        let own = self.layout.own_revision(of, digest);
        let facts = if_there("look at", &own, self.disk.facts(&own))?;
        Ok(facts.is_some_and(|facts| facts.size > 0))
    }

    pub(crate) fn put_manifest(
        self: &Arc<Self>,
        of: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<(), StorageError> {
        let digest = &manifest.digest;
        self.put_blob(digest, &manifest.bytes)?;
        let _adding = self.linking.read();
        let is_readable = is_readable_for_distribution(&manifest.bytes);
        let told_by_bytes = Manifest::media_type_of(None, &manifest.bytes) == manifest.media_type;
        let own = self.layout.own_revision(of, digest);
        if is_readable && told_by_bytes {
            self.remove_with_directories(&own, 2)?;
        } else {
            self.write_small(&own, manifest.media_type.as_str().as_bytes())?;
        }
        if is_readable {
            let link = self.layout.revision_link(of, digest);
            if !self.has_link(&link, digest)? {
                self.write_link(&link, digest)?;
            }
        }
        // Without this directory Distribution does not see the repository, and its garbage collector removes the manifest.
        let layers = self.layout.layers(of);
        self.disk
            .create_directories(&layers)
            .map_err(|error| StorageError::io("create", &layers, error))?;
        self.index
            .set_manifest(of, digest, &ManifestRecord::of(&manifest.bytes));
        self.remember(of, manifest);
        Ok(())
    }

    pub(super) fn remember(&self, of: &RepositoryName, manifest: &Manifest) {
        self.memory.keep(&manifest.digest, &manifest.bytes);
        self.memory
            .revisions
            .insert((of.clone(), manifest.digest), manifest.media_type.clone());
    }

    /// A manifest that a repository holds, if it is in memory.
    pub(super) fn remembered_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Option<Manifest> {
        let media_type = self.memory.revisions.get(&(of.clone(), *digest))?;
        let bytes = self.memory.bytes.get(digest)?;
        Some(Manifest {
            digest: *digest,
            media_type,
            bytes,
        })
    }

    pub(crate) fn read_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Manifest>, StorageError> {
        if !self.has_revision(of, digest)? {
            return Ok(None);
        }
        let Some(bytes) = self.read_verified(digest, MANIFEST_SIZE_LIMIT)? else {
            self.unlink_dangling(of, digest)?;
            return Ok(None);
        };
        let media_type = match self.own_media_type(of, digest)? {
            Some(media_type) => media_type,
            None => Manifest::media_type_of(None, &bytes),
        };
        let manifest = Manifest {
            digest: *digest,
            media_type,
            bytes,
        };
        let _adding = self.linking.read();
        if self.has_revision(of, digest)? && self.disk.facts(&self.layout.blob(digest)).is_ok() {
            if self.index.manifest(of, digest).is_none() {
                self.index
                    .set_manifest(of, digest, &ManifestRecord::of(&manifest.bytes));
            }
            self.remember(of, &manifest);
        }
        Ok(Some(manifest))
    }

    /// The media type that was written down because the bytes do not tell it.
    fn own_media_type(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<MediaType>, StorageError> {
        let path = self.layout.own_revision(of, digest);
        let text = if_there(
            "read",
            &path,
            read_whole(&*self.disk, &path, LONGEST_MEDIA_TYPE),
        )?;
        Ok(text
            .and_then(|text| String::from_utf8(text).ok())
            .filter(|text| !text.is_empty())
            .map(|text| MediaType::new(&text)))
    }

    /// Removes the link to a manifest whose bytes are gone: Distribution's garbage collector would give up on it.
    fn unlink_dangling(&self, of: &RepositoryName, digest: &Digest) -> Result<(), StorageError> {
        if self.read_only {
            return Ok(());
        }
        let _removing = self.linking.write();
        let bytes = self.layout.blob(digest);
        if matches!(self.disk.facts(&bytes), Err(error) if is_absent(&error)) {
            self.unlink_manifest(of, digest)?;
        }
        Ok(())
    }

    /// Lets a repository no longer hold a manifest; call it with `linking` held for writing. Whether it held it.
    pub(crate) fn unlink_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let theirs = self.remove_with_directories(&self.layout.revision_link(of, digest), 1)?;
        let ours = self.remove_with_directories(&self.layout.own_revision(of, digest), 2)?;
        self.memory.revisions.invalidate(&(of.clone(), *digest));
        self.index.forget_manifest(of, digest);
        Ok(theirs || ours)
    }

    /// The digests of all manifests that a repository holds.
    pub(crate) fn revisions_of(&self, of: &RepositoryName) -> Result<Vec<Digest>, StorageError> {
        let mut found = self.digests_in(&self.layout.revisions(of))?;
        found.extend(self.digests_in(&self.layout.own_revisions(of))?);
        found.sort();
        found.dedup();
        Ok(found)
    }

    pub(crate) fn names_digest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, StorageError> {
        if let Some(size) = self.index.names(of, digest) {
            return Ok(Some(size));
        }
        if self.index.is_scanned(of) || !self.is_there(&self.layout.repository(of))? {
            return Ok(None);
        }
        self.index.scan(of, || self.index_manifests(of, || true))?;
        Ok(self.index.names(of, digest))
    }

    fn is_there(&self, path: &Path) -> Result<bool, StorageError> {
        Ok(if_there("look at", path, self.disk.facts(path))?.is_some())
    }

    /// Puts those manifests of a repository into the index that are not in it yet, for as long as `go_on` says so. Whether all
    /// are in it then.
    pub(crate) fn index_manifests(
        &self,
        of: &RepositoryName,
        go_on: impl Fn() -> bool,
    ) -> Result<bool, StorageError> {
        for digest in self.revisions_of(of)? {
            if !go_on() {
                return Ok(false);
            }
            if self.index.manifest(of, &digest).is_some() || !self.has_revision(of, &digest)? {
                continue;
            }
            match self.read_verified(&digest, MANIFEST_SIZE_LIMIT) {
                Ok(Some(bytes)) => self.index_manifest(of, &digest, &bytes)?,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, %digest, repository = %of, "a stored manifest cannot be read");
                }
            }
        }
        Ok(true)
    }

    fn index_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        bytes: &Bytes,
    ) -> Result<(), StorageError> {
        let _adding = self.linking.read();
        if self.has_revision(of, digest)? {
            self.index
                .set_manifest(of, digest, &ManifestRecord::of(bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
