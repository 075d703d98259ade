//! What stands between the bytes of a download and the disk: takes them in as they come, writes and hashes them in batches off
//! the reactor, and says how far readers may go. Does not know what the bytes are for.

mod intake;
mod syncing;

use std::{future, sync::Arc, time::Duration};

use bytes::Bytes;
use cistern_oci::Hasher;
use tokio::time::Instant;

use self::syncing::Syncing;
pub(crate) use self::{
    intake::{End, Intake},
    syncing::sync,
};
use crate::{
    StorageError,
    buffers::SMALL,
    growing::{Growth, Publisher},
    partial::Making,
    promise::Promise,
};

/// A batch is written when so much has come ...
const BATCH: usize = 256 * 1024;
/// ... or after so long.
const AT_LEAST_EVERY: Duration = Duration::from_millis(20);
/// How much of a partial is hashed between two looks at what has come meanwhile, and whether the hash is still wanted.
const HASHED_AT_ONCE: u64 = 4 * 1024 * 1024;
/// The last bytes, which readers get only once all are verified.
pub(crate) const WITHHELD: u64 = SMALL as u64;

/// How many of `written` bytes readers may have before the blob is verified.
pub(crate) fn readable(written: u64, size: Option<u64>) -> u64 {
    match size {
        Some(size) => written.min(size.saturating_sub(WITHHELD)),
        None => written.saturating_sub(WITHHELD),
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

/// The file that is written.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) growth: Arc<Growth>,
    pub(crate) making: Arc<Making>,
}

/// What a pump needs.
pub(crate) struct Pump<F> {
    pub(crate) intake: Arc<Intake>,
    pub(crate) target: Target,
    pub(crate) publisher: Publisher<F>,
    pub(crate) promise: Arc<Promise>,
    /// Has seen nothing yet.
    pub(crate) hasher: Hasher,
    /// How many bytes of the file it has seen: fewer than are written while it follows what an earlier download left.
    pub(crate) hashed: u64,
    /// How many bytes are in the file, and how many of them on the device.
    pub(crate) written: u64,
    pub(crate) durable: u64,
}

impl<F: Clone + Send + Sync + 'static> Pump<F> {
    /// Writes all that comes, until no more comes or the disk refuses; then nothing is kept. It outlives its writer, so that what
    /// was begun is done before anybody else has the file.
    pub(crate) async fn run(mut self) -> Result<Written, StorageError> {
        let stopped = Stopped(Arc::clone(&self.intake));
        let mut syncing = Syncing::new(self.target.clone(), self.durable);
        let mut result = self.pump(&mut syncing).await;
        let end = self.intake.ended();
        if result.is_ok() && end == Some(End::Suspended) {
            result = self.target.keep(self.written).await;
        }
        if let Err(error) = &result {
            tracing::debug!(file = %self.target.growth.file.path().display(), %error, "what came of a blob is not kept");
            stopped.0.stop(error.clone());
        }
        if result.is_err() || end == Some(End::Discarded) {
            // The disk is asked no more before the file goes.
            let _ = syncing.finish().await;
            self.target.discard().await;
        }
        result.map(|()| Written {
            hasher: self.hasher,
            length: self.written,
        })
    }

    async fn pump(&mut self, syncing: &mut Syncing) -> Result<(), StorageError> {
        let mut not_before = Instant::now();
        loop {
            syncing.go_on(self.written, self.promise.is_made());
            let lags = self.lags();
            if lags {
                self.hash_more().await?;
            }
            let chunks = tokio::select! {
                biased;
                durable = syncing.done() => {
                    self.intake.is_durable(durable?);
                    continue;
                }
                chunks = self.intake.batch(not_before) => chunks,
                () = future::ready(()), if lags => continue,
            };
            if chunks.is_empty() {
                if self.lags() {
                    continue;
                }
                return syncing.finish().await;
            }
            self.write(chunks).await?;
            self.intake.is_drained();
            self.promise.keep(self.written);
            let readable = readable(self.written, self.intake.size());
            self.publisher.readable(&self.target.growth, readable);
            not_before = Instant::now() + AT_LEAST_EVERY;
        }
    }

    /// Whether something is in the file that the hasher has not seen and somebody wants to know of.
    fn lags(&self) -> bool {
        self.hashed < self.written && matches!(self.intake.ended(), None | Some(End::Whole))
    }

    /// Hashes some more of what is in the file already. What comes meanwhile was paid for too, and is written before the rest is
    /// hashed: in memory a kill would cost it.
    async fn hash_more(&mut self) -> Result<(), StorageError> {
        let (from, until) = (self.hashed, self.written.min(self.hashed + HASHED_AT_ONCE));
        let (file, mut hasher) = (Arc::clone(&self.target.growth.file), self.hasher.clone());
        let hashing = self.target.growth.core.off(move |core| {
            core.hash_part(&file, (from, until), &mut hasher)?;
            Ok(hasher)
        });
        self.hasher = hashing.await?;
        self.hashed = until;
        Ok(())
    }

    async fn write(&mut self, chunks: Vec<Bytes>) -> Result<(), StorageError> {
        let (target, mut hasher, mut written) =
            (self.target.clone(), self.hasher.clone(), self.written);
        // Else it will come to them by itself.
        let is_up_to_date = self.hashed == self.written;
        let writing = self.target.growth.core.off(move |core| {
            let file = &target.growth.file;
            let come: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
            target.making.will_have(written + come)?;
            core.disk
                .write_pieces_at(file, &chunks, written)
                .map_err(|error| StorageError::io("write", file.path(), error))?;
            written += come;
            for chunk in chunks.iter().filter(|_| is_up_to_date) {
                hasher.update(chunk);
            }
            target.making.has(written);
            Ok((hasher, written))
        });
        (self.hasher, self.written) = writing.await?;
        if is_up_to_date {
            self.hashed = self.written;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
