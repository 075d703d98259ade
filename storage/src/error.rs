//! Facts about the disk and the index that went wrong, as values that can be told to many callers. Status codes and words
//! for callers are not decided here.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use cistern_oci::Digest;

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused a file operation.
    #[error("cannot {what} {path}: {source}", path = .path.display())]
    Io {
        /// What was attempted, as a verb: "write", "rename".
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The file system is full, or is below the space that the operator keeps in reserve.
    #[error("the file system of the store is full or below its reserve")]
    Full,
    /// The store was opened read-only.
    #[error("the store is read-only")]
    ReadOnly,
    /// The stored bytes do not hash to their name. They have been moved aside.
    #[error("the stored bytes of {0} were damaged and have been moved aside")]
    Damaged(Digest),
    /// The bytes are more than was announced or allowed.
    #[error("more bytes than the {limit} that were announced or allowed")]
    TooLong {
        /// The most bytes there may be.
        limit: u64,
    },
    /// Two who should know name different sizes of one blob.
    #[error("{told} bytes were announced, but {known} were announced before")]
    OtherSize {
        /// What was announced first.
        known: u64,
        /// What was announced now.
        told: u64,
    },
    /// The index could not be read or written. Never fatal for a read: files are the truth.
    #[error("index: {0}")]
    Index(String),
    /// The task that did the work ended without an answer: the process is shutting down, or it panicked.
    #[error("the work was interrupted: {0}")]
    Interrupted(String),
}

impl StorageError {
    /// Wraps what the operating system said; a full disk and a read-only file system get their own variants.
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            _ => Self::Io {
                what,
                path: path.to_owned(),
                source: Arc::new(source),
            },
        }
    }
}

/// Why a store could not be opened. Start-up only.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process is the one writer of this store.
    #[error("the store at {path} is in use by another process ({holder}); only one may write to it", path = .path.display())]
    InUse {
        /// The root of the store.
        path: PathBuf,
        /// What the lock file says about its holder.
        holder: String,
    },
    /// The operating system refused a file operation.
    #[error("cannot {what} {path}: {source}", path = .path.display())]
    Io {
        /// What was attempted, as a verb.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The opening task ended without an answer.
    #[error("opening the store was interrupted: {0}")]
    Interrupted(String),
}
