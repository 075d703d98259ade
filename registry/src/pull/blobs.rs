//! Opening a blob: from the store, from a running download, or by starting one.

use std::sync::Arc;

use cistern_oci::{ByteRange, Digest, RangeRequest};
use cistern_storage::{StorageError, StoredBlob};
use tokio::time::timeout;

use super::body::BlobBody;
use super::download::DownloadFailed;
use super::downloads::Running;
use super::patience::Patience;
use super::{Asked, OpenedBlob, Parts, PullError, Served, Want, far, pass_through};
use crate::metrics::UpstreamKind;
use crate::repositories::{Mirror, Repository};
use crate::upstream::{Fault, UpstreamError};

/// One request for a blob of a mirror.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) digest: Digest,
    pub(super) want: Want,
    /// The size that a stored manifest of this repository names.
    pub(super) named: Option<u64>,
}

/// Reads blobs.
pub(super) struct Blobs<'a> {
    pub(super) parts: &'a Arc<Parts>,
}

impl Blobs<'_> {
    /// Opens a blob of this repository as far as it is wanted.
    pub(super) async fn open(
        &self,
        repository: &Repository,
        digest: Digest,
        want: Want,
    ) -> Result<OpenedBlob, PullError> {
        let storage = &self.parts.storage;
        if storage
            .repositories()
            .holds_blob(repository.name(), &digest)
            .await?
            && let Some(opened) = self.open_stored(digest, want).await?
        {
            return Ok(opened);
        }
        match repository {
            Repository::Hosted(_) => Err(PullError::BlobUnknown(digest, None)),
            Repository::Mirror(mirror) if want == Want::Head => self.head(mirror, digest).await,
            Repository::Mirror(mirror) => self.open_mirrored(mirror, digest, want).await,
        }
    }

    async fn open_stored(
        &self,
        digest: Digest,
        want: Want,
    ) -> Result<Option<OpenedBlob>, PullError> {
        let blobs = self.parts.storage.blobs();
        if want == Want::Head {
            let size = blobs.size(&digest).await?;
            return Ok(size.map(|size| OpenedBlob::head(digest, size, Served::Hit)));
        }
        let Some(blob) = blobs.open(&digest).await? else {
            return Ok(None);
        };
        blobs.note_use(&digest);
        Ok(Some(from_store(&blob, want, Served::Hit)?))
    }

    /// A HEAD starts no download. The size comes from a manifest of this repository, else from the upstream (law 7).
    async fn head(&self, mirror: &Mirror, digest: Digest) -> Result<OpenedBlob, PullError> {
        let named = self
            .parts
            .storage
            .repositories()
            .names_digest(&mirror.name, &digest)
            .await?;
        if let Some(size) = named {
            return Ok(OpenedBlob::head(digest, size, Served::Miss));
        }
        let Some(size) = self.ask_upstream(mirror, digest).await? else {
            return Err(PullError::StillFetching);
        };
        Ok(OpenedBlob::head(digest, size, Served::Miss))
    }

    async fn open_mirrored(
        &self,
        mirror: &Mirror,
        digest: Digest,
        want: Want,
    ) -> Result<OpenedBlob, PullError> {
        let named = self
            .parts
            .storage
            .repositories()
            .names_digest(&mirror.name, &digest)
            .await?;
        let running = self.parts.downloads.running(&digest);
        let mut admitted = named.is_some()
            || running
                .as_ref()
                .is_some_and(|running| running.sources.include(&mirror.name));
        let here = running.is_some() || self.parts.storage.blobs().size(&digest).await?.is_some();
        if here && !admitted {
            admitted = self.prove(mirror, digest).await?;
        }
        if let Some(opened) = self.open_stored(digest, want).await? {
            self.link(mirror, digest).await;
            return Ok(opened);
        }
        if let Some(asked) = self.parts.refused_blobs.get(&(mirror.name.clone(), digest)) {
            return Err(PullError::Upstream(asked));
        }
        let (running, joined) = loop {
            let downloads = &self.parts.downloads;
            match downloads.join_or_start(self.parts, mirror, digest, named, admitted) {
                Some(found) => break found,
                // Another repository has started it a moment ago.
                None => admitted = self.prove(mirror, digest).await?,
            }
        };
        let served = if joined { Served::Joined } else { Served::Miss };
        let request = Request {
            mirror,
            digest,
            want,
            named,
        };
        self.open_growing(request, &running, served).await
    }

    /// The bytes are here for another repository: that is no proof that this one may have them (law 6). Its upstream is asked,
    /// unless its own download has ended a moment ago.
    async fn prove(&self, mirror: &Mirror, digest: Digest) -> Result<bool, PullError> {
        let repositories = self.parts.storage.repositories();
        if !repositories.holds_blob(&mirror.name, &digest).await? {
            self.ask_upstream(mirror, digest).await?;
        }
        Ok(true)
    }

    /// Lets this repository hold the blob from now on. A store that takes no link serves the blob all the same.
    async fn link(&self, mirror: &Mirror, digest: Digest) {
        let repositories = self.parts.storage.repositories();
        match repositories.link_blob(&mirror.name, &digest).await {
            Ok(()) | Err(StorageError::ReadOnly | StorageError::Full) => {}
            Err(error) => {
                tracing::warn!(repository = %mirror.name, %digest, %error, "blob is served but not linked");
            }
        }
    }

    /// Asks whether this repository holds the digest; its size, when the upstream says.
    async fn ask_upstream(
        &self,
        mirror: &Mirror,
        digest: Digest,
    ) -> Result<Option<u64>, PullError> {
        let head = async {
            let head = mirror.upstream.head_blob(&mirror.name_there, &digest).await;
            let host = mirror.upstream.host();
            self.parts.counted(UpstreamKind::BlobHead, host, head)
        };
        let asked = timeout(Patience::HEADERS.total, head).await;
        match asked {
            Ok(Ok(head)) => Ok(head.size),
            Ok(Err(error)) => Err(blob_error(digest, Asked::now(error))),
            Err(_) => Err(PullError::StillFetching),
        }
    }

    async fn open_growing(
        &self,
        request: Request<'_>,
        running: &Running,
        served: Served,
    ) -> Result<OpenedBlob, PullError> {
        let Request {
            mirror,
            digest,
            want,
            named,
        } = request;
        let waited = timeout(Patience::HEADERS.total, async {
            if let Want::Part(range) = want
                && let Some(opened) = far::open(self.parts, request, range, running).await
            {
                return Ok(Ready::Ahead(Box::new(opened)));
            }
            ready(running, want, named).await.map(Ready::Sized)
        });
        match waited.await {
            Err(_) => Err(PullError::StillFetching),
            Ok(Err(DownloadFailed::NotKept)) => {
                pass_through::open(self.parts, mirror, digest, want, named).await
            }
            Ok(Err(failure)) => Err(self.failure(mirror, digest, failure)),
            Ok(Ok(Ready::Ahead(opened))) => Ok(*opened),
            Ok(Ok(Ready::Sized(size))) => {
                // It comes from another repository's source, and the own one has refused (law 6).
                if named.is_none()
                    && let Some(error) = running.sources.refusal(&mirror.name)
                {
                    return Err(blob_error(digest, Asked::now(error)));
                }
                let part = part_of(want, size)?;
                let range = part.or(ByteRange::whole(size));
                let body = range.map_or_else(BlobBody::empty, |range| {
                    BlobBody::from(running.blob.read(range))
                });
                Ok(OpenedBlob {
                    digest,
                    size,
                    part,
                    body: Some(body),
                    served,
                })
            }
        }
    }

    fn failure(&self, mirror: &Mirror, digest: Digest, failure: DownloadFailed) -> PullError {
        match failure {
            DownloadFailed::Upstreams(errors) => {
                match DownloadFailed::words_for(&errors, &mirror.name) {
                    Some(error) => {
                        self.parts
                            .refused_blobs
                            .note_failure((mirror.name.clone(), digest), &error);
                        blob_error(digest, Asked::now(error))
                    }
                    None => PullError::Interrupted,
                }
            }
            DownloadFailed::Untrue(error) => {
                PullError::Upstream(Asked::now(UpstreamError::clone(&error)))
            }
            DownloadFailed::Storage(error) => PullError::Storage(error),
            DownloadFailed::NotKept | DownloadFailed::Interrupted => PullError::Interrupted,
        }
    }
}

