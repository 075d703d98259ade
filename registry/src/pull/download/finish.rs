//! What becomes of a download in the end: a blob, a partial, or nothing.

use std::fmt::Display;

use cistern_storage::CommitError;

use super::course::{Course, End};
use super::{Download, DownloadFailed};
use crate::metrics::DownloadOutcome;
use crate::repositories::Mirror;

impl Download {
    /// Ends it.
    pub(super) async fn end(&self, course: Course, end: End) {
        self.crowd.go_on();
        let source = course.source.clone().or_else(|| self.sources.first());
        match (end, source) {
            (End::Commit, Some(mirror)) => self.commit(&mirror, course).await,
            // A download has a source from its beginning.
            (End::Commit, None) => course.writer.suspend(DownloadFailed::Interrupted).await,
            (End::Suspend(why, failure), source) => {
                if let Some(mirror) = source {
                    self.count(&mirror, DownloadOutcome::Suspended);
                }
                let bytes = course.writer.written();
                tracing::warn!(digest = %self.digest, bytes, why, "download suspended: what came is kept");
                // Whoever comes from now on begins anew, and waits until what came is on the disk.
                self.sources.close();
                course.writer.suspend(failure).await;
            }
            (End::Discard(mirror, wrong), _) => {
                self.suspect(&mirror, &wrong);
                let failure = DownloadFailed::untrue(&mirror, &wrong);
                course.writer.discard(failure);
            }
            (End::Storage(error), source) => {
                if let Some(mirror) = source {
                    self.count(&mirror, DownloadOutcome::Storage);
                }
                tracing::warn!(digest = %self.digest, %error, "download stopped: the store failed");
                course.writer.discard(DownloadFailed::Storage(error));
            }
        }
    }

    async fn commit(&self, mirror: &Mirror, course: Course) {
        let Course {
            writer, started, ..
        } = course;
        let bytes = writer.written();
        let source = mirror.upstream.host();
        let explain = |wrong: &CommitError| match wrong {
            CommitError::Storage(error) => DownloadFailed::Storage(error.clone()),
            CommitError::WrongDigest { .. } | CommitError::WrongSize { .. } => {
                DownloadFailed::untrue(mirror, wrong)
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
        self.parts.suspects.note(&self.digest, mirror);
        self.count(mirror, DownloadOutcome::Mismatch);
        tracing::warn!(repository = %mirror.name, digest = %self.digest, upstream = source, reason = %wrong, "download refused");
    }
}
