//! What is being downloaded now: one download per digest, however many callers want it (single flight).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use cistern_oci::{Digest, RepositoryName};
use cistern_storage::{GrowingBlob, growing};
use parking_lot::Mutex;

use super::Parts;
use super::download::{Download, DownloadFailed};
use crate::metrics::Metrics;
use crate::repositories::Mirror;
use crate::upstream::UpstreamError;

/// The running downloads.
pub(super) struct Downloads {
    running: Arc<Mutex<HashMap<Digest, Running>>>,
}

/// One running download, as its callers see it.
#[derive(Clone)]
pub(super) struct Running {
    /// The blob, readable while it grows.
    pub blob: GrowingBlob<DownloadFailed>,
    /// Where it may come from. Joining adds to it; the download fails only when all of them have failed.
    pub sources: Sources,
    /// What was fetched ahead of this download.
    pub ahead: Ahead,
    /// How many callers it has served so far.
    callers: Arc<AtomicU32>,
}

/// The ordered, growing set of places a download may come from.
#[derive(Clone, Default)]
pub(super) struct Sources(Arc<Mutex<Vec<Source>>>);

struct Source {
    mirror: Mirror,
    /// Whether this repository was shown to hold the blob before it was asked for it.
    is_proven: bool,
    /// What its upstream said when it was asked, if that means that this repository may not have the blob.
    refusal: Option<UpstreamError>,
}

impl Sources {
    /// Whether this repository was shown to hold the blob, or is being asked for it.
    pub(super) fn include(&self, repository: &RepositoryName) -> bool {
        let is_it = |source: &Source| source.mirror.name == *repository && source.refusal.is_none();
        self.0.lock().iter().any(is_it)
    }

    fn add(&self, mirror: &Mirror, is_proven: bool) {
        let mut sources = self.0.lock();
        let known = sources
            .iter_mut()
            .find(|source| source.mirror.name == mirror.name);
        match known {
            Some(source) => source.is_proven |= is_proven,
            None => sources.push(Source {
                mirror: mirror.clone(),
                is_proven,
                refusal: None,
            }),
        }
    }

    /// The source at this place in the order, and whether it is proven.
    pub(super) fn get(&self, at: usize) -> Option<(Mirror, bool)> {
        let sources = self.0.lock();
        let source = sources.get(at)?;
        Some((source.mirror.clone(), source.is_proven))
    }

    /// Notes that an upstream did not give the blob. A repository that was not proven to hold it before gets nothing from the
    /// sources of others, whatever the fault: a stumble is no proof, and some upstreams say 403 without a word of tokens (law 6).
    pub(super) fn note_error(&self, repository: &RepositoryName, error: &UpstreamError) {
        let mut sources = self.0.lock();
        let source = sources
            .iter_mut()
            .find(|source| source.mirror.name == *repository);
        if let Some(source) = source.filter(|source| !source.is_proven) {
            source.refusal = Some(error.clone());
        }
    }

    /// Why this repository may not have the blob.
    pub(super) fn refusal_of(&self, repository: &RepositoryName) -> Option<UpstreamError> {
        let sources = self.0.lock();
        let source = sources
            .iter()
            .find(|source| source.mirror.name == *repository)?;
        source.refusal.clone()
    }

    /// The repositories that may have the blob.
    pub(super) fn holders(&self) -> Vec<RepositoryName> {
        let sources = self.0.lock();
        let may = sources.iter().filter(|source| source.refusal.is_none());
        may.map(|source| source.mirror.name.clone()).collect()
    }
}

/// The allowance for reads far ahead of a download (law 9): two at once, the blob's size in all.
#[derive(Clone, Default)]
pub(super) struct Ahead(Arc<AheadCounts>);

#[derive(Default)]
struct AheadCounts {
    now: AtomicUsize,
    bytes: AtomicU64,
}

/// Leave to read ahead, given back when dropped.
pub(super) struct AheadPermit(Arc<AheadCounts>);

impl Ahead {
    const AT_ONCE: usize = 2;

