//! How much room the store has. Facts for who looks after the machine; must not decide anything.

use std::{collections::HashSet, sync::Arc};

use cistern_oci::Digest;

use crate::{
    StorageError,
    core::{Core, if_there},
    layout::Layout,
};

/// The room on the store's file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What the file system holds in all.
    pub total: u64,
    /// What is free on it.
    pub free: u64,
    /// What stays free: below it no new blob is kept (`storage.cache.reserve`).
    pub reserve: u64,
    /// How many downloads that were cut off wait to be gone on with.
    pub partials: usize,
    /// What came of them.
    pub partial_bytes: u64,
}

impl Core {
    /// The room as the file system tells it just now.
    pub(crate) fn whole_room(self: &Arc<Self>) -> Result<Room, StorageError> {
        let path = self.layout.own();
        let space = self
            .disk
            .space(path)
            .map_err(|error| StorageError::io("ask for the free space of", path, error))?;
        let (partials, partial_bytes) = self.count_partials()?;
        Ok(Room {
            total: space.total,
            free: space.free,
            reserve: self.reserve.bytes_of(space.total),
            partials,
            partial_bytes,
        })
    }

    /// The files of partials, those that are being written included.
    fn count_partials(&self) -> Result<(usize, u64), StorageError> {
        let folder = self.layout.partials();
        let names = if_there("list", &folder, self.disk.list(&folder))?;
        let names = names.unwrap_or_default().into_iter();
        let digests: HashSet<Digest> = names
            .filter_map(|name| Layout::partial_of(name.to_str()?))
            .collect();
        let sizes = digests
            .iter()
            .filter_map(|digest| self.disk.facts(&self.layout.partial(digest)).ok());
        let sizes = sizes.map(|facts| facts.size);
        Ok(sizes.fold((0, 0_u64), |(count, bytes), size| {
            (count + 1, bytes.saturating_add(size))
        }))
    }
}
