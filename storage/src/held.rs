//! Being the one writer: by a lock file, of which it is seen when somebody takes it away with the whole store.
//!
//! A store that was removed and begun anew under a running process is taken again by whoever is first. Until then nothing is
//! written: two processes could both believe that it is theirs.

use std::{io, path::Path};

use crate::{DiskFile, OpenError, StorageError, core::Core, core::if_there, open};

/// The lock file and the file system it is on.
pub(crate) struct Held {
    pub(crate) lock: DiskFile,
    pub(crate) device: u64,
}

impl Core {
    /// Makes sure that this process is still the one writer. Of a store that is gone it becomes the writer again, unless
    /// another one was faster, or the file system is another: a volume that is not mounted is to be mounted, not replaced.
    pub(crate) fn still_held(&self) -> Result<(), StorageError> {
        let mut held = self.held.lock();
        let Some(before) = &mut *held else {
            return Ok(());
        };
        let (path, root) = (self.layout.lock(), self.layout.root());
        let ours = self.disk.facts_of(&before.lock);
        let ours = ours.map_err(|error| StorageError::io("look at", &path, error))?;
        let found = if_there("look at", &path, self.disk.facts(&path))?;
        if found.is_some_and(|found| found.inode == ours.inode) {
            return Ok(());
        }
        if self.device_of(root) != Some(before.device) {
            let why =
                "its file system is another one than at the start: mount that again, or restart";
            return Err(refused(root, why.to_owned()));
        }
        tracing::warn!(root = %root.display(), "the store was removed while it was in use; it is begun anew");
        // The old index first: it knows its files by their paths.
        self.index.give_up();
        self.memory.forget_all();
        let (lock, _) = open::lock(&self.layout, &*self.disk).map_err(|error| match error {
            OpenError::Io { what, path, source } => StorageError::io(what, &path, source),
            other => refused(root, format!("{other}; end one of them, and restart")),
        })?;
        before.lock = lock;
        Ok(())
    }

    /// The file system that a directory is on, or would be on.
    fn device_of(&self, path: &Path) -> Option<u64> {
        let mut above = path.ancestors();
        above.find_map(|path| Some(self.disk.facts(path).ok()?.device))
    }
}

fn refused(root: &Path, why: String) -> StorageError {
    StorageError::io("go on writing to", root, io::Error::other(why))
}