/// What headers may say.
enum Ready {
    /// The part that was fetched ahead of the download.
    Ahead(Box<OpenedBlob>),
    /// The size of the blob that is on its way.
    Sized(u64),
}

/// Waits until headers may leave (law 7); the blob's size.
async fn ready(running: &Running, want: Want, named: Option<u64>) -> Result<u64, DownloadFailed> {
    let size = match named {
        Some(size) => Some(size),
        None => running.blob.wait_for(0).await?.size,
    };
    let Some(size) = size else {
        return running.blob.wait_size().await;
    };
    let offset = match want {
        Want::Part(range) => range.within(size).map_or(0, |part| part.first),
        Want::Head | Want::Whole => 0,
    };
    // A manifest's word is enough for a HEAD, not for a body: what the download says wins.
    Ok(running.blob.wait_for(offset).await?.size.unwrap_or(size))
}

pub(super) fn blob_error(digest: Digest, asked: Asked) -> PullError {
    match asked.error.fault {
        Fault::NotFound(_) => PullError::BlobUnknown(digest, Some(asked)),
        _ => PullError::Upstream(asked),
    }
}

pub(super) fn part_of(want: Want, size: u64) -> Result<Option<ByteRange>, PullError> {
    match want {
        Want::Head | Want::Whole => Ok(None),
        Want::Part(range) => resolve(range, size).map(Some),
    }
}

fn resolve(range: RangeRequest, size: u64) -> Result<ByteRange, PullError> {
    range
        .within(size)
        .map_err(|_| PullError::RangeNotSatisfiable { size })
}

fn from_store(blob: &StoredBlob, want: Want, served: Served) -> Result<OpenedBlob, PullError> {
    let part = part_of(want, blob.size())?;
    let bytes = part.map_or_else(|| blob.read_all(), |part| blob.read(part));
    Ok(OpenedBlob {
        digest: *blob.digest(),
        size: blob.size(),
        part,
        body: Some(bytes.into()),
        served,
    })
}
