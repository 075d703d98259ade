//! What is being read, grown or pinned just now: eviction asks here before it removes anything. Memory only.

use std::{collections::HashMap, fmt, sync::Arc};

use cistern_oci::Digest;
use parking_lot::Mutex;

/// The digests that somebody holds on to just now.
#[derive(Clone, Default)]
pub struct Leases {
    held: Arc<Mutex<HashMap<Digest, usize>>>,
}

impl Leases {
    /// Holds a digest until the lease is dropped.
    pub fn hold(&self, digest: Digest) -> Lease {
        *self.held.lock().entry(digest).or_insert(0) += 1;
        Lease {
            leases: self.clone(),
            digest,
        }
    }

    /// Whether anybody holds this digest.
    pub fn is_held(&self, digest: &Digest) -> bool {
        self.held.lock().contains_key(digest)
    }

    /// How many digests are held.
    pub fn held(&self) -> usize {
        self.held.lock().len()
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Leases")
            .field("held", &self.held())
            .finish()
    }
}

/// Holds one digest; dropped, it lets go.
#[derive(Debug)]
pub struct Lease {
    leases: Leases,
    digest: Digest,
}

impl Lease {
    /// What is held.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut held = self.leases.held.lock();
        if let Some(count) = held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.digest);
            }
        }
    }
}
