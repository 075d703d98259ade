//! Opening a blob: from the store, from a running download, or by starting one.

use std::sync::Arc;

use cistern_oci::{ByteRange, Digest, RangeRequest, RepositoryName};
use cistern_storage::{StorageError, StoredBlob};
use tokio::time::timeout;

use super::body::BlobBody;
use super::download::DownloadFailed;
use super::downloads::{Joined, Running, Wanted};
use super::hold::Patient;
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
            && let Some(opened) = self.open_stored(repository.name(), digest, want).await?
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
        of: &RepositoryName,
        digest: Digest,
        want: Want,
    ) -> Result<Option<OpenedBlob>, PullError> {
        let blobs = self.parts.storage.blobs();
        let Some(blob) = blobs.open(&digest).await? else {
            return Ok(None);
        };
        let is_doubtful = !blob.is_verified() && self.is_contradicted(of, &blob).await?;
        if want == Want::Head {
            let size = blob.size();
            return Ok((!is_doubtful).then(|| OpenedBlob::head(digest, size, Served::Hit)));
        }
        if (is_doubtful || matches!(want, Want::Part(_))) && !blob.verified().await? {
            // A range shows no digest to the client: of an adopted file it is sent only after the whole was read once.
            return Ok(None);
        }
        blobs.note_use(&digest);
        Ok(Some(from_store(&blob, want, Served::Hit)?))
    }

    /// Whether a manifest of this repository gives another size: then the file is hardly what its name says, and that is known
    /// without reading it.
    async fn is_contradicted(
        &self,
        of: &RepositoryName,
        blob: &StoredBlob,
    ) -> Result<bool, PullError> {
        let repositories = self.parts.storage.repositories();
        let named = repositories.names_digest(of, blob.digest()).await?;
        Ok(named.is_some_and(|named| named != blob.size()))
    }

    /// A HEAD starts no download. The size comes from a manifest of this repository, else from a download that runs for it, else
    /// from the upstream (law 7).
    async fn head(&self, mirror: &Mirror, digest: Digest) -> Result<OpenedBlob, PullError> {
        let repositories = self.parts.storage.repositories();
        if let Some(size) = repositories.names_digest(&mirror.name, &digest).await? {
            return Ok(OpenedBlob::head(digest, size, Served::Miss));
        }
        if let Some(running) = self.parts.downloads.running(&digest) {
            // In this order: a repository that may not have the blob is refused before another's answer tells the size (law 6).
            let size = running.blob.size();
            if let Some(size) = size.filter(|_| running.sources.include(&mirror.name)) {
                return Ok(OpenedBlob::head(digest, size, Served::Joined));
            }
        }
        // A download that ended a moment ago has left its link.
        if repositories.holds_blob(&mirror.name, &digest).await?
            && let Some(opened) = self.open_stored(&mirror.name, digest, Want::Head).await?
        {
            return Ok(opened);
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
        let repositories = self.parts.storage.repositories();
        let running = self.parts.downloads.running(&digest);
        let is_here = running.is_some() || self.is_stored(&digest).await?;
        // A download that ended a moment ago has linked its blob before it was here, so look for the link after it (law 5).
        let named = repositories.names_digest(&mirror.name, &digest).await?;
        let mut is_proven =
            named.is_some() || repositories.holds_blob(&mirror.name, &digest).await?;
        // Being asked is no proof: this caller waits for the same answer, and lends the download nothing (law 6).
        let is_asked = running
            .as_ref()
            .is_some_and(|running| running.sources.include(&mirror.name));
        if !is_proven && !is_asked && is_here {
            // The bytes are here for another repository: that is no proof that this one may have them (law 6).
            self.ask_upstream(mirror, digest).await?;
            is_proven = true;
        }
        if is_proven && let Some(opened) = self.open_stored(&mirror.name, digest, want).await? {
            self.link(mirror, &digest).await?;
            return Ok(opened);
        }
        if let Some(asked) = self.parts.refused_blobs.get(&(mirror.name.clone(), digest)) {
            return Err(PullError::Upstream(asked));
        }
        let request = Request {
            mirror,
            digest,
            want,
            named,
        };
        let joined = self.join_or_start(request, is_proven).await?;
        self.open_growing(request, joined).await
    }

    async fn join_or_start(
        &self,
        request: Request<'_>,
        is_proven: bool,
    ) -> Result<Joined, PullError> {
        let wanted = Wanted {
            mirror: request.mirror,
            digest: request.digest,
            size: request.named,
        };
        let downloads = &self.parts.downloads;
        if let Some(joined) = downloads.join_or_start(self.parts, wanted, is_proven) {
            return Ok(joined);
        }
        self.ask_upstream(request.mirror, request.digest).await?;
        let joined = downloads.join_or_start(self.parts, wanted, true);
        joined.ok_or(PullError::Interrupted)
    }

    async fn is_stored(&self, digest: &Digest) -> Result<bool, PullError> {
        Ok(self.parts.storage.blobs().size(digest).await?.is_some())
    }

    /// From now on this repository holds the blob. A store that takes nothing new serves it all the same.
    async fn link(&self, mirror: &Mirror, digest: &Digest) -> Result<(), PullError> {
        let repositories = self.parts.storage.repositories();
        match repositories.link_blob(&mirror.name, digest).await {
            Ok(()) | Err(StorageError::ReadOnly | StorageError::Full) => Ok(()),
            Err(error) => Err(error.into()),
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
        let patience = Patience::HEADERS.below(mirror.upstream.below());
        match timeout(patience.total, head).await {
            Ok(Ok(head)) => Ok(head.size),
            Ok(Err(error)) => Err(blob_error(digest, Asked::now(error))),
            Err(_) => Err(PullError::StillFetching),
        }
    }

    async fn open_growing(
        &self,
        request: Request<'_>,
        joined: Joined,
    ) -> Result<OpenedBlob, PullError> {
        let Request {
            mirror,
            digest,
            want,
            named,
        } = request;
        let Joined {
            download: running,
            ran_already,
            mut patient,
        } = joined;
        let running = &running;
        if let Some(size) = named
            && let Some(part) = part_of(want, size)?
            && let Some(opened) = far::open(self.parts, request, part, size, running).await
        {
            return Ok(opened);
        }
        let patience = Patience::HEADERS.below(mirror.upstream.below());
        let waiting = patient.wait_for(ready(running, want, named));
        let waited = timeout(patience.total, waiting).await;
        if let Some(error) = running.sources.refusal_of(&mirror.name) {
            return Err(self.refused(mirror, digest, error));
        }
        let size = match waited {
            Err(_) => return Err(still_waiting(&patient)),
            Ok(Err(down)) => return Err(PullError::NotHeld(down)),
            Ok(Ok(Err(DownloadFailed::NotKept))) => {
                return pass_through::open(self.parts, request).await;
            }
            Ok(Ok(Err(failure))) => return Err(self.failure(mirror, digest, failure)),
            Ok(Ok(Ok(size))) => size,
        };
        let part = part_of(want, size)?;
        if named.is_none()
            && let Some(part) = part
            && let Some(opened) = far::open(self.parts, request, part, size, running).await
        {
            return Ok(opened);
        }
        let range = part.or(ByteRange::whole(size));
        let body = range.map_or_else(BlobBody::empty, |range| {
            BlobBody::growing(running.blob.read(range), patient)
        });
        Ok(OpenedBlob {
            digest,
            size,
            part,
            body: Some(body),
            served: if ran_already {
                Served::Joined
            } else {
                Served::Miss
            },
        })
    }

    /// What the upstream said to this repository, remembered if it is worth that.
    fn refused(&self, mirror: &Mirror, digest: Digest, error: UpstreamError) -> PullError {
        let key = (mirror.name.clone(), digest);
        self.parts.refused_blobs.note_failure(key, &error);
        blob_error(digest, Asked::now(error))
    }

    fn failure(&self, mirror: &Mirror, digest: Digest, failure: DownloadFailed) -> PullError {
        match failure {
            DownloadFailed::Upstreams(errors) => {
                match DownloadFailed::words_for(&errors, &mirror.name) {
                    Some(error) => self.refused(mirror, digest, error),
                    None => PullError::Interrupted,
                }
            }
            DownloadFailed::Storage(error) => PullError::Storage(error),
            DownloadFailed::NotKept | DownloadFailed::Interrupted => PullError::Interrupted,
        }
    }
}

/// Patience for headers has ended. If it is the link that is missing, that is what the caller is told.
fn still_waiting(patient: &Patient) -> PullError {
    match patient.crowd().waits() {
        Some(down) => PullError::Upstream(Asked::now(down)),
        None => PullError::StillFetching,
    }
}

/// Waits until headers may leave (law 7); the blob's size.
async fn ready(running: &Running, want: Want, named: Option<u64>) -> Result<u64, DownloadFailed> {
    let first = first_of(want, named.or_else(|| running.blob.size()));
    let answered = within_reach(running, first).await?;
    let size = match answered.or(named) {
        Some(size) => size,
        None => running.blob.wait_size().await?,
    };
    if size == 0 {
        // There is no last piece to hold back: only the end tells whether nothing is the truth.
        running.blob.wait_end().await?;
    }
    Ok(size)
}

/// The first byte that is wanted; a place that is never reached where that is not known yet.
fn first_of(want: Want, size: Option<u64>) -> u64 {
    match want {
        Want::Head | Want::Whole => 0,
        Want::Part(RangeRequest::FromTo { first, .. }) => first,
        Want::Part(range) => size
            .and_then(|size| range.within(size).ok())
            .map_or(u64::MAX, |part| part.first),
    }
}

/// Waits until bytes from `first` on are here, or the upstream has answered and has not been lost since; the size, if known.
async fn within_reach(running: &Running, first: u64) -> Result<Option<u64>, DownloadFailed> {
    loop {
        let size = running.blob.wait_for(first).await?.size;
        if running.crowd.waits().is_none() || running.blob.readable() > first {
            return Ok(size);
        }
        let mut news = running.crowd.news();
        tokio::select! {
            ended = running.blob.wait_end() => ended?,
            _ = news.wait_for(Option::is_none) => {}
        }
    }
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
