//! Whether stored bytes are what their name says. A file that still looks as it did when its bytes were verified (size, time of
//! change, inode) is trusted; any other is hashed once. What proves wrong is moved aside.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use cistern_oci::{Digest, Hasher};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::{
    DiskFile, StorageError,
    buffers::LARGE,
    core::{Core, if_there},
    index::{BlobRecord, Stamp},
    layout::flat,
    memory::{Known, Trust},
};

/// Blobs up to this size are verified when they are opened.
const AT_ONCE: u64 = 1024 * 1024;

/// What the quarantine may hold.
const QUARANTINED_FILES: usize = 16;
const QUARANTINED_BYTES: u64 = 256 * 1024 * 1024;

type Verdict = Arc<OnceCell<Result<bool, StorageError>>>;

/// Verifications that are running: one for each file, however many wait for it.
#[derive(Default)]
pub(crate) struct Verifying {
    running: Mutex<HashMap<(Digest, Stamp), Verdict>>,
}

impl Core {
    /// Opens a blob's file and tells how far its bytes can be trusted. `None`: there is none, or it proved damaged.
    pub(crate) fn examine(
        &self,
        digest: &Digest,
    ) -> Result<Option<(DiskFile, Known)>, StorageError> {
        let path = self.layout.blob(digest);
        let Some(file) = if_there("open", &path, self.disk.open(&path))? else {
            return Ok(None);
        };
        let Some(stamp) = self.stamp(&file)? else {
            return Ok(None);
        };
        let known = match self
            .memory
            .known
            .get(digest)
            .filter(|known| known.stamp == stamp)
        {
            Some(known) => known,
            None => Known {
                stamp,
                trust: self.trust(digest, &file, stamp)?,
            },
        };
        self.memory.known.insert(*digest, known);
        Ok((known.trust != Trust::Damaged).then_some((file, known)))
    }

    /// What an open file looks like now; `None` for a directory.
    pub(crate) fn stamp(&self, file: &DiskFile) -> Result<Option<Stamp>, StorageError> {
        let facts = self
            .disk
            .facts_of(file)
            .map_err(|error| StorageError::io("look at", file.path(), error))?;
        Ok((!facts.is_directory).then(|| Stamp::of(&facts)))
    }

    fn trust(&self, digest: &Digest, file: &DiskFile, stamp: Stamp) -> Result<Trust, StorageError> {
        if let Some(record) = self.index.blob(digest)
            && record.stamp.is_some()
        {
            if record.stamp == Some(stamp) {
                return Ok(Trust::Verified);
            }
            if record.size != stamp.size {
                // Its bytes were right at another length, so they cannot be now. Nobody need read them to know.
                tracing::warn!(%digest, size = stamp.size, was = record.size, "a stored blob is damaged; it is moved aside");
                self.condemn(digest, stamp);
                return Ok(Trust::Damaged);
            }
        }
        if stamp.size > AT_ONCE {
            return Ok(Trust::Unverified);
        }
        Ok(if self.verify_now(digest, file, stamp)? {
            Trust::Verified
        } else {
            Trust::Damaged
        })
    }

    /// Whether a file's bytes are right, found out by reading them once for all who ask.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        digest: &Digest,
        file: &Arc<DiskFile>,
        stamp: Stamp,
    ) -> Result<bool, StorageError> {
        let key = (*digest, stamp);
        let verdict = Arc::clone(self.verifying.running.lock().entry(key).or_default());
        let (file, digest) = (Arc::clone(file), *digest);
        let found = verdict
            .get_or_init(|| self.off(move |core| core.verify_now(&digest, &file, stamp)))
            .await
            .clone();
        let mut running = self.verifying.running.lock();
        if running
            .get(&key)
            .is_some_and(|other| Arc::ptr_eq(other, &verdict))
        {
            running.remove(&key);
        }
        found
    }

    fn verify_now(
        &self,
        digest: &Digest,
        file: &DiskFile,
        stamp: Stamp,
    ) -> Result<bool, StorageError> {
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; LARGE.min(usize::try_from(stamp.size).unwrap_or(LARGE).max(1))];
        let mut offset = 0;
        loop {
            let count = self
                .disk
                .read_at(file, &mut buffer, offset)
                .map_err(|error| StorageError::io("read", file.path(), error))?;
            if count == 0 {
                break;
            }
            hasher.update(buffer.get(..count).unwrap_or_default());
            offset += count as u64;
        }
        Ok(self.judge(digest, stamp, hasher.finish()))
    }

    /// Draws the consequence of having hashed a file: true and trusted from now on, or moved aside.
    pub(crate) fn judge(&self, digest: &Digest, stamp: Stamp, actual: Digest) -> bool {
        if actual == *digest {
            self.trust_from_now_on(digest, stamp);
            return true;
        }
        tracing::warn!(%digest, %actual, size = stamp.size, "a stored blob is damaged; it is moved aside");
        self.condemn(digest, stamp);
        false
    }

    /// Records that a file of this look has the right bytes.
    pub(crate) fn trust_from_now_on(&self, digest: &Digest, stamp: Stamp) {
        self.memory.known.insert(
            *digest,
            Known {
                stamp,
                trust: Trust::Verified,
            },
        );
        self.index.set_blob(
            digest,
            &BlobRecord {
                size: stamp.size,
                stamp: Some(stamp),
            },
        );
    }

    /// Moves a damaged file aside; where that is not possible, remembers not to serve it.
    fn condemn(&self, digest: &Digest, stamp: Stamp) {
        let _removing = self.linking.write();
        let path = self.layout.blob(digest);
        let is_still_it = self
            .disk
            .facts(&path)
            .is_ok_and(|facts| Stamp::of(&facts) == stamp);
        if !is_still_it {
            return;
        }
        if !self.read_only && self.move_aside(digest, stamp, &path) {
            self.memory.forget_blob(digest);
            self.index.forget_blob(digest);
            let _ = self
                .disk
                .remove_directory(&self.layout.blob_directory(digest));
        } else {
            self.memory.bytes.invalidate(digest);
            self.memory.known.insert(
                *digest,
                Known {
                    stamp,
                    trust: Trust::Damaged,
                },
            );
        }
    }

    fn move_aside(&self, digest: &Digest, stamp: Stamp, path: &std::path::Path) -> bool {
        let quarantine = self.layout.quarantine();
        if stamp.size <= QUARANTINED_BYTES && self.disk.create_directories(&quarantine).is_ok() {
            self.make_room_in_quarantine(stamp.size);
            let to = quarantine.join(format!("{}.{}", flat(digest), stamp.modified));
            if self.disk.rename(path, &to).is_ok() {
                return true;
            }
        }
        self.disk.remove(path).is_ok()
    }

    /// Removes the oldest files of the quarantine until one more of `size` bytes fits.
    fn make_room_in_quarantine(&self, size: u64) {
        let directory = self.layout.quarantine();
        let mut files: Vec<(std::time::SystemTime, u64, PathBuf)> = self
            .disk
            .list(&directory)
            .unwrap_or_default()
            .into_iter()
            .map(|name| directory.join(name))
            .filter_map(|path| {
                let facts = self.disk.facts(&path).ok()?;
                Some((facts.modified, facts.size, path))
            })
            .collect();
        files.sort();
        let mut count = files.len();
        let mut bytes = files
            .iter()
            .map(|(_, size, _)| size)
            .sum::<u64>()
            .saturating_add(size);
        for (_, size, path) in files {
            if count < QUARANTINED_FILES && bytes <= QUARANTINED_BYTES {
                break;
            }
            let _ = self.disk.remove(&path);
            count -= 1;
            bytes -= size;
        }
    }
}
