//! One download, from its first byte to its commit. It belongs to the server, not to a caller (law 1).

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use cistern_oci::{Digest, RepositoryName};
use cistern_storage::{BlobWriter, CommitError, Growing, StartRefused, StorageError, StoredBlob};
use futures_util::StreamExt;
use tokio::time::Instant;

use super::Parts;
use super::sources::Sources;
use crate::metrics::{DownloadOutcome, PassedThrough, UpstreamKind};
use crate::repositories::Mirror;
use crate::upstream::{BlobAnswer, Fault, Part, UpstreamError};

/// Why a download ended without a blob. Cloned to every waiter.
#[derive(Clone, Debug)]
pub(super) enum DownloadFailed {
    /// Every source refused or failed; each waiter is told in the words of its own repository.
    Upstreams(Arc<[(RepositoryName, UpstreamError)]>),
    /// The store takes nothing new (no space above the reserve, or read-only): fetch it for yourself.
    NotKept,
    /// The store failed under it.
    Storage(StorageError),
    /// It ended without a word: a fault of ours, or the server stops.
    Interrupted,
}

impl DownloadFailed {
    /// The failure as the source of this repository had it, else as the last one had it.
    pub(super) fn words_for(
        errors: &[(RepositoryName, UpstreamError)],
        repository: &RepositoryName,
    ) -> Option<UpstreamError> {
        let own = errors.iter().find(|(name, _)| name == repository);
        own.or(errors.last()).map(|(_, error)| error.clone())
    }
}

/// What one download needs.
pub(super) struct Download {
    pub(super) parts: Arc<Parts>,
    pub(super) digest: Digest,
    /// The size that a manifest names, if one does.
    pub(super) size: Option<u64>,
    pub(super) sources: Sources,
}

/// How a blob that was asked for came.
struct Answered {
    mirror: Mirror,
    answer: BlobAnswer,
}

impl Download {
    /// Runs to the end and tells the readers how it ended.
    pub(super) async fn run(self, growing: Growing<DownloadFailed>) {
        let started = Instant::now();
        match self.stored().await {
            // A download that ended a moment ago has won the race (law 5).
            Ok(Some(blob)) => {
                self.link().await;
                return growing.complete(blob);
            }
            Ok(None) => {}
            Err(failure) => return growing.fail(failure),
        }
        let Ok(_slot) = self.parts.slots.acquire().await else {
            return growing.fail(DownloadFailed::Interrupted);
        };
        if let Err(why) = self.parts.storage.blobs().has_room(self.size).await {
            return self.not_kept(growing, &why);
        }
        let answered = match self.ask_sources().await {
            Ok(answered) => answered,
            Err(errors) => {
                self.tell_failure(&errors, started);
                return growing.fail(DownloadFailed::Upstreams(errors.into()));
            }
        };
        self.receive(answered, growing, started).await;
    }

    /// The blob, if it is in the store and a repository that wants it may have it (law 6). One that may not is told so; those
    /// that joined meanwhile lose nothing by it.
    async fn stored(&self) -> Result<Option<StoredBlob>, DownloadFailed> {
        let stored = self.parts.storage.blobs().open(&self.digest).await;
        let Some(blob) = stored.map_err(DownloadFailed::Storage)? else {
            return Ok(None);
        };
        let mut errors = Vec::new();
        while let Some((mirror, is_proven)) = self.sources.next(errors.len()) {
            // The download that ended a moment ago has linked it, if it was shown that this repository holds it.
            let repositories = self.parts.storage.repositories();
            let holds = repositories.holds_blob(&mirror.name, &self.digest).await;
            if is_proven || holds.map_err(DownloadFailed::Storage)? {
                return Ok(Some(blob));
            }
            let (upstream, host) = (&mirror.upstream, mirror.upstream.host());
            let asked = upstream.head_blob(&mirror.name_there, &self.digest).await;
            match self.parts.counted(UpstreamKind::BlobHead, host, asked) {
                Ok(_) => return Ok(Some(blob)),
                Err(error) => {
                    self.sources.note_error(&mirror.name, &error);
                    errors.push((mirror.name, error));
                }
            }
        }
        Err(DownloadFailed::Upstreams(errors.into()))
    }

    /// Asks one source after the other, those that join meanwhile included, until one answers.
    async fn ask_sources(&self) -> Result<Answered, Vec<(RepositoryName, UpstreamError)>> {
        let mut errors = Vec::new();
        while let Some((mirror, _)) = self.sources.next(errors.len()) {
            match self.ask(&mirror).await {
                Ok(answer) => return Ok(Answered { mirror, answer }),
                Err(error) => {
                    self.sources.note_error(&mirror.name, &error);
                    errors.push((mirror.name.clone(), error));
                }
            }
        }
        Err(errors)
    }

    async fn ask(&self, mirror: &Mirror) -> Result<BlobAnswer, UpstreamError> {
        let source = mirror.upstream.host();
        if let Some(wait) = self.parts.suspects.refused_for(&self.digest, source) {
            return Err(UpstreamError {
                host: source.into(),
                fault: Fault::Invalid(format!(
                    "twice sent bytes that are not {}; it is asked again in {} s",
                    self.digest,
                    wait.as_secs()
                )),
            });
        }
        let asked = mirror
            .upstream
            .get_blob(&mirror.name_there, &self.digest, Part::Whole)
            .await;
        self.parts.counted(UpstreamKind::BlobGet, source, asked)
    }

