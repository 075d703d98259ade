//! A file that only its writer knows of: given its name when it is whole, removed when it is not wanted.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use cistern_oci::Digest;

use crate::{DiskFile, StorageError, core::Core};

/// A file in the making. Dropped before it was published, it is removed.
pub(crate) struct NewFile {
    core: Arc<Core>,
    path: Option<PathBuf>,
}

impl NewFile {
    /// Creates an empty file for a digest.
    pub(crate) fn create(
        core: &Arc<Core>,
        digest: &Digest,
    ) -> Result<(Self, DiskFile), StorageError> {
        core.still_held()?;
        let path = core.new_file(digest);
        let open = core
            .in_new_directory(&path, || core.disk.create_new(&path))
            .map_err(|error| StorageError::io("create", &path, error))?;
        Ok((
            Self {
                core: Arc::clone(core),
                path: Some(path),
            },
            open,
        ))
    }

    /// Gives the file its name. From then on it is not removed any more.
    pub(crate) fn rename(mut self, to: &Path) -> Result<(), StorageError> {
        if let Some(path) = &self.path {
            self.core
                .in_new_directory(to, || self.core.disk.rename(path, to))
                .map_err(|error| StorageError::io("rename to", to, error))?;
            self.core.unsettled.store(true, Ordering::Release);
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let Some(path) = self.path.take() else {
            return;
        };
        let core = Arc::clone(&self.core);
        let remove = move || {
            if let Err(error) = core.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished file; the next start will");
            }
        };
        // Removing a large file takes a while; outside a runtime nobody is kept waiting.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}
