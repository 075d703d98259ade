//! Who has the turn on a push, and what this run remembers of pushes that nobody has the turn on. Memory only.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use cistern_oci::{Algorithm, Hasher, UploadId};
use moka::sync::Cache;
use parking_lot::Mutex;

/// Of so many resting pushes the hash so far is remembered; of others the bytes are read again.
const REMEMBERED: u64 = 1024;

/// Whoever has the turn has not said yet how many bytes have come; or never will, as when it only looks how old the push is.
const NOT_TOLD: u64 = u64::MAX;

/// How far a resting push was hashed.
#[derive(Clone)]
pub(super) struct Hashed {
    pub(super) hasher: Hasher,
    /// How many bytes it has seen.
    pub(super) length: u64,
    /// When the turn ended.
    pub(super) at: SystemTime,
}

impl Hashed {
    /// The hash of nothing.
    pub(super) fn nothing(algorithm: Algorithm, at: SystemTime) -> Self {
        Self {
            hasher: Hasher::new(algorithm),
            length: 0,
            at,
        }
    }
}

/// The turns on all pushes.
pub(super) struct Turns {
    taken: Mutex<HashMap<UploadId, Arc<AtomicU64>>>,
    resting: Cache<UploadId, Hashed>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            taken: Mutex::default(),
            resting: Cache::new(REMEMBERED),
        }
    }
}

impl Turns {
    /// Takes the turn, unless another has it.
    pub(super) fn take(self: &Arc<Self>, id: &UploadId) -> Option<OneTurn> {
        let mut taken = self.taken.lock();
        if taken.contains_key(id) {
            return None;
        }
        let received = Arc::new(AtomicU64::new(NOT_TOLD));
        taken.insert(id.clone(), Arc::clone(&received));
        Some(OneTurn {
            turns: Arc::clone(self),
            id: id.clone(),
            received,
        })
    }

    /// What whoever has the turn says has come so far. `None`: what is in the file has come.
    pub(super) fn received(&self, id: &UploadId) -> Option<u64> {
        let taken = self.taken.lock();
        let received = taken.get(id)?.load(Ordering::Acquire);
        (received != NOT_TOLD).then_some(received)
    }

    /// When the last turn of this run ended.
    pub(super) fn last(&self, id: &UploadId) -> Option<SystemTime> {
        self.resting.get(id).map(|hashed| hashed.at)
    }

    /// Remembers how far a push is hashed.
    pub(super) fn remember(&self, id: &UploadId, hashed: Hashed) {
        self.resting.insert(id.clone(), hashed);
    }

    /// The push is no more.
    pub(super) fn forget(&self, id: &UploadId) {
        self.resting.invalidate(id);
    }
}

/// The turn on one push; dropped, the next may have it.
pub(super) struct OneTurn {
    turns: Arc<Turns>,
    id: UploadId,
    received: Arc<AtomicU64>,
}

impl OneTurn {
    pub(super) fn id(&self) -> &UploadId {
        &self.id
    }

    /// Says how many bytes have come.
    pub(super) fn has_received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Release);
    }

    /// How far it is hashed.
    pub(super) fn hashed(&self) -> Option<Hashed> {
        self.turns.resting.get(&self.id)
    }

    /// Remembers how far it is hashed.
    pub(super) fn remember(&self, hashed: Hashed) {
        self.turns.remember(&self.id, hashed);
    }

    /// The push is no more.
    pub(super) fn forget(&self) {
        self.turns.forget(&self.id);
    }
}

impl Drop for OneTurn {
    fn drop(&mut self) {
        self.turns.taken.lock().remove(&self.id);
    }
}
