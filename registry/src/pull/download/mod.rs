//! One download, from its first byte to its commit. It belongs to the server, not to a caller (law 1).
//!
//! Before its first byte a failure is told to whoever waits. Once bytes are there the download goes on from the last of them,
//! inside the same answers, as often as the link breaks (`again`); what came stays on disk when it has to stop.

mod again;
mod ask;
mod course;
mod failed;
mod finish;
mod incoming;
mod receive;
mod retry;
mod suspects;

use std::sync::Arc;

use cistern_oci::Digest;
use cistern_storage::{Growing, Partial, StartRefused, StorageError, StoredBlob};
use tokio::time::Instant;

use self::ask::{Answered, Habits, StartAt};
use self::course::Course;
use super::Parts;
use super::crowd::Crowd;
use super::sources::Sources;
use crate::metrics::{DownloadOutcome, PassedThrough, UpstreamKind};
use crate::repositories::Mirror;

pub(super) use self::failed::DownloadFailed;
pub(super) use self::suspects::Suspects;

/// What one download needs.
pub(super) struct Download {
    pub(super) parts: Arc<Parts>,
    pub(super) digest: Digest,
    /// The size that a manifest names, if one does.
    pub(super) size: Option<u64>,
    pub(super) sources: Sources,
    /// Who waits for it.
    pub(super) crowd: Crowd,
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
        let slot = self.parts.slots.take(&self.crowd).await;
        let partial = self.partial().await;
        let size = partial.and_then(|partial| partial.size);
        let there = partial.map_or(0, |partial| partial.length);
        let left = size.or(self.size).map(|size| size.saturating_sub(there));
        if let Err(why) = self.parts.storage.blobs().has_room(left).await {
            return self.not_kept(growing, &why);
        }
        let mut habits = Habits::default();
        let mut answered = None;
        if there == 0 || !self.sources.begin_with_proof() {
            // Nothing of it may be shown to anybody yet: whoever waits is told at once if it cannot be had.
            let from = StartAt {
                byte: size.map_or(there, |size| there.min(size.saturating_sub(1))),
                size: size.or(self.size),
            };
            match self.ask_sources(from, &mut habits).await {
                Ok(answer) => answered = Some(answer),
                Err(errors) => {
                    self.tell_failure(&errors, started);
                    return growing.fail(DownloadFailed::Upstreams(errors.into()));
                }
            }
        }
        let told = answered.as_ref().and_then(Answered::size);
        let size = size.or(told).or(self.size);
        let begun = self.parts.storage.blobs().start(self.digest, size, growing);
        match begun.await {
            Ok(writer) => {
                let course = Course::new(writer, size, slot, habits, started);
                self.go_on(course, answered).await;
            }
            Err(StartRefused { growing, why }) => self.not_kept(growing, &why),
        }
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

    /// What an earlier download has left, if it is worth going on with.
    async fn partial(&self) -> Option<Partial> {
        match self.parts.storage.blobs().partial(&self.digest).await {
            Ok(partial) => partial.filter(|partial| partial.length > 0),
            Err(error) => {
                tracing::warn!(digest = %self.digest, %error, "what came of this blob before cannot be gone on with");
                None
            }
        }
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

    /// Resolves when the server stops and nobody reads this blob any more.
    async fn over(&self) {
        self.parts.stop.cancelled().await;
        self.crowd.deserted().await;
    }
}
