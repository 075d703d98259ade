//! Dropping partials: what is of no use, what was not gone on with for too long, and the oldest when they are too many.

use std::{collections::HashSet, time::SystemTime};

use cistern_oci::Digest;

use super::{Dropped, PartialBounds};
use crate::{
    StorageError,
    core::{Core, if_there},
    layout::Layout,
};

/// The most names that are looked at in one round.
const MOST: usize = 20_000;

/// One partial that could go.
struct Old {
    /// `None`: never.
    used: Option<SystemTime>,
    bytes: u64,
    digest: Digest,
}

impl Core {
    /// Removes what is left of partials that nobody can go on with.
    pub(crate) fn drop_useless_partials(&self) -> Result<Dropped, StorageError> {
        let mut dropped = Dropped::default();
        self.partials_of_use(&mut dropped)?;
        Ok(dropped)
    }

    /// Removes partials until the bounds hold.
    pub(crate) fn expire_partials(&self, bounds: &PartialBounds) -> Result<Dropped, StorageError> {
        self.writable()?;
        let mut dropped = Dropped::default();
        let mut found = self.partials_of_use(&mut dropped)?;
        found.sort_unstable_by_key(|old| old.used);
        let space = self.disk.space(self.layout.own());
        let space = space.map_err(|error| StorageError::io("look at", self.layout.own(), error))?;
        let most_bytes = bounds.bytes.bytes_of(space.total);
        let (mut count, mut bytes) = (found.len(), found.iter().map(|old| old.bytes).sum::<u64>());
        for old in found {
            let is_old = bounds
                .unused_since
                .is_some_and(|since| old.used < Some(since));
            if !is_old && count <= bounds.most && bytes <= most_bytes {
                break;
            }
            if self.drop_partial(&old.digest, &mut dropped)? {
                count -= 1;
                bytes -= old.bytes;
            }
        }
        dropped.left = count as u64;
        Ok(dropped)
    }

    /// The partials that could be gone on with; the others are removed.
    fn partials_of_use(&self, dropped: &mut Dropped) -> Result<Vec<Old>, StorageError> {
        let directory = self.layout.partials();
        let names = if_there("list", &directory, self.disk.list(&directory))?;
        let names = names.unwrap_or_default().into_iter().take(MOST);
        let digests: HashSet<Digest> = names
            .filter_map(|name| Layout::partial_of(name.to_str()?))
            .collect();
        let now = self.now();
        let mut found = Vec::new();
        for digest in digests {
            let Some(_claim) = self.claims.take_shortly(&digest) else {
                continue;
            };
            let is_whole = self.disk.facts(&self.layout.blob(&digest)).is_ok();
            match self.find_partial(&digest)? {
                Some(partial) if !is_whole => found.push(Old {
                    used: partial.used(now),
                    bytes: partial.on_disk,
                    digest,
                }),
                _ => dropped.count(self.remove_partial(&digest)?),
            }
        }
        Ok(found)
    }

    /// Whether it was removed; one that is being written is not.
    fn drop_partial(&self, digest: &Digest, dropped: &mut Dropped) -> Result<bool, StorageError> {
        let Some(_claim) = self.claims.take_shortly(digest) else {
            return Ok(false);
        };
        dropped.count(self.remove_partial(digest)?);
        Ok(true)
    }
}

impl Dropped {
    fn count(&mut self, bytes: Option<u64>) {
        self.partials += u64::from(bytes.is_some());
        self.bytes += bytes.unwrap_or(0);
    }
}
