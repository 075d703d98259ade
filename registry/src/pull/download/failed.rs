//! Why a download ended without a blob.

use std::fmt::Display;
use std::sync::Arc;

use cistern_oci::RepositoryName;
use cistern_storage::StorageError;

use crate::repositories::Mirror;
use crate::upstream::{Fault, UpstreamError};

/// What each source said that did not give the blob.
pub(in crate::pull) type Refusals = Vec<(RepositoryName, UpstreamError)>;

/// Why a download ended without a blob. Cloned to every waiter.
#[derive(Clone, Debug)]
pub(in crate::pull) enum DownloadFailed {
    /// Every source refused or failed; each waiter is told in the words of its own repository.
    Upstreams(Arc<[(RepositoryName, UpstreamError)]>),
    /// The store takes nothing new (no space above the reserve, or read-only): fetch it for yourself.
    NotKept,
    /// The store failed under it.
    Storage(StorageError),
    /// It ended without a word: a fault of ours, or the server stops.
    Interrupted,
}

impl DownloadFailed {
    /// The failure as the source of this repository had it, else as the last one had it.
    pub(in crate::pull) fn words_for(
        errors: &[(RepositoryName, UpstreamError)],
        repository: &RepositoryName,
    ) -> Option<UpstreamError> {
        let own = errors.iter().find(|(name, _)| name == repository);
        own.or(errors.last()).map(|(_, error)| error.clone())
    }

    /// What readers are told of bytes that were not the blob.
    pub(super) fn untrue(mirror: &Mirror, wrong: &dyn Display) -> Self {
        let error = UpstreamError {
            host: mirror.upstream.host().into(),
            fault: Fault::Invalid(wrong.to_string()),
        };
        Self::Upstreams([(mirror.name.clone(), error)].into())
    }
}