    async fn receive(
        &self,
        answered: Answered,
        growing: Growing<DownloadFailed>,
        started: Instant,
    ) {
        let Answered { mirror, mut answer } = answered;
        let size = answer.size.or(self.size);
        let begun = self.parts.storage.blobs().start(self.digest, size, growing);
        let mut writer = match begun.await {
            Ok(writer) => writer,
            Err(StartRefused { growing, why }) => return self.not_kept(growing, &why),
        };
        writer.answered();
        let received = self.parts.metrics.download_bytes.of(mirror.upstream.host());
        while let Some(piece) = answer.body.next().await {
            let appended = match piece {
                Ok(piece) => {
                    received.inc_by(piece.len() as u64);
                    writer.append(piece).await
                }
                Err(error) => {
                    let errors = vec![(mirror.name.clone(), error)];
                    self.tell_failure(&errors, started);
                    return writer.discard(DownloadFailed::Upstreams(errors.into()));
                }
            };
            if let Err(error @ StorageError::TooLong { .. }) = &appended {
                self.suspect(&mirror, error);
                return writer.discard(untrue(&mirror, error));
            }
            if let Err(error) = appended {
                self.count(&mirror, DownloadOutcome::Storage);
                tracing::warn!(digest = %self.digest, %error, "download stopped: the store failed");
                return writer.discard(DownloadFailed::Storage(error));
            }
        }
        self.commit(&mirror, writer, started).await;
    }

    fn not_kept(&self, growing: Growing<DownloadFailed>, why: &StorageError) {
        tracing::warn!(digest = %self.digest, reason = %why, "blob is passed through and not kept");
        let passed = &self.parts.metrics.passed_through;
        growing.fail(match why {
            StorageError::Full => {
                passed.count(PassedThrough::Reserve);
                DownloadFailed::NotKept
            }
            StorageError::ReadOnly => {
                passed.count(PassedThrough::ReadOnly);
                DownloadFailed::NotKept
            }
            other => DownloadFailed::Storage(other.clone()),
        });
    }

    async fn commit(&self, mirror: &Mirror, writer: BlobWriter<DownloadFailed>, started: Instant) {
        let bytes = writer.written();
        let source = mirror.upstream.host();
        let explain = |wrong: &CommitError| match wrong {
            CommitError::Storage(error) => DownloadFailed::Storage(error.clone()),
            CommitError::WrongDigest { .. } | CommitError::WrongSize { .. } => {
                untrue(mirror, wrong)
            }
        };
        let sources = self.sources.clone();
        match writer.commit_for(move || sources.holders(), explain).await {
            Ok(_) => {
                // Those that joined since.
                self.link().await;
                self.count(mirror, DownloadOutcome::Complete);
                let seconds = started.elapsed().as_secs_f64();
                tracing::info!(repository = %mirror.name, digest = %self.digest, upstream = source, bytes, seconds, "blob downloaded");
            }
            Err(CommitError::Storage(error)) => {
                self.count(mirror, DownloadOutcome::Storage);
                tracing::warn!(digest = %self.digest, %error, "download lost: the store failed");
            }
            Err(wrong) => self.suspect(mirror, &wrong),
        }
    }

    fn suspect(&self, mirror: &Mirror, wrong: &dyn Display) {
        let source = mirror.upstream.host();
        self.parts.suspects.note(&self.digest, source);
        self.count(mirror, DownloadOutcome::Mismatch);
        tracing::warn!(repository = %mirror.name, digest = %self.digest, upstream = source, reason = %wrong, "download refused");
    }

    /// Every repository that was shown to hold the blob may serve it from now on.
    async fn link(&self) {
        for holder in self.sources.holders() {
            let repositories = self.parts.storage.repositories();
            if let Err(error) = repositories.link_blob(&holder, &self.digest).await {
                tracing::warn!(repository = %holder, digest = %self.digest, %error, "blob is kept but not linked");
            }
        }
    }

    fn count(&self, mirror: &Mirror, outcome: DownloadOutcome) {
        let downloads = &self.parts.metrics.downloads;
        downloads.count(mirror.upstream.host(), outcome);
    }

    fn tell_failure(&self, errors: &[(RepositoryName, UpstreamError)], started: Instant) {
        let seconds = started.elapsed().as_secs_f64();
        for (repository, error) in errors {
            let downloads = &self.parts.metrics.downloads;
            downloads.count(&error.host, DownloadOutcome::Upstream);
            if matches!(error.fault, Fault::CredentialsRefused { .. }) {
                self.parts.links.note_error(&error.host, error);
            }
            tracing::warn!(%repository, digest = %self.digest, upstream = %error.host, %error, seconds, "download failed");
        }
    }
}

/// What readers are told of bytes that were not the blob.
fn untrue(mirror: &Mirror, wrong: &dyn Display) -> DownloadFailed {
    let error = UpstreamError {
        host: mirror.upstream.host().into(),
        fault: Fault::Invalid(wrong.to_string()),
    };
    DownloadFailed::Upstreams([(mirror.name.clone(), error)].into())
}

/// Sources that sent wrong bytes: the digest may be asked for again at once, after that once in ten minutes (law 8).
pub(super) struct Suspects {
    seen: moka::sync::Cache<(Digest, Box<str>), (u32, Instant)>,
}

impl Suspects {
    const PAUSE: Duration = Duration::from_mins(10);

    pub(super) fn new() -> Self {
        Self {
            seen: moka::sync::Cache::builder()
                .max_capacity(1_000)
                .time_to_live(Self::PAUSE)
                .build(),
        }
    }

    fn note(&self, digest: &Digest, source: &str) {
        let key = (*digest, source.into());
        let times = self.seen.get(&key).map_or(0, |(times, _)| times);
        self.seen.insert(key, (times + 1, Instant::now()));
    }

    /// How long this source is not asked for this digest.
    fn refused_for(&self, digest: &Digest, source: &str) -> Option<Duration> {
        let (times, at) = self.seen.get(&(*digest, source.into()))?;
        let left = Self::PAUSE.checked_sub(at.elapsed())?;
        (times > 1).then_some(left)
    }
}
