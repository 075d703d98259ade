//! Bytes that have come and are not written yet, between a writer and its pump.

use std::mem;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::BATCH;
use crate::StorageError;

/// More than this is not taken in before something was written.
const MOST_WAITING: usize = 1024 * 1024;
/// What a power cut may cost: so far the bytes that were taken in may be ahead of those that are on the device ...
const MOST_AHEAD: u64 = 4 * 1024 * 1024;
/// ... of which this much is for the piece that comes next.
const NEXT_PIECE: u64 = 256 * 1024;

/// How a writer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All bytes came.
    Whole,
    /// What came stays as a partial.
    Suspended,
    /// What came is not wanted.
    Discarded,
    /// What came is not wanted; the writer begins again.
    Restarted,
}

/// Bytes that have come and are not written yet.
pub(crate) struct Intake {
    waiting: Mutex<Waiting>,
    fed: Notify,
    drained: Notify,
}

struct Waiting {
    chunks: Vec<Bytes>,
    bytes: usize,
    /// Everything that ever came of the blob.
    taken: u64,
    /// What of it is on the device.
    durable: u64,
    /// How long the blob will be, if that is known.
    size: Option<u64>,
    /// No more will come.
    ended: Option<End>,
    /// No more will be written, and why.
    stopped: Option<StorageError>,
}

impl Waiting {
    fn has_room(&self) -> bool {
        self.bytes < MOST_WAITING && self.taken + NEXT_PIECE <= self.durable + MOST_AHEAD
    }
}

impl Intake {
    /// For a blob of which so many bytes are there already, the `durable` ones of them on the device.
    pub(crate) fn new(there: u64, durable: u64, size: Option<u64>) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                chunks: Vec::new(),
                bytes: 0,
                taken: there,
                durable,
                size,
                ended: None,
                stopped: None,
            }),
            fed: Notify::new(),
            drained: Notify::new(),
        }
    }

    // === the writer's side ===

    /// Takes bytes in; waits while too many are waiting, or too many are not on the device.
    pub(crate) async fn take(&self, bytes: Bytes) -> Result<(), StorageError> {
        {
            let mut waiting = self.waiting.lock();
            if let Some(why) = &waiting.stopped {
                return Err(why.clone());
            }
            let before = waiting.bytes;
            waiting.taken += bytes.len() as u64;
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
                if waiting.has_room() {
                    return Ok(());
                }
            }
            self.drained.notified().await;
        }
    }

    /// No more will come. The first end counts.
    pub(crate) fn end(&self, end: End) {
        self.waiting.lock().ended.get_or_insert(end);
        self.fed.notify_one();
    }

    /// The size is known now.
    pub(crate) fn learn_size(&self, size: u64) {
        self.waiting.lock().size = Some(size);
    }

    // === the pump's side ===

    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<End> {
        self.waiting.lock().ended
    }

    /// How long the blob will be, if that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.waiting.lock().size
    }

    /// Something was written.
    pub(super) fn is_drained(&self) {
        self.drained.notify_one();
    }

    /// So many bytes are on the device.
    pub(super) fn is_durable(&self, bytes: u64) {
        self.waiting.lock().durable = bytes;
        self.drained.notify_one();
    }

    pub(super) fn stop(&self, why: StorageError) {
        self.waiting.lock().stopped.get_or_insert(why);
        self.drained.notify_one();
    }

    /// The next batch; empty when no more will come and what came is written, or not wanted. Given up while it waits, it has
    /// taken nothing.
    pub(super) async fn batch(&self, not_before: Instant) -> Vec<Bytes> {
        loop {
            let wait = {
                let mut waiting = self.waiting.lock();
                if matches!(waiting.ended, Some(End::Discarded | End::Restarted)) {
                    return Vec::new();
                }
                let is_due = waiting.bytes > 0 && Instant::now() >= not_before;
                if waiting.ended.is_some() || waiting.bytes >= BATCH || is_due {
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
