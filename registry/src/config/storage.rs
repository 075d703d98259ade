//! `storage`: where the bytes live and what is kept free beside them.

use std::path::PathBuf;

pub use cistern_storage::Reserve;

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
    /// `storage.cache.partials`: how much unfinished downloads may take on disk.
    pub partials: Reserve,
    /// `storage.delete.enabled`: tags, manifests and blobs of hosted repositories can be deleted.
    pub delete: bool,
}

/// `storage.filesystem.rootdirectory`.
pub(super) fn read_root_directory(reader: &mut Reader<'_>) -> Option<PathBuf> {
    reader.value("storage.filesystem.rootdirectory", |text| {
        Ok(PathBuf::from(text))
    })
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Storage> {
    let root_directory = read_root_directory(reader);
    let read_only = reader.value("storage.maintenance.readonly.enabled", flag);
    let reserve = reader
        .value("storage.cache.reserve", size::reserve)
        .unwrap_or(Reserve::Default);
    let partials = reader.value("storage.cache.partials", size::reserve);
    let delete = reader.value("storage.delete.enabled", flag);
    Some(Storage {
        root_directory: root_directory?,
        read_only: read_only?,
        reserve,
        partials: partials?,
        delete: delete?,
    })
}
