//! Why a write was refused, in the words of what was asked for. No status codes: the table is in `http::error`.

use cistern_oci::{Digest, Reference, UploadId};
use cistern_storage::{CommitError, StorageError};

use crate::metrics::WriteOutcome;

/// Why something could not be written or removed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PushError {
    /// No such push is under way in this repository: it ended, was given up or left alone for too long.
    #[error("no push {0} is under way in this repository")]
    UploadUnknown(UploadId),
    /// Another request has had the turn on this push for longer than is worth waiting for.
    #[error("another request is sending bytes of this push")]
    UploadTaken,
    /// The bytes sent do not follow those that are here.
    #[error("the bytes do not follow the {received} that are here")]
    OutOfOrder {
        /// How many bytes of the push are here.
        received: u64,
    },
    /// The bytes are others than their digest says; nothing of them is kept.
    #[error("the content has the digest {actual}, not {expected}; nothing of it was kept")]
    WrongDigest {
        /// What was announced. Boxed, as two digests make a large error.
        expected: Box<Digest>,
        /// What came, by the same algorithm.
        actual: Box<Digest>,
    },
    /// More or fewer bytes came than the caller announced for them.
    #[error("{announced} bytes were announced, but {came} came")]
    WrongLength {
        /// How many were announced.
        announced: u64,
        /// How many came, or how many had come when it was clear that they were too many.
        came: u64,
    },
    /// The body broke off, or nothing came for minutes. What had come of a blob stays for the push to go on behind it.
    #[error("the body did not come to its end: {0}")]
    BodyBroke(String),
    /// The bytes are no manifest, or contradict what was said about them.
    #[error("{0}")]
    ManifestInvalid(String),
    /// The manifest has more bytes than any manifest may have.
    #[error("a manifest may have {limit} bytes at most")]
    ManifestTooLarge {
        /// The most bytes there may be.
        limit: u64,
    },
    /// The manifest names blobs that this repository does not hold.
    #[error("this repository does not hold {} of the blobs that the manifest names", .0.len())]
    BlobsMissing(Vec<Digest>),
    /// There is no such manifest to be removed.
    #[error("manifest {0} is not in this repository")]
    ManifestUnknown(Reference),
    /// There is no such blob to be removed.
    #[error("blob {0} is not in this repository")]
    BlobUnknown(Digest),
    /// Nothing may be removed here (`storage.delete.enabled`).
    #[error("nothing is deleted here: storage.delete.enabled is not set")]
    NoDeletes,
    /// The disk is full, or below its reserve.
    #[error("the disk of this registry is full or below its reserve (storage.cache.reserve)")]
    Full,
    /// The store is read-only.
    #[error("the store of this registry is read-only")]
    ReadOnly,
    /// The store failed.
    #[error(transparent)]
    Storage(StorageError),
}

impl PushError {
    /// What it counts as.
    pub(super) fn outcome(&self) -> WriteOutcome {
        match self {
            Self::BodyBroke(_) => WriteOutcome::Broken,
            Self::Full | Self::ReadOnly | Self::Storage(_) => WriteOutcome::Storage,
            Self::UploadUnknown(_)
            | Self::UploadTaken
            | Self::OutOfOrder { .. }
            | Self::WrongDigest { .. }
            | Self::WrongLength { .. }
            | Self::ManifestInvalid(_)
            | Self::ManifestTooLarge { .. }
            | Self::BlobsMissing(_)
            | Self::ManifestUnknown(_)
            | Self::BlobUnknown(_)
            | Self::NoDeletes => WriteOutcome::Refused,
        }
    }
}

impl From<StorageError> for PushError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full => Self::Full,
            StorageError::ReadOnly => Self::ReadOnly,
            other => Self::Storage(other),
        }
    }
}

impl From<CommitError> for PushError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::WrongDigest { expected, actual } => Self::WrongDigest { expected, actual },
            CommitError::WrongSize { expected, actual } => Self::WrongLength {
                announced: expected,
                came: actual,
            },
            CommitError::Storage(error) => error.into(),
        }
    }
}
