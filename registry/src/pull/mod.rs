//! Canned: answers from memory what the real room answers from store and upstream.
mod body;
mod error;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cistern_oci::{ByteRange, Digest, Manifest, RangeRequest, Reference, RepositoryName, Tag};
use cistern_storage::BlobBytes;
use parking_lot::RwLock;

pub use self::body::{BlobBody, BodyBroke};
pub use self::error::{Asked, PullError};
use crate::repositories::Repository;

/// How a request was answered: the log line's outcome and the metrics' label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Served {
    /// From what is here.
    Hit,
    /// From work that another caller had started.
    Joined,
    /// It was fetched for this caller.
    Miss,
    /// From what is here, unconfirmed.
    Stale,
    /// Not at all.
    Refused,
}

/// What of a blob is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Its existence and size only. Never starts a download.
    Head,
    /// All of it.
    Whole,
    /// One range of it.
    Part(RangeRequest),
}

/// A blob that can be sent.
pub struct OpenedBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its whole size in bytes.
    pub size: u64,
    /// The part that `body` holds; `None` for the whole blob.
    pub part: Option<ByteRange>,
    /// The bytes; `None` after [`Want::Head`].
    pub body: Option<BlobBody>,
    /// How it came.
    pub served: Served,
}

/// A manifest that can be sent.
#[derive(Clone, Debug)]
pub struct FoundManifest {
    /// The exact bytes, their digest and media type.
    pub manifest: Manifest,
    /// How it came.
    pub served: Served,
    /// The tag could not be confirmed: say so.
    pub stale: bool,
}

/// A page of a repository's tags, sorted by bytes.
#[derive(Clone, Debug)]
pub struct TagPage {
    /// The tags of this page.
    pub tags: Vec<Tag>,
    /// Whether there are tags after this page.
    pub more: bool,
    /// The list could not be confirmed: say so.
    pub stale: bool,
    /// How it came.
    pub served: Served,
}

/// A page of the repositories in the store, sorted by bytes.
#[derive(Clone, Debug)]
pub struct CatalogPage {
    /// The names of this page.
    pub names: Vec<RepositoryName>,
    /// Whether there are names after this page.
    pub more: bool,
}

/// Canned contents.
#[derive(Default)]
pub struct Contents {
    /// Blobs.
    pub blobs: HashMap<Digest, Bytes>,
    /// Manifests by repository and reference text.
    pub manifests: HashMap<(RepositoryName, String), Manifest>,
    /// Errors by repository.
    pub errors: HashMap<RepositoryName, PullError>,
    /// Tags by repository.
    pub tags: HashMap<RepositoryName, Vec<Tag>>,
}

/// Canned.
#[derive(Clone, Default)]
pub struct Pull {
    /// What it answers from.
    pub contents: Arc<RwLock<Contents>>,
}

impl Pull {
    /// Canned.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: Digest,
        want: Want,
    ) -> Result<OpenedBlob, PullError> {
        let contents = self.contents.read();
        if let Some(error) = contents.errors.get(repository.name()) {
            return Err(error.clone());
        }
        let bytes = contents
            .blobs
            .get(&digest)
            .ok_or(PullError::BlobUnknown(digest, None))?
            .clone();
        let size = bytes.len() as u64;
        let part = match want {
            Want::Part(range) => Some(
                range
                    .within(size)
                    .map_err(|_| PullError::RangeNotSatisfiable { size })?,
            ),
            Want::Head | Want::Whole => None,
        };
        let bytes = match part {
            Some(part) => bytes.slice(part.first as usize..=part.last as usize),
            None => bytes,
        };
        let body = (want != Want::Head).then(|| BlobBytes::from_bytes(bytes).into());
        Ok(OpenedBlob {
            digest,
            size,
            part,
            body,
            served: Served::Hit,
        })
    }

    /// Canned.
    pub async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<FoundManifest, PullError> {
        let contents = self.contents.read();
        if let Some(error) = contents.errors.get(repository.name()) {
            return Err(error.clone());
        }
        let key = (repository.name().clone(), reference.to_string());
        let manifest = contents.manifests.get(&key).cloned();
        let manifest =
            manifest.ok_or_else(|| PullError::ManifestUnknown(reference.clone(), None))?;
        let stale = reference.to_string().ends_with("stale");
        Ok(FoundManifest {
            manifest,
            served: if stale { Served::Stale } else { Served::Hit },
            stale,
        })
    }

    /// Canned.
    pub async fn tags(
        &self,
        repository: &Repository,
        after: Option<&str>,
        at_most: Option<usize>,
    ) -> Result<TagPage, PullError> {
        let contents = self.contents.read();
        let tags = contents
            .tags
            .get(repository.name())
            .ok_or_else(|| PullError::NameUnknown(repository.name().to_string(), None))?;
        let mut tags: Vec<Tag> = tags
            .iter()
            .filter(|tag| after.is_none_or(|after| tag.as_str() > after))
            .cloned()
            .collect();
        let more = at_most.is_some_and(|most| most > 0 && tags.len() > most);
        tags.truncate(at_most.unwrap_or(usize::MAX));
        Ok(TagPage {
            tags,
            more,
            stale: false,
            served: Served::Hit,
        })
    }

    /// Canned.
    pub async fn catalog(
        &self,
        after: Option<&str>,
        at_most: Option<usize>,
    ) -> Result<CatalogPage, PullError> {
        let contents = self.contents.read();
        let mut names: Vec<RepositoryName> = contents
            .tags
            .keys()
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .cloned()
            .collect();
        names.sort();
        let more = at_most.is_some_and(|most| most > 0 && names.len() > most);
        names.truncate(at_most.unwrap_or(usize::MAX));
        Ok(CatalogPage { names, more })
    }
}
