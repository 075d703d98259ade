//! Reading a blob while it is being written: one writer's end, any number of readers. The file is the buffer; only how far it
//! may be read passes between them, so a slow reader slows nobody.

mod reader;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use cistern_oci::ByteRange;
use tokio::sync::watch;

use self::reader::GrowingReader;
use crate::{BlobBytes, DiskFile, StoredBlob, core::Core};

/// How it stands with a growing blob.
struct Progress<F> {
    /// Whether the upstream has answered.
    answered: bool,
    size: Option<u64>,
    stage: Stage<F>,
    /// Whether a reader has been given bytes.
    given: AtomicBool,
    /// How often it began again; who wrote before has no say any more.
    beginning: u64,
}

enum Stage<F> {
    /// Nothing to read yet.
    Waiting,
    /// Bytes before `readable` may be read.
    Writing {
        from: Arc<Growth>,
        readable: u64,
    },
    Complete(StoredBlob),
    /// It ended, for this reason. What readers might have before it ended they may still have: clients resume behind it.
    Failed {
        why: F,
        rest: Option<(Arc<Growth>, u64)>,
    },
}

/// The file that grows.
pub(crate) struct Growth {
    pub(crate) core: Arc<Core>,
    pub(crate) file: Arc<DiskFile>,
}

impl<F> Progress<F> {
    fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Complete(_) | Stage::Failed { .. })
    }

    fn readable(&self) -> u64 {
        match &self.stage {
            Stage::Waiting | Stage::Failed { .. } => 0,
            Stage::Writing { readable, .. } => *readable,
            Stage::Complete(blob) => blob.size(),
        }
    }

    fn size(&self) -> Option<u64> {
        match &self.stage {
            Stage::Complete(blob) => Some(blob.size()),
            Stage::Waiting | Stage::Writing { .. } | Stage::Failed { .. } => self.size,
        }
    }
}

/// Begins a blob that may be waited for and read while it arrives. `interrupted` is what readers are told when the writer
/// vanishes without a word.
pub fn growing<F: Clone + Send + Sync + 'static>(interrupted: F) -> (Growing<F>, GrowingBlob<F>) {
    let progress = Progress {
        answered: false,
        size: None,
        stage: Stage::Waiting,
        given: AtomicBool::new(false),
        beginning: 0,
    };
    let (sender, receiver) = watch::channel(progress);
    let readers = Arc::new(AtomicUsize::new(0));
    let blob = GrowingBlob {
        receiver,
        readers: Arc::clone(&readers),
        interrupted: interrupted.clone(),
    };
    (
        Growing {
            publisher: Publisher {
                sender: Arc::new(sender),
                beginning: 0,
            },
            readers,
            interrupted: Some(interrupted),
        },
        blob,
    )
}

// === the writer's end ===

/// The one writer's end. Dropped without an end, it tells every reader `interrupted`.
pub struct Growing<F: Clone + Send + Sync + 'static> {
    publisher: Publisher<F>,
    readers: Arc<AtomicUsize>,
    /// Taken when it has ended.
    interrupted: Option<F>,
}

impl<F: Clone + Send + Sync + 'static> Growing<F> {
    /// The upstream has answered, with this size if it named one.
    pub fn answered(&self, size: Option<u64>) {
        self.publisher.change(|progress| {
            progress.answered = true;
            progress.size = size.or(progress.size);
            true
        });
    }

    /// Its size is known, if it is, though nobody has answered.
    pub(crate) fn knows(&self, size: Option<u64>) {
        self.publisher.change(|progress| {
            progress.size = size.or(progress.size);
            size.is_some()
        });
    }

    /// Ends it: every reader is told why.
    pub fn fail(mut self, why: F) {
        self.fail_with(why);
    }

    /// Ends it: the blob was in the store after all.
    pub fn complete(mut self, blob: StoredBlob) {
        self.end(|_| Stage::Complete(blob));
    }

    /// How many bodies are being read or waited for just now.
    pub fn readers(&self) -> usize {
        self.readers.load(Ordering::Acquire)
    }

    /// Takes back what may be read, and begins again with nothing; `false`: a reader was given some of it. From then on the
    /// publishers that were handed out before say nothing.
    pub(crate) fn begin_again(&mut self) -> bool {
        let mut is_done = false;
        self.publisher.change(|progress| {
            if !progress.given.load(Ordering::Acquire) {
                progress.stage = Stage::Waiting;
                progress.beginning += 1;
                is_done = true;
            }
            is_done
        });
        self.publisher.beginning += u64::from(is_done);
        is_done
    }

    /// The size, if it is known.
    pub(crate) fn size(&self) -> Option<u64> {
        self.publisher.sender.borrow().size()
    }

    pub(crate) fn publisher(&self) -> Publisher<F> {
        self.publisher.clone()
    }

    fn fail_with(&mut self, why: F) {
        self.end(|before| Stage::Failed {
            why,
            rest: match before {
                Stage::Writing { from, readable } => Some((Arc::clone(from), *readable)),
                Stage::Waiting | Stage::Complete(_) | Stage::Failed { .. } => None,
            },
        });
    }

    fn end(&mut self, stage: impl FnOnce(&Stage<F>) -> Stage<F>) {
        if self.interrupted.take().is_some() {
            self.publisher.change(|progress| {
                progress.stage = stage(&progress.stage);
                true
            });
        }
    }
}

