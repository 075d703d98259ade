//! What stands between the bytes of a download and the disk: takes them in as they come, writes and hashes them in batches off
//! the reactor, and says how far readers may go. Does not know what the bytes are for.

use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;
use cistern_oci::Hasher;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::{
    StorageError,
    buffers::SMALL,
    core::Core,
    growing::{Growth, Publisher},
};

/// A batch is written when so much has come ...
const BATCH: usize = 256 * 1024;
/// ... or after so long.
const AT_LEAST_EVERY: Duration = Duration::from_millis(20);
/// More than this is not taken in before something was written.
const MOST_WAITING: usize = 1024 * 1024;
/// How much may be written before the disk is asked to make it durable, in the background.
const SYNC_EVERY: u64 = 8 * 1024 * 1024;
/// The last bytes, which readers get only once all are verified.
pub(crate) const WITHHELD: u64 = SMALL as u64;

/// How many of `written` bytes readers may have before the blob is verified.
pub(crate) fn readable(written: u64, size: Option<u64>) -> u64 {
    match size {
        Some(size) => written.min(size.saturating_sub(WITHHELD)),
        None => written.saturating_sub(WITHHELD),
    }
}

/// Bytes that have come and are not written yet.
#[derive(Default)]
pub(crate) struct Intake {
    waiting: Mutex<Waiting>,
    fed: Notify,
    drained: Notify,
}

#[derive(Default)]
struct Waiting {
    chunks: Vec<Bytes>,
    bytes: usize,
    /// No more will come.
    ended: bool,
    /// No more will be written, and why.
    stopped: Option<StorageError>,
}

impl Intake {
    /// Takes bytes in; waits while too many are waiting.
    pub(crate) async fn take(&self, bytes: Bytes) -> Result<(), StorageError> {
        {
            let mut waiting = self.waiting.lock();
            if let Some(why) = &waiting.stopped {
                return Err(why.clone());
            }
            let before = waiting.bytes;
            waiting.bytes += bytes.len();
            waiting.chunks.push(bytes);
            if before == 0 || (before < BATCH && waiting.bytes >= BATCH) {
                self.fed.notify_one();
            }
        }
        loop {
            {
                let waiting = self.waiting.lock();
                if let Some(why) = &waiting.stopped {
                    return Err(why.clone());
                }
                if waiting.bytes < MOST_WAITING {
                    return Ok(());
                }
            }
            self.drained.notified().await;
        }
    }

    /// No more will come.
    pub(crate) fn end(&self) {
        self.waiting.lock().ended = true;
        self.fed.notify_one();
    }

    fn stop(&self, why: StorageError) {
        self.waiting.lock().stopped.get_or_insert(why);
        self.drained.notify_one();
    }

    /// The next batch; empty when all is written and no more will come.
    async fn batch(&self, not_before: Instant) -> Vec<Bytes> {
        loop {
            let wait = {
                let mut waiting = self.waiting.lock();
                let is_due = waiting.bytes > 0 && Instant::now() >= not_before;
                if waiting.ended || waiting.bytes >= BATCH || is_due {
                    waiting.bytes = 0;
                    return mem::take(&mut waiting.chunks);
                }
                waiting.bytes > 0
            };
            if wait {
                // Running out of time is the other reason to look again.
                let _ = timeout_at(not_before, self.fed.notified()).await;
            } else {
                self.fed.notified().await;
            }
        }
    }
}

/// Tells the feeding side when the pump is gone, however it goes.
struct Stopped(Arc<Intake>);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.stop(StorageError::Interrupted(
            "the blob's writer ended".to_owned(),
        ));
    }
}

/// What was written in the end.
pub(crate) struct Written {
    pub(crate) hasher: Hasher,
    pub(crate) length: u64,
}

/// Where a pump pumps to.
pub(crate) struct Pump<F> {
    pub(crate) intake: Arc<Intake>,
    pub(crate) to: Arc<Growth>,
    pub(crate) publisher: Publisher<F>,
    pub(crate) size: Option<u64>,
    pub(crate) hasher: Hasher,
    pub(crate) promise: Arc<Promise>,
}

