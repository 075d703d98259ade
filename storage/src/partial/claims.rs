//! Whose a partial is just now: one writer's, or that of whoever removes it. Memory only; the lock of the store keeps other
//! processes away.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use cistern_oci::Digest;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The partials that are somebody's just now.
#[derive(Clone, Default)]
pub(crate) struct Claims {
    taken: Arc<Mutex<HashMap<Digest, Arc<Claimed>>>>,
}

/// How it stands with a partial that is somebody's.
#[derive(Default)]
pub(crate) struct Claimed {
    written: AtomicU64,
    size: Mutex<Option<u64>>,
    ending: AtomicBool,
    gone: CancellationToken,
}

impl Claimed {
    /// How many bytes are written.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn has_written(&self, bytes: u64) {
        self.written.store(bytes, Ordering::Release);
    }

    /// How many there will be, if that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        *self.size.lock()
    }

    pub(crate) fn knows(&self, size: Option<u64>) {
        *self.size.lock() = size;
    }

    /// It will be free in a moment, without anybody's doing.
    pub(crate) fn is_ending(&self) {
        self.ending.store(true, Ordering::Release);
    }
}

impl Claims {
    /// Takes a partial to write it. `None`: it is somebody's.
    fn take(&self, digest: &Digest) -> Option<Claim> {
        self.take_as(digest, Claimed::default())
    }

    /// Takes a partial for a moment. `None`: it is somebody's.
    pub(crate) fn take_shortly(&self, digest: &Digest) -> Option<Claim> {
        let claimed = Claimed::default();
        claimed.is_ending();
        self.take_as(digest, claimed)
    }

    fn take_as(&self, digest: &Digest, claimed: Claimed) -> Option<Claim> {
        let mut taken = self.taken.lock();
        if taken.contains_key(digest) {
            return None;
        }
        let claimed = Arc::new(claimed);
        taken.insert(*digest, Arc::clone(&claimed));
        Some(Claim {
            claims: self.clone(),
            digest: *digest,
            claimed,
        })
    }

    /// Takes a partial to write it; waits for one that will be free in a moment. `None`: it is being written.
    pub(crate) async fn take_soon(&self, digest: &Digest) -> Option<Claim> {
        loop {
            if let Some(claim) = self.take(digest) {
                return Some(claim);
            }
            if self.of(digest).await.is_some() {
                return None;
            }
        }
    }

    /// Who is writing a partial, when nobody will be free of it in a moment; waits for that moment.
    pub(crate) async fn of(&self, digest: &Digest) -> Option<Arc<Claimed>> {
        loop {
            let claimed = self.taken.lock().get(digest).cloned()?;
            if !claimed.ending.load(Ordering::Acquire) {
                return Some(claimed);
            }
            claimed.gone.cancelled().await;
        }
    }
}

/// Keeps a partial for one until it is dropped.
pub(crate) struct Claim {
    claims: Claims,
    digest: Digest,
    pub(crate) claimed: Arc<Claimed>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.taken.lock().remove(&self.digest);
        self.claimed.gone.cancel();
    }
}
