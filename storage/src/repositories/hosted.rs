//! Writing to hosted repositories: durable before it returns, for what was pushed here exists nowhere else.

use cistern_oci::{Digest, Manifest, RepositoryName, Tag};

use super::Repositories;
use crate::StorageError;

impl Repositories {
    /// Lets this repository hold a blob whose bytes are in the store, durably. `false`: they are not there.
    pub async fn keep_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let _ = (of, digest);
        Ok(false)
    }

    /// Stores a manifest's exact bytes and lets this repository hold it, durably.
    pub async fn keep_manifest(
        &self,
        of: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<(), StorageError> {
        self.put_manifest(of, manifest).await
    }

    /// Points a tag at a manifest that this repository holds, durably. If the manifest was removed meanwhile its tags went with
    /// it, this one too.
    pub async fn keep_tag(
        &self,
        of: &RepositoryName,
        tag: &Tag,
        to: &Digest,
    ) -> Result<(), StorageError> {
        let _ = (of, tag, to);
        Ok(())
    }

    /// Removes a tag durably; whether there was one.
    pub async fn drop_tag(&self, of: &RepositoryName, tag: &Tag) -> Result<bool, StorageError> {
        self.remove_tag(of, tag).await
    }

    /// Removes a manifest from this repository durably, with every tag that points at it; whether it held it. The bytes go when no
    /// repository holds them any more.
    pub async fn drop_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let _ = (of, digest);
        Ok(false)
    }

    /// Removes a blob from this repository durably; whether it held it. The bytes go when no repository holds them any more, as a
    /// blob or as a manifest, and nobody reads them.
    pub async fn drop_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let _ = (of, digest);
        Ok(false)
    }

    /// Whether any repository holds this blob.
    pub async fn holders(&self, digest: &Digest) -> Result<bool, StorageError> {
        let _ = digest;
        Ok(false)
    }
}
