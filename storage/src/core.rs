//! What all parts of the store share: paths, disk, clock, index, memory. Decides nothing.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

use cistern_oci::Digest;
use parking_lot::{Mutex, RwLock};
use tokio_util::task::TaskTracker;

use crate::{
    Clock, Leases, Reserve, StorageError,
    buffers::Buffers,
    disk::SharedDisk,
    held::Held,
    index::Derived,
    layout::{Layout, flat},
    memory::Memory,
    partial::claims::Claims,
    pins::Pinned,
    uses::Uses,
    verify::Verifying,
};

/// The inside of a store.
pub(crate) struct Core {
    pub(crate) layout: Layout,
    pub(crate) disk: SharedDisk,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) read_only: bool,
    pub(crate) reserve: Reserve,
    pub(crate) index: Derived,
    pub(crate) memory: Memory,
    pub(crate) leases: Leases,
    /// What must stay.
    pub(crate) pinned: Pinned,
    pub(crate) uses: Uses,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) verifying: Verifying,
    /// Background work; it holds no promise to anybody and may be cut off.
    pub(crate) tasks: TaskTracker,
    /// What writes the blobs that are growing. Each ends with its writer.
    pub(crate) pumps: TaskTracker,
    /// Read by whoever adds a link or publishes a blob, written by whoever removes some: what was found missing or unused
    /// under it stays so. Only ever held off the reactor.
    pub(crate) linking: RwLock<()>,
    /// The partials that are somebody's just now.
    pub(crate) claims: Claims,
    /// This start of the machine, where the system names it.
    pub(crate) boot: Option<String>,
    /// Bytes that running downloads may still write.
    pub(crate) promised: Mutex<u64>,
    /// Blobs that nobody links any more, but somebody held on to when their last link went.
    pub(crate) unlinked: Mutex<HashSet<Digest>>,
    /// Tells this run's temporary files from those that another one left behind.
    pub(crate) run: String,
    pub(crate) next_file: AtomicU64,
    /// Whether something was given its name since everything was last made durable.
    pub(crate) unsettled: AtomicBool,
    /// Held for as long as the store is open; `None` for a read-only one.
    pub(crate) held: Mutex<Option<Held>>,
}

impl Core {
    /// Does work that may wait for the disk, off the reactor.
    pub(crate) async fn off<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let core = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&core)).await {
            Ok(result) => result,
            Err(error) => Err(StorageError::Interrupted(error.to_string())),
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Refuses to go on when the store must not be written to.
    pub(crate) fn writable(&self) -> Result<(), StorageError> {
        if self.read_only {
            Err(StorageError::ReadOnly)
        } else {
            Ok(())
        }
    }

    /// The name of a new temporary file for a digest.
    pub(crate) fn new_file(&self, digest: &Digest) -> PathBuf {
        let number = self.next_file.fetch_add(1, Ordering::Relaxed);
        self.layout.new_file(&flat(digest), &self.run, number)
    }

    /// Room that may still be filled before the reserve begins, promised bytes taken off.
    pub(crate) fn room(&self) -> Result<u64, StorageError> {
        self.room_beside(*self.promised.lock())
    }

    /// Room that may still be filled before the reserve begins, beside so many bytes.
    pub(crate) fn room_beside(&self, promised: u64) -> Result<u64, StorageError> {
        let path = self.layout.own();
        let space = self
            .disk
            .space(path)
            .map_err(|error| StorageError::io("ask for the free space of", path, error))?;
        let kept = self.reserve.bytes_of(space.total).saturating_add(promised);
        Ok(space.free.saturating_sub(kept))
    }
}

impl Core {
    /// Tells the next start how this run ended: an empty lock file says in order, so nothing has to be looked for.
    pub(crate) fn end_in_order(&self) {
        let held = self.held.lock();
        let Some(Held { lock, .. }) = &*held else {
            return;
        };
        if self.index.is_damaged() {
            // Without a format the next start moves the index aside and makes a new one.
            let _ = self.disk.remove(&self.layout.format());
        } else if !self.index.has_failed() {
            let _ = self.disk.set_length(lock, 0);
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.end_in_order();
    }
}

/// What is not there, as `None`.
pub(crate) fn if_there<T>(
    what: &'static str,
    path: &Path,
    result: io::Result<T>,
) -> Result<Option<T>, StorageError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(StorageError::io(what, path, error)),
    }
}

/// Whether the error says that there is no such file.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
