//! When blobs and manifests were last used, in memory until they are written in one batch. Knows no disk.

use std::{collections::HashMap, mem, time::SystemTime};

use cistern_oci::Digest;
use parking_lot::Mutex;

/// How many digests are remembered before they should be written.
const MANY: usize = 8 * 1024;

/// Uses not written yet.
#[derive(Default)]
pub(crate) struct Uses {
    noted: Mutex<HashMap<Digest, SystemTime>>,
}

impl Uses {
    /// Notes a use; true when it is time to write them.
    pub(crate) fn note(&self, digest: &Digest, at: SystemTime) -> bool {
        let mut noted = self.noted.lock();
        noted.insert(*digest, at);
        // Told once for each so many, not for every one beyond.
        noted.len() >= MANY && noted.len().is_multiple_of(MANY)
    }

    /// When a digest was used, if that is not written yet.
    pub(crate) fn used(&self, digest: &Digest) -> Option<SystemTime> {
        self.noted.lock().get(digest).copied()
    }

    /// Takes them all, to write them.
    pub(crate) fn take(&self) -> Vec<(Digest, SystemTime)> {
        mem::take(&mut *self.noted.lock()).into_iter().collect()
    }
}
