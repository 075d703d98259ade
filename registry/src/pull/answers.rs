//! What may be asked of this room, and what it answers with.

use std::time::Duration;

use cistern_oci::{ByteRange, Digest, Manifest, RangeRequest, RepositoryName, Tag};

use super::body::BlobBody;

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
    /// It was a write, and what it brought is kept.
    Pushed,
    /// It was a removal, and what it named is gone.
    Deleted,
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

impl OpenedBlob {
    pub(super) fn head(digest: Digest, size: u64, served: Served) -> Self {
        Self {
            digest,
            size,
            part: None,
            body: None,
            served,
        }
    }
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
    /// How long ago it was confirmed, where that is known of a stale one.
    pub age: Option<Duration>,
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