    /// Leave to fetch `length` bytes ahead of the download of a blob of `size` bytes.
    pub(super) fn take(&self, length: u64, size: u64) -> Option<AheadPermit> {
        let within = |bytes: u64| bytes.checked_add(length).filter(|sum| *sum <= size);
        let one_more = |now: usize| (now < Self::AT_ONCE).then_some(now + 1);
        self.0
            .now
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .ok()?;
        let permit = AheadPermit(Arc::clone(&self.0));
        self.0
            .bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, within)
            .ok()?;
        Some(permit)
    }
}

impl Drop for AheadPermit {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Downloads {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            running: Arc::default(),
        }
    }

    /// The running download of this digest, if there is one.
    pub(super) fn running(&self, digest: &Digest) -> Option<Running> {
        self.running.lock().get(digest).cloned()
    }

    /// Joins the download of this digest, or starts it from `mirror`. The second value says whether it ran already.
    ///
    /// `is_proven`: the repository is known to hold the digest. Without proof it may only start, since then its own upstream is
    /// asked; `None` says that somebody else's download runs, and that proof is needed to join it (law 6).
    pub(super) fn join_or_start(
        &self,
        parts: &Arc<Parts>,
        wanted: Wanted<'_>,
        is_proven: bool,
    ) -> Option<(Running, bool)> {
        let Wanted {
            mirror,
            digest,
            size,
        } = wanted;
        let mut running = self.running.lock();
        if let Some(download) = running.get(&digest) {
            if !is_proven && !download.sources.include(&mirror.name) {
                return None;
            }
            download.sources.add(mirror, is_proven);
            download.callers.fetch_add(1, Ordering::Relaxed);
            return Some((download.clone(), true));
        }
        let (writer, blob) = growing(DownloadFailed::Interrupted);
        let sources = Sources::default();
        sources.add(mirror, is_proven);
        let download = Running {
            blob,
            sources: sources.clone(),
            ahead: Ahead::default(),
            callers: Arc::new(AtomicU32::new(1)),
        };
        running.insert(digest, download.clone());
        let guard = RunningGuard::new(self, digest, &download, &parts.metrics);
        let task = Download {
            parts: Arc::clone(parts),
            digest,
            size,
            sources,
        };
        parts.tasks.spawn(async move {
            // Dropped last, after the download has told its readers how it ended (law 5).
            let _guard = guard;
            task.run(writer).await;
        });
        Some((download, false))
    }
}

/// A blob that is wanted from a mirror.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) digest: Digest,
    /// The size that a manifest names, if one does.
    pub(super) size: Option<u64>,
}

/// Whatever ends the task — return, panic, abort — takes the entry out of the map (law 3).
struct RunningGuard {
    running: Arc<Mutex<HashMap<Digest, Running>>>,
    digest: Digest,
    callers: Arc<AtomicU32>,
    metrics: Arc<Metrics>,
}

impl RunningGuard {
    fn new(downloads: &Downloads, digest: Digest, of: &Running, metrics: &Arc<Metrics>) -> Self {
        metrics.downloads_running.inc();
        Self {
            running: Arc::clone(&downloads.running),
            digest,
            callers: Arc::clone(&of.callers),
            metrics: Arc::clone(metrics),
        }
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.running.lock().remove(&self.digest);
        self.metrics.downloads_running.dec();
        let callers = self.callers.load(Ordering::Relaxed);
        self.metrics.readers_per_download.observe(callers.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_reads_ahead_are_allowed_at_once_and_no_more() {
        let ahead = Ahead::default();
        let first = ahead.take(10, 100);
        let second = ahead.take(10, 100);
        assert!(first.is_some() && second.is_some());
        assert!(ahead.take(10, 100).is_none());
        drop(first);
        assert!(ahead.take(10, 100).is_some());
    }

    #[test]
    fn reads_ahead_never_fetch_more_than_the_blob_in_all() {
        let ahead = Ahead::default();
        for _ in 0..10 {
            assert!(ahead.take(10, 100).is_some());
        }
        assert!(ahead.take(1, 100).is_none());
    }
}
