//! How much room the store has. Facts for who looks after the machine; must not decide anything.

use std::sync::Arc;

use crate::core::Core;
use crate::error::StorageError;

/// The room on the store's file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What the file system holds in all.
    pub total: u64,
    /// What is free on it.
    pub free: u64,
    /// What stays free: below it no new blob is kept (`storage.cache.reserve`).
    pub reserve: u64,
}

impl Core {
    /// The room as the file system tells it just now.
    pub(crate) fn whole_room(self: &Arc<Self>) -> Result<Room, StorageError> {
        let path = self.layout.own();
        let space = self
            .disk
            .space(path)
            .map_err(|error| StorageError::io("ask for the free space of", path, error))?;
        Ok(Room {
            total: space.total,
            free: space.free,
            reserve: self.reserve.bytes_of(space.total),
        })
    }
}
