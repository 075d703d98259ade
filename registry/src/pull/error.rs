//! Why a read could not be answered, in the words of what was asked for. No status codes: the table is in `http::error`.

use std::time::Duration;

use cistern_oci::{Digest, Reference, Tag};
use cistern_storage::StorageError;

use crate::upstream::UpstreamError;

/// What an upstream answered, and how long ago: a remembered answer is told as what it is.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The upstream's answer, or the link's fault.
    pub error: UpstreamError,
    /// Zero for an answer that was fetched for this caller.
    pub ago: Duration,
}

impl Asked {
    /// An answer of this moment.
    pub fn now(error: UpstreamError) -> Self {
        Self {
            error,
            ago: Duration::ZERO,
        }
    }
}

/// Why a read could not be answered.
#[derive(Clone, Debug)]
pub enum PullError {
    /// Nobody has this blob: it is not here and, for a mirror, the upstream said so.
    BlobUnknown(Digest, Option<Asked>),
    /// Nobody has this manifest: it is not here and, for a mirror, the upstream said so.
    ManifestUnknown(Reference, Option<Asked>),
    /// There is no repository of this name here, or the upstream knows none.
    NameUnknown(String, Option<Asked>),
    /// The range begins beyond the end of the blob.
    RangeNotSatisfiable {
        /// The blob's size in bytes.
        size: u64,
    },
    /// Nothing cached, and the upstream did not answer as it should: credentials, limits, 5xx, the link.
    Upstream(Asked),
    /// The download runs, but its size is not known yet and headers cannot wait longer.
    StillFetching,
    /// The link is down, and as many callers wait for it as may (`proxy.holdlimit`).
    NotHeld(UpstreamError),
    /// The tag is here and could not be confirmed, for this reason, and `proxy.strict` forbids to serve it so.
    Strict(Tag, Box<PullError>),
    /// The store failed.
    Storage(StorageError),
    /// Work for this request ended without an answer (a fault of ours, or shutting down).
    Interrupted,
}

impl From<StorageError> for PullError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}