impl<F: Clone + Send + Sync + 'static> Pump<F> {
    /// Writes all that comes, until no more comes or the disk refuses.
    pub(crate) async fn run(self) -> Result<Written, StorageError> {
        let stopped = Stopped(Arc::clone(&self.intake));
        let result = self.pump().await;
        if let Err(error) = &result {
            stopped.0.stop(error.clone());
        }
        result
    }

    async fn pump(mut self) -> Result<Written, StorageError> {
        let mut written = 0;
        let mut syncing = Syncing {
            synced: 0,
            running: None,
        };
        let mut not_before = Instant::now();
        loop {
            let chunks = self.intake.batch(not_before).await;
            if chunks.is_empty() {
                syncing.finish().await?;
                return Ok(Written {
                    hasher: self.hasher,
                    length: written,
                });
            }
            (self.hasher, written) = self.write(chunks, written).await?;
            self.intake.drained.notify_one();
            self.promise.keep(written);
            self.publisher
                .readable(&self.to, readable(written, self.size));
            not_before = Instant::now() + AT_LEAST_EVERY;
            syncing
                .go_on(&self.to, written, self.size.is_some())
                .await?;
        }
    }

    async fn write(&self, chunks: Vec<Bytes>, at: u64) -> Result<(Hasher, u64), StorageError> {
        let (to, mut hasher) = (Arc::clone(&self.to), self.hasher.clone());
        self.to
            .core
            .off(move |core| {
                let mut written = at;
                for chunk in chunks {
                    core.disk
                        .write_at(&to.file, &chunk, written)
                        .map_err(|error| StorageError::io("write", to.file.path(), error))?;
                    hasher.update(&chunk);
                    written += chunk.len() as u64;
                }
                Ok((hasher, written))
            })
            .await
    }
}

/// Makes what is written durable, in the background and every few MiB.
struct Syncing {
    synced: u64,
    running: Option<JoinHandle<Result<(), StorageError>>>,
}

impl Syncing {
    async fn go_on(
        &mut self,
        file: &Arc<Growth>,
        written: u64,
        is_promised: bool,
    ) -> Result<(), StorageError> {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.finish().await?;
        }
        if self.running.is_none() && written - self.synced >= SYNC_EVERY {
            self.synced = written;
            let file = Arc::clone(file);
            self.running = Some(tokio::task::spawn_blocking(move || {
                if !is_promised && file.core.room()? == 0 {
                    // Its size was not known when it began; it must not eat up the reserve.
                    return Err(StorageError::Full);
                }
                sync(&file)
            }));
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), StorageError> {
        match self.running.take() {
            Some(running) => match running.await {
                Ok(result) => result,
                Err(error) => Err(StorageError::Interrupted(error.to_string())),
            },
            None => Ok(()),
        }
    }
}

/// Makes a growing file durable as it is now.
pub(crate) fn sync(growth: &Growth) -> Result<(), StorageError> {
    let Growth { core, file } = growth;
    core.disk
        .sync(file)
        .map_err(|error| StorageError::io("sync", file.path(), error))
}

/// Room that one download may still fill; counted as taken until it is filled or the download is gone.
pub(crate) struct Promise {
    core: Arc<Core>,
    size: u64,
    left: Mutex<u64>,
}

impl Promise {
    /// Promises `size` bytes, unless the reserve does not allow it.
    pub(crate) fn make(core: &Arc<Core>, size: u64) -> Result<Arc<Self>, StorageError> {
        let mut promised = core.promised.lock();
        if core.room_beside(*promised)? <= size {
            return Err(StorageError::Full);
        }
        *promised += size;
        Ok(Arc::new(Self {
            core: Arc::clone(core),
            size,
            left: Mutex::new(size),
        }))
    }

    fn keep(&self, written: u64) {
        self.shrink(self.size.saturating_sub(written));
    }

    fn shrink(&self, to: u64) {
        let mut left = self.left.lock();
        let kept = left.saturating_sub(to);
        *left -= kept;
        *self.core.promised.lock() -= kept;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// Takes a promise back at once when it goes, also while the pump has not noticed yet that nobody wants its work any more.
pub(crate) struct Promised(pub(crate) Arc<Promise>);

impl Drop for Promised {
    fn drop(&mut self) {
        self.0.shrink(0);
    }
}

#[cfg(test)]
mod tests;
