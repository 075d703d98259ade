//! Writing to hosted repositories: blobs in pushes that may take many requests, manifests with their tags, and removal.
//!
//! This room knows `storage` and the words. It must not know axum, status codes or header names, nor any upstream: what is hosted
//! lives here only. Whatever it answers with success is durable.

mod body;
mod error;
mod manifests;
mod uploads;

use std::sync::Arc;

use cistern_oci::{Algorithm, Digest, Reference, RepositoryName, Tag, UploadId};
use cistern_storage::Storage;
use tokio::sync::Semaphore;

pub use self::body::PushBody;
pub use self::error::PushError;
use crate::metrics::{Metrics, WriteOutcome, Written};
use crate::repositories::Hosted;

/// What the push room is built from.
pub struct PushOptions {
    /// Bytes and links.
    pub storage: Storage,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// `hosted.incomplete`: manifests are taken although blobs they name are absent.
    pub incomplete: bool,
    /// `storage.delete.enabled`: tags, manifests and blobs may be removed.
    pub deletes: bool,
}

struct Parts {
    storage: Storage,
    metrics: Arc<Metrics>,
    incomplete: bool,
    deletes: bool,
    /// Room in memory for manifests that are being pushed, in KiB.
    manifest_room: Semaphore,
}

// === impl Parts ===

impl Parts {
    /// Counts one write, and hands its answer on.
    fn counted<T>(&self, kind: Written, answer: Result<T, PushError>) -> Result<T, PushError> {
        let outcome = answer
            .as_ref()
            .map_or_else(PushError::outcome, |_| WriteOutcome::Done);
        self.metrics.writes.count(kind, outcome);
        answer
    }

    async fn mount(
        &self,
        to: &Hosted,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<bool, PushError> {
        let repositories = self.storage.repositories();
        let may = match from {
            Some(from) => repositories.holds_blob(from, digest).await?,
            None => repositories.holders(digest).await?,
        };
        Ok(may && repositories.keep_blob(&to.name, digest).await?)
    }

    async fn delete_manifest(&self, of: &Hosted, which: &Reference) -> Result<(), PushError> {
        self.may_delete()?;
        let repositories = self.storage.repositories();
        let was_there = match which {
            Reference::Tag(tag) => repositories.drop_tag(&of.name, tag).await?,
            Reference::Digest(digest) => repositories.drop_manifest(&of.name, digest).await?,
        };
        if was_there {
            Ok(())
        } else {
            Err(PushError::ManifestUnknown(which.clone()))
        }
    }

    async fn delete_blob(&self, of: &Hosted, digest: &Digest) -> Result<(), PushError> {
        self.may_delete()?;
        if self
            .storage
            .repositories()
            .drop_blob(&of.name, digest)
            .await?
        {
            Ok(())
        } else {
            Err(PushError::BlobUnknown(*digest))
        }
    }

    fn may_delete(&self) -> Result<(), PushError> {
        if self.deletes {
            Ok(())
        } else {
            Err(PushError::NoDeletes)
        }
    }
}

/// The bytes of one request, and which of the blob they are meant to be.
pub struct Chunk<B> {
    /// The bytes.
    pub body: B,
    /// The first and the last byte's place in the blob, if the caller said so (`Content-Range`).
    pub place: Option<(u64, u64)>,
}

/// A manifest as it was sent.
pub struct SentManifest<B> {
    /// The tag or digest of the path.
    pub reference: Reference,
    /// Further tags it gets.
    pub tags: Vec<Tag>,
    /// What the caller calls it.
    pub content_type: Option<String>,
    /// How long the caller says it is, in bytes.
    pub length: Option<u64>,
    /// Its bytes.
    pub body: B,
}

/// A manifest that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptManifest {
    /// Its digest: the caller's own where one was named.
    pub digest: Digest,
    /// What it says something about.
    pub subject: Option<Digest>,
}

/// Writing to hosted repositories.
#[derive(Clone)]
pub struct Push {
    parts: Arc<Parts>,
}

// === impl Push ===

impl Push {
    /// Builds the room.
    pub fn new(options: PushOptions) -> Self {
        let PushOptions {
            storage,
            metrics,
            incomplete,
            deletes,
        } = options;
        Self {
            parts: Arc::new(Parts {
                storage,
                metrics,
                incomplete,
                deletes,
                manifest_room: Semaphore::new(manifests::ROOM),
            }),
        }
    }

    /// Begins a push of a blob. `algorithm` is the one its digest will be of; a wrong guess costs reading the bytes once more.
    pub async fn begin(&self, to: &Hosted, algorithm: Algorithm) -> Result<UploadId, PushError> {
        let id = self
            .parts
            .storage
            .uploads()
            .begin(&to.name, algorithm)
            .await?;
        Ok(id)
    }

    /// Lets the repository hold a blob that is here already, in `from` or, where none is named, in any repository. Whether it does
    /// now; if not, the caller pushes the bytes.
    pub async fn mount(
        &self,
        to: &Hosted,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<bool, PushError> {
        let mounted = self.parts.mount(to, digest, from).await;
        // Not mounted is no write: the bytes are pushed next.
        if matches!(mounted, Ok(false)) {
            return mounted;
        }
        self.parts.counted(Written::Mount, mounted)
    }

    /// Takes further bytes of a push; how many bytes of it are here then.
    pub async fn append<B: PushBody>(
        &self,
        to: &Hosted,
        id: &UploadId,
        chunk: Chunk<B>,
    ) -> Result<u64, PushError> {
        uploads::append(&self.parts, to, id, chunk).await
    }

    /// Takes the last bytes of a push, if there are some, and makes a blob of it.
    pub async fn finish<B: PushBody>(
        &self,
        to: &Hosted,
        id: &UploadId,
        chunk: Chunk<B>,
        digest: &Digest,
    ) -> Result<(), PushError> {
        let kept = uploads::finish(&self.parts, to, id, chunk, digest).await;
        self.parts.counted(Written::Blob, kept)
    }

    /// How many bytes of a push are here.
    pub async fn received(&self, to: &Hosted, id: &UploadId) -> Result<u64, PushError> {
        let received = self.parts.storage.uploads().received(&to.name, id).await?;
        received.ok_or_else(|| PushError::UploadUnknown(id.clone()))
    }

    /// Gives a push up.
    pub async fn cancel(&self, to: &Hosted, id: &UploadId) -> Result<(), PushError> {
        let upload = uploads::turn(&self.parts, to, id).await?;
        Ok(upload.cancel().await?)
    }

    /// Takes a manifest and points its tags at it.
    pub async fn put_manifest<B: PushBody>(
        &self,
        to: &Hosted,
        sent: SentManifest<B>,
    ) -> Result<KeptManifest, PushError> {
        let kept = manifests::put(&self.parts, to, sent).await;
        self.parts.counted(Written::Manifest, kept)
    }

    /// Removes a tag, or a manifest with all its tags.
    pub async fn delete_manifest(&self, of: &Hosted, which: &Reference) -> Result<(), PushError> {
        let deleted = self.parts.delete_manifest(of, which).await;
        self.parts.counted(Written::Delete, deleted)
    }

    /// Lets the repository no longer hold a blob. Others that hold it are not touched.
    pub async fn delete_blob(&self, of: &Hosted, digest: &Digest) -> Result<(), PushError> {
        let deleted = self.parts.delete_blob(of, digest).await;
        self.parts.counted(Written::Delete, deleted)
    }
}
