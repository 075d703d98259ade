//! `storage`: where the bytes live and what is kept free beside them.

use std::path::PathBuf;

/// The section `storage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// `storage.filesystem.rootdirectory`.
    pub root_directory: PathBuf,
    /// `storage.maintenance.readonly.enabled`: nothing is written, the index is kept in memory.
    pub read_only: bool,
    /// `storage.cache.reserve`: below this much free space a new blob is passed through and not kept.
    pub reserve: Reserve,
}

/// Free space that is not filled.
// SEAM: the same as `cistern_storage::Reserve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// 5 % of the file system, at least 256 MiB.
    Default,
    /// A share of the file system, 0 to 100.
    Percent(u8),
    /// That many bytes.
    Bytes(u64),
}
