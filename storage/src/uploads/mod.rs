//! Pushes of blobs that are under way. Each is a directory below `cistern/uploads`, so that it survives a restart: the bytes so
//! far, and a small file that says whose they are. Does not know who pushes or how.

mod upload;

use std::{sync::Arc, time::SystemTime};

use cistern_oci::{Algorithm, RepositoryName, UploadId};

pub use self::upload::Upload;
use crate::{StorageError, core::Core};

/// The pushes of blobs that are under way. They survive a restart.
pub struct Uploads {
    core: Arc<Core>,
}

/// The turn on one push: requests for it are served one after the other.
pub enum Turn {
    /// It is yours until the [`Upload`] is dropped.
    Yours(Upload),
    /// Another request has it just now.
    Taken,
    /// There is no such push in this repository.
    Unknown,
}

impl Uploads {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
        }
    }

    /// Begins a push to a repository. `algorithm` is the one its digest will probably be made with; another one costs reading the
    /// bytes again at the end. Refused below the reserve ([`StorageError::Full`]) and by a read-only store.
    pub async fn begin(
        &self,
        of: &RepositoryName,
        algorithm: Algorithm,
    ) -> Result<UploadId, StorageError> {
        let _ = (of, algorithm, &self.core);
        Err(StorageError::ReadOnly)
    }

    /// Takes the turn on a push.
    pub async fn open(&self, of: &RepositoryName, id: &UploadId) -> Result<Turn, StorageError> {
        let _ = (of, id);
        Ok(Turn::Unknown)
    }

    /// How many bytes of a push have come so far; needs no turn. `None`: there is no such push in this repository.
    pub async fn received(
        &self,
        of: &RepositoryName,
        id: &UploadId,
    ) -> Result<Option<u64>, StorageError> {
        let _ = (of, id);
        Ok(None)
    }

    /// Removes the pushes that were idle since before then; how many.
    pub async fn expire(&self, idle_since: SystemTime) -> Result<u64, StorageError> {
        let _ = idle_since;
        Ok(0)
    }
}
