//! Which manifests of a repository say something about another one. The index tells which; what a listing says about each is
//! read from its bytes.

use std::{collections::BTreeMap, sync::Arc};

use cistern_oci::{Digest, Manifest, ManifestKind, ManifestLinks, MediaType, RepositoryName};
use serde_json::value::RawValue;

use super::Repositories;
use crate::{StorageError, core::Core};

/// A manifest that names another one as its subject, as a descriptor of the referrers listing has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The manifest.
    pub digest: Digest,
    /// The type it is served as.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub size: u64,
    /// The kind of artifact: what the manifest says itself, else the type of its config; an index that says nothing has none.
    pub artifact_type: Option<String>,
    /// All annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
}

impl Referrer {
    /// What a listing says about a manifest, if its subject is this digest.
    fn of(manifest: &Manifest, subject: &Digest) -> Option<Self> {
        let links = ManifestLinks::read(&manifest.bytes).ok()?;
        if links.subject.as_ref()?.digest != *subject {
            return None;
        }
        let config = links
            .config
            .filter(|_| links.kind == ManifestKind::Image)
            .map(|config| config.media_type.as_str().to_owned());
        Some(Self {
            digest: manifest.digest,
            media_type: manifest.media_type.clone(),
            size: manifest.bytes.len() as u64,
            artifact_type: links.artifact_type.or(config),
            annotations: annotations(&manifest.bytes).unwrap_or_default(),
        })
    }
}

/// The annotations of a manifest; those that are no texts are left out.
fn annotations(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(bytes).ok()?;
    let raw = members.get("annotations")?.get();
    let all: BTreeMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
    Some(
        all.into_iter()
            .filter_map(|(key, value)| Some((key, serde_json::from_str(value.get()).ok()?)))
            .collect(),
    )
}

impl Repositories {
    /// The manifests of this repository whose subject is this digest, sorted. The subject need not be there. None of them is
    /// read: all they say may be more than memory has room for.
    pub async fn referrers(
        &self,
        of: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Digest>, StorageError> {
        let (of, subject) = (of.clone(), *subject);
        self.core
            .off(move |core| core.referrers(&of, &subject))
            .await
    }

    /// What a listing says about one of them. None if it is gone, or says nothing about this subject.
    pub async fn referrer(
        &self,
        of: &RepositoryName,
        subject: &Digest,
        digest: &Digest,
    ) -> Result<Option<Referrer>, StorageError> {
        let (of, subject, digest) = (of.clone(), *subject, *digest);
        self.core
            .off(move |core| {
                let manifest = core.held_manifest(&of, &digest)?;
                Ok(manifest.and_then(|manifest| Referrer::of(&manifest, &subject)))
            })
            .await
    }
}

impl Core {
    fn referrers(
        self: &Arc<Self>,
        of: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Digest>, StorageError> {
        if !self.index.is_scanned(of) {
            self.index.scan(of, || self.index_manifests(of, || true))?;
        }
        Ok(self.index.referrers(of, subject))
    }

    /// A manifest of a repository, from memory if it is there.
    fn held_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Manifest>, StorageError> {
        match self.remembered_manifest(of, digest) {
            Some(manifest) => Ok(Some(manifest)),
            None => self.read_manifest(of, digest),
        }
    }
}

#[cfg(test)]
mod tests;