impl<F: Clone + Send + Sync + 'static> Drop for Growing<F> {
    fn drop(&mut self) {
        if let Some(interrupted) = self.interrupted.clone() {
            self.fail_with(interrupted);
        }
    }
}

/// Says how far a growing blob may be read. Says nothing any more once it has ended.
pub(crate) struct Publisher<F> {
    sender: Arc<watch::Sender<Progress<F>>>,
    beginning: u64,
}

impl<F> Clone for Publisher<F> {
    fn clone(&self) -> Self {
        Self {
            sender: Arc::clone(&self.sender),
            beginning: self.beginning,
        }
    }
}

impl<F> Publisher<F> {
    /// Bytes before `readable` may be read from this file.
    pub(crate) fn readable(&self, from: &Arc<Growth>, readable: u64) {
        self.change(|progress| {
            if progress.beginning != self.beginning {
                return false;
            }
            let is_new = match &progress.stage {
                Stage::Writing {
                    readable: before, ..
                } => *before < readable,
                Stage::Waiting | Stage::Complete(_) | Stage::Failed { .. } => true,
            };
            if is_new {
                progress.stage = Stage::Writing {
                    from: Arc::clone(from),
                    readable,
                };
            }
            is_new
        });
    }

    fn change(&self, change: impl FnOnce(&mut Progress<F>) -> bool) {
        self.sender
            .send_if_modified(|progress| !progress.has_ended() && change(progress));
    }
}

// === the readers' end ===

/// What is known once [`GrowingBlob::wait_for`] resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The blob's size, if the upstream named it or all bytes have come.
    pub size: Option<u64>,
}

/// The readers' end of a growing blob.
#[derive(Clone)]
pub struct GrowingBlob<F: Clone + Send + Sync + 'static> {
    receiver: watch::Receiver<Progress<F>>,
    readers: Arc<AtomicUsize>,
    interrupted: F,
}

impl<F: Clone + Send + Sync + 'static> GrowingBlob<F> {
    /// Resolves when bytes from `offset` on are readable, or the upstream has answered at all; or with why it failed.
    pub async fn wait_for(&self, offset: u64) -> Result<Ready, F> {
        self.until(|progress| {
            let ready = progress.answered || progress.readable() > offset || progress.has_ended();
            ready.then(|| Ready {
                size: progress.size(),
            })
        })
        .await
    }

    /// Resolves when the size is known: the upstream named it, or all bytes have come.
    pub async fn wait_size(&self) -> Result<u64, F> {
        self.until(Progress::size).await
    }

    async fn until<T>(&self, check: impl Fn(&Progress<F>) -> Option<T> + Send) -> Result<T, F> {
        let _reading = Reading::new(&self.readers);
        let mut receiver = self.receiver.clone();
        loop {
            {
                let progress = receiver.borrow_and_update();
                if let Stage::Failed { why, .. } = &progress.stage {
                    return Err(why.clone());
                }
                if let Some(found) = check(&progress) {
                    return Ok(found);
                }
            }
            if receiver.changed().await.is_err() {
                return Err(self.interrupted.clone());
            }
        }
    }

    /// Resolves when all bytes have come and are verified; or with why they never will.
    pub async fn wait_end(&self) -> Result<(), F> {
        self.until(|progress| progress.has_ended().then_some(()))
            .await
    }

    /// How many bytes readers may have now (see [`crate::BlobWriter`] for the last 64 KiB).
    pub fn readable(&self) -> u64 {
        self.receiver.borrow().readable()
    }

    /// The size, if it is known.
    pub fn size(&self) -> Option<u64> {
        self.receiver.borrow().size()
    }

    /// The bytes of a range, waiting for those that are not there yet.
    pub fn read(&self, range: ByteRange) -> BlobBytes {
        let reading = Reading::new(&self.readers);
        BlobBytes::from_reader(GrowingReader::new(self.receiver.clone(), range, reading))
    }
}

/// Counts one reader for as long as it lives.
struct Reading(Arc<AtomicUsize>);

impl Reading {
    fn new(readers: &Arc<AtomicUsize>) -> Self {
        readers.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(readers))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
