//! How a store is to be opened.

use std::{path::PathBuf, sync::Arc};

use crate::{Clock, Disk, RealDisk, SystemClock};

/// How a store is to be opened.
#[derive(Clone)]
pub struct Options {
    /// The directory that holds `docker/registry/v2` (Distribution's `rootdirectory`).
    pub root: PathBuf,
    /// Never write anything, not even a lock file.
    pub read_only: bool,
    /// Free space below which no new blob is begun.
    pub reserve: Reserve,
    /// Memory the index may use as its page cache, in bytes.
    pub index_cache_bytes: u64,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The file system.
    pub disk: Arc<dyn Disk>,
}

impl Options {
    /// The defaults for a store at `root`: writable, the default reserve, the machine's clock and disk.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            read_only: false,
            reserve: Reserve::Default,
            index_cache_bytes: 2 * 1024 * 1024,
            clock: Arc::new(SystemClock),
            disk: Arc::new(RealDisk),
        }
    }
}

/// Free space of the file system below which a new blob is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserve {
    /// Five per cent of the file system, at least 256 MiB.
    #[default]
    Default,
    /// So many hundredths of the file system.
    Percent(u8),
    /// So many bytes.
    Bytes(u64),
}

impl Reserve {
    const LEAST_BY_DEFAULT: u64 = 256 * 1024 * 1024;

    /// The reserve in bytes on a file system of `total` bytes.
    pub fn bytes_of(self, total: u64) -> u64 {
        match self {
            Self::Default => (total / 20).max(Self::LEAST_BY_DEFAULT),
            Self::Percent(percent) => total / 100 * u64::from(percent.min(100)),
            Self::Bytes(bytes) => bytes,
        }
    }
}
