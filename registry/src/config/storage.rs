//! `storage`: where the bytes live and what is kept free beside them.

use std::path::PathBuf;

use super::reader::{Reader, flag};
use super::size;

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

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Storage> {
    let root_directory = reader.value("storage.filesystem.rootdirectory", |text| {
        Ok(PathBuf::from(text))
    });
    let read_only = reader.value("storage.maintenance.readonly.enabled", flag);
    let reserve = reader
        .value("storage.cache.reserve", size::reserve)
        .unwrap_or(Reserve::Default);
    Some(Storage {
        root_directory: root_directory?,
        read_only: read_only?,
        reserve,
    })
}
