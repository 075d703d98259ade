//! What is being downloaded now: one download per digest, however many callers want it (single flight).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use cistern_oci::Digest;
use cistern_storage::{Growing, GrowingBlob, growing};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::crowd::Crowd;
use super::download::{Download, DownloadFailed};
use super::hold::Patient;
use super::sources::{Joining, Sources};
use crate::metrics::Metrics;
use crate::repositories::Mirror;

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
    /// Who waits for it.
    pub crowd: Crowd,
    /// Cancelled when it no longer runs, whatever ended it: what it brought is in the store by then.
    pub over: CancellationToken,
}

/// A download that a caller takes part in.
pub(super) struct Joined {
    pub(super) download: Running,
    /// Whether it ran already.
    pub(super) ran_already: bool,
    pub(super) patient: Patient,
}

impl Running {
    /// A download that nobody waits for yet, and its writer's end.
    fn begin(sources: Sources) -> (Growing<DownloadFailed>, Self) {
        let (writer, blob) = growing(DownloadFailed::Interrupted);
        let download = Self {
            blob,
            sources,
            ahead: Ahead::default(),
            crowd: Crowd::new(),
            over: CancellationToken::new(),
        };
        (writer, download)
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

    /// All of them.
    pub(super) fn all(&self) -> Vec<(Digest, Running)> {
        let running = self.running.lock();
        running
            .iter()
            .map(|(digest, running)| (*digest, running.clone()))
            .collect()
    }

    /// Joins the download of this digest, or starts it from `wanted.mirror`.
    ///
    /// `is_proven`: the repository is known to hold the digest. Without proof it may only start, since then its own upstream is
    /// asked; `None` says that somebody else's download runs, and that proof is needed to join it (law 6).
    pub(super) fn join_or_start(
        &self,
        parts: &Arc<Parts>,
        wanted: Wanted<'_>,
        is_proven: bool,
    ) -> Option<Joined> {
        let mut running = self.running.lock();
        let mut ran_already = None;
        if let Some(download) = running.get(&wanted.digest) {
            match download.sources.join(wanted.mirror, is_proven) {
                Joining::Joined => ran_already = Some(download.clone()),
                Joining::NeedsProof => return None,
                // All its sources have failed; it only has to say so yet. Whoever comes now has a source to try.
                Joining::TooLate => {}
            }
        }
        if let Some(download) = ran_already {
            return Some(Joined {
                patient: Patient::new(download.crowd.join(), &parts.hold),
                download,
                ran_already: true,
            });
        }
        let begun = Running::begin(Sources::from(wanted.mirror, is_proven));
        // Counted before the download can look for it.
        let patient = Patient::new(begun.1.crowd.join(), &parts.hold);
        Some(Joined {
            download: self.start(parts, &mut running, wanted, begun),
            ran_already: false,
            patient,
        })
    }

    /// Starts the download of a blob that this repository is known to hold, for nobody yet. Does nothing if it runs already.
    pub(super) fn start_ahead(&self, parts: &Arc<Parts>, wanted: Wanted<'_>) {
        let mut running = self.running.lock();
        if !running.contains_key(&wanted.digest) {
            let begun = Running::begin(Sources::from(wanted.mirror, true));
            self.start(parts, &mut running, wanted, begun);
        }
    }

    fn start(
        &self,
        parts: &Arc<Parts>,
        running: &mut HashMap<Digest, Running>,
        wanted: Wanted<'_>,
        (writer, download): (Growing<DownloadFailed>, Running),
    ) -> Running {
        running.insert(wanted.digest, download.clone());
        let guard = RunningGuard::new(self, wanted.digest, &download, &parts.metrics);
        let task = Download {
            parts: Arc::clone(parts),
            digest: wanted.digest,
            size: wanted.size,
            sources: download.sources.clone(),
            crowd: download.crowd.clone(),
        };
        launch(parts, guard, writer, |writer| task.run(writer));
        download
    }
}

/// Runs a download as a task of the server's own.
fn launch<F>(
    parts: &Parts,
    guard: RunningGuard,
    writer: Growing<DownloadFailed>,
    work: impl FnOnce(Growing<DownloadFailed>) -> F,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let work = work(writer);
    parts.tasks.spawn(async move {
        // Dropped last, after the download has told its readers how it ended (law 5).
        let _guard = guard;
        work.await;
    })
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
    crowd: Crowd,
    over: CancellationToken,
    metrics: Arc<Metrics>,
}

impl RunningGuard {
    fn new(downloads: &Downloads, digest: Digest, of: &Running, metrics: &Arc<Metrics>) -> Self {
        metrics.downloads_running.inc();
        Self {
            running: Arc::clone(&downloads.running),
            digest,
            crowd: of.crowd.clone(),
            over: of.over.clone(),
            metrics: Arc::clone(metrics),
        }
    }
}

impl Drop for RunningGuard {
    fn drop(&mut self) {
        let mut running = self.running.lock();
        let is_it = |other: &Running| other.crowd.is(&self.crowd);
        if running.get(&self.digest).is_some_and(is_it) {
            running.remove(&self.digest);
        }
        drop(running);
        self.over.cancel();
        self.metrics.downloads_running.dec();
        let callers = self.crowd.served();
        self.metrics.readers_per_download.observe(callers.into());
    }
}

#[cfg(test)]
mod tests;
