//! Room on the disk that is promised to downloads: counted as taken until it is filled or the download is gone.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{StorageError, core::Core};

/// Room that one download may still fill.
pub(crate) struct Promise {
    core: Arc<Core>,
    promised: Mutex<Promised>,
}

#[derive(Clone, Copy)]
struct Promised {
    /// How long the file will be; 0 where that is not known.
    size: u64,
    left: u64,
}

impl Promise {
    /// Promises the room for a file of `size` bytes of which so many are `there`, unless the reserve does not allow it.
    pub(crate) fn make(core: &Arc<Core>, size: u64, there: u64) -> Result<Arc<Self>, StorageError> {
        let left = size.saturating_sub(there);
        take(core, left)?;
        Ok(Arc::new(Self {
            core: Arc::clone(core),
            promised: Mutex::new(Promised { size, left }),
        }))
    }

    /// The size is known now: promises the room for what is not written yet.
    pub(crate) fn learn_size(&self, size: u64, written: u64) -> Result<(), StorageError> {
        let mut promised = self.promised.lock();
        let left = size.saturating_sub(written);
        take(&self.core, left.saturating_sub(promised.left))?;
        promised.size = size;
        promised.left = promised.left.max(left);
        Ok(())
    }

    /// Whether there was a size to promise.
    pub(crate) fn is_made(&self) -> bool {
        self.promised.lock().size > 0
    }

    /// So many bytes are written.
    pub(crate) fn keep(&self, written: u64) {
        let mut promised = self.promised.lock();
        let left = promised.size.saturating_sub(written);
        self.shrink(&mut promised, left);
    }

    /// Takes it back.
    pub(crate) fn break_off(&self) {
        self.shrink(&mut self.promised.lock(), 0);
    }

    fn shrink(&self, promised: &mut Promised, to: u64) {
        let kept = promised.left.saturating_sub(to);
        promised.left -= kept;
        *self.core.promised.lock() -= kept;
    }
}

fn take(core: &Core, bytes: u64) -> Result<(), StorageError> {
    let mut promised = core.promised.lock();
    if core.room_beside(*promised)? <= bytes {
        return Err(StorageError::Full);
    }
    *promised += bytes;
    Ok(())
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.break_off();
    }
}
