//! How it stands with one download that has a place in the store, and the ways in which it ends.

use cistern_storage::{BlobWriter, StorageError};
use tokio::time::Instant;

use super::DownloadFailed;
use super::ask::{Habits, StartAt};
use super::failed::Refusals;
use super::retry::{Backoff, ENOUGH};
use crate::metrics::ResumedAfter;
use crate::pull::slots::Slot;
use crate::repositories::Mirror;
use crate::upstream::{Fault, LinkFault, UpstreamError};

/// How it stands with one download that has a place in the store.
pub(super) struct Course {
    pub(super) writer: BlobWriter<DownloadFailed>,
    /// Who sends, or sent last.
    pub(super) source: Option<Mirror>,
    pub(super) size: Option<u64>,
    /// Leave to use the link; none while it waits for it.
    pub(super) slot: Option<Slot>,
    pub(super) habits: Habits,
    pub(super) backoff: Backoff,
    /// How many bytes came since the last attempt that were not here already.
    pub(super) came: u64,
    /// How many were sent once more since enough new ones came.
    pub(super) passed_over: u64,
    /// When the last byte came that was not here already.
    pub(super) last_byte: Instant,
    /// Why it does not go on, while it does not.
    pub(super) failed: Option<UpstreamError>,
    /// What the sources said when they were last asked in vain.
    pub(super) refusals: Refusals,
    /// What the next answer is a continuation after, if it is one.
    pub(super) stopped: Option<ResumedAfter>,
    /// How often in a row an upstream has named another size than before.
    pub(super) contradictions: u32,
    pub(super) started: Instant,
}

impl Course {
    pub(super) fn new(
        writer: BlobWriter<DownloadFailed>,
        size: Option<u64>,
        slot: Slot,
        habits: Habits,
        started: Instant,
    ) -> Self {
        let goes_on = writer.written() > 0;
        Self {
            writer,
            source: None,
            size,
            slot: Some(slot),
            habits,
            backoff: Backoff::new(),
            came: ENOUGH,
            passed_over: 0,
            last_byte: Instant::now(),
            failed: None,
            refusals: Refusals::new(),
            stopped: goes_on.then_some(ResumedAfter::Partial),
            contradictions: 0,
            started,
        }
    }

    /// From where it goes on.
    pub(super) fn from(&self) -> StartAt {
        StartAt {
            byte: self.writer.written(),
            size: self.size,
        }
    }

    /// Whether all bytes are there, as far as anybody knows how many they are.
    pub(super) fn is_whole(&self) -> bool {
        self.size.is_some_and(|size| self.writer.written() >= size)
    }

    /// The body broke off.
    pub(super) fn broke(&mut self, error: UpstreamError) {
        let is_silence = matches!(
            error.fault,
            Fault::Unreachable {
                link: LinkFault::Timeout,
                ..
            }
        );
        self.stopped.get_or_insert(if is_silence {
            ResumedAfter::Silence
        } else {
            ResumedAfter::Cut
        });
        self.refusals = self
            .source
            .iter()
            .map(|mirror| (mirror.name.clone(), error.clone()))
            .collect();
        self.failed = Some(error);
    }
}

/// How a download ends that has a place in the store.
pub(super) enum End {
    /// All bytes are there: they are looked at as a whole.
    Commit,
    /// It stops for now and keeps what it has. The words are for the log, the failure for the readers.
    Suspend(&'static str, DownloadFailed),
    /// The bytes are not the blob's.
    Discard(Mirror, StorageError),
    /// The store failed under it.
    Storage(StorageError),
}

/// The server stops, and nobody reads this blob any more.
pub(super) fn stopping() -> End {
    End::Suspend("the server stops", DownloadFailed::Interrupted)
}

/// Nobody reads this blob any more, and its slot would serve somebody who waits.
pub(super) fn yielding() -> End {
    End::Suspend(
        "nobody waits for it, and others wait for its slot",
        DownloadFailed::Interrupted,
    )
}
