//! One tag on disk: its link says what it points at, the index when that was last confirmed. Two writers take turns.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use cistern_oci::{Digest, RepositoryName, Tag};
use parking_lot::{Mutex, MutexGuard};

use super::{Checked, TagRecord};
use crate::{
    StorageError,
    core::Core,
    durable::{ABOVE_TAG, ABOVE_TAG_INDEX},
    index::{StoredTag, nanoseconds, time},
};

/// Locks for tags. One is held, off the reactor, while a tag is read from or written to disk.
pub(crate) struct TagLocks {
    first: Mutex<()>,
    more: Vec<Mutex<()>>,
}

impl TagLocks {
    pub(crate) fn new() -> Self {
        Self {
            first: Mutex::new(()),
            more: (0..63).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Waits for the turn on a tag.
    pub(crate) fn on<'lock>(
        &'lock self,
        core: &'lock Arc<Core>,
        key: (RepositoryName, Tag),
    ) -> OneTag<'lock> {
        // The same tag has to find the same lock, so nothing random.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&key);
        let place = usize::try_from(hash % 64).unwrap_or(0);
        let lock = self.more.get(place).unwrap_or(&self.first);
        OneTag {
            core,
            key,
            _turn: lock.lock(),
        }
    }
}

/// A tag that nobody else reads from or writes to disk meanwhile.
pub(crate) struct OneTag<'lock> {
    core: &'lock Arc<Core>,
    key: (RepositoryName, Tag),
    _turn: MutexGuard<'lock, ()>,
}

impl OneTag<'_> {
    fn link(&self) -> PathBuf {
        self.core.layout.tag_link(&self.key.0, &self.key.1)
    }

    /// What is known about it. Its file is looked at once in each run: Distribution may have run in between.
    pub(crate) fn load(&self) -> Result<Option<TagRecord>, StorageError> {
        if let Some(record) = self.core.memory.tags.get(&self.key) {
            return Ok(Some(record));
        }
        let Some(digest) = self.core.read_link(&self.link())? else {
            return Ok(None);
        };
        let stored = self.core.index.tag(&self.key.0, &self.key.1);
        let record = match stored.filter(|stored| stored.digest == digest) {
            Some(stored) => TagRecord {
                digest,
                checked_at: Some(time(stored.checked_at)),
                source: Some(stored.source.into()),
            },
            None => TagRecord {
                digest,
                checked_at: None,
                source: None,
            },
        };
        self.core
            .memory
            .tags
            .insert(self.key.clone(), record.clone());
        Ok(Some(record))
    }

    /// Points it at a digest, unless a newer answer is known. The time of an answer that is still to come is not believed.
    pub(crate) fn set(&self, to: &Digest, checked: Checked) -> Result<(), StorageError> {
        self.core.writable()?;
        let before = self.load()?;
        let is_older = |at: SystemTime| at > checked.at && at <= self.core.now();
        if before
            .as_ref()
            .and_then(|before| before.checked_at)
            .is_some_and(is_older)
        {
            return Ok(());
        }
        if before.is_none_or(|before| before.digest != *to) {
            let (of, tag) = &self.key;
            let _adding = self.core.linking.read();
            self.core
                .write_link(&self.core.layout.tag_index_link(of, tag, to), to)?;
            self.core.memory.tags.invalidate(&self.key);
            self.core.write_link(&self.link(), to)?;
        }
        let stored = StoredTag {
            digest: *to,
            checked_at: nanoseconds(checked.at),
            source: checked.source.as_ref().to_owned(),
        };
        self.core.index.set_tag(&self.key.0, &self.key.1, &stored);
        let record = TagRecord {
            digest: *to,
            checked_at: Some(checked.at),
            source: Some(checked.source),
        };
        self.core.memory.tags.insert(self.key.clone(), record);
        Ok(())
    }

    /// Removes it; whether there was one.
    pub(crate) fn remove(&self) -> Result<bool, StorageError> {
        self.core.writable()?;
        let was_there = self.core.remove_with_directories(&self.link(), 1)?;
        self.core.memory.tags.invalidate(&self.key);
        self.core.index.forget_tag(&self.key.0, &self.key.1);
        let directory = self.core.layout.tag(&self.key.0, &self.key.1);
        self.remove_index_links(&directory.join("index"))?;
        let _ = self.core.disk.remove_directory(&directory);
        Ok(was_there)
    }

    /// Points it at a manifest that the repository holds, durably. Nothing happens when it does not hold it: then it was removed
    /// after it was put, and its tags went with it.
    pub(crate) fn keep(&self, to: &Digest) -> Result<(), StorageError> {
        self.core.writable()?;
        let (of, tag) = &self.key;
        let (link, history) = (self.link(), self.core.layout.tag_index_link(of, tag, to));
        let prepared = (
            self.core.prepare_link(&history, to)?,
            self.core.prepare_link(&link, to)?,
        );
        {
            let _adding = self.core.linking.read();
            if !self.core.has_revision(of, to)? {
                return Ok(());
            }
            prepared.0.rename(&history)?;
            self.core.memory.tags.invalidate(&self.key);
            prepared.1.rename(&link)?;
        }
        self.core.settle(&history, ABOVE_TAG_INDEX)?;
        self.core.settle(&link, ABOVE_TAG)?;
        self.core.index.forget_tag(of, tag);
        let record = TagRecord {
            digest: *to,
            checked_at: None,
            source: None,
        };
        self.core.memory.tags.insert(self.key.clone(), record);
        Ok(())
    }

    /// As [`OneTag::remove`], durably.
    pub(crate) fn remove_durably(&self) -> Result<bool, StorageError> {
        let was_there = self.remove()?;
        self.core.settle(&self.link(), ABOVE_TAG)?;
        Ok(was_there)
    }

    fn remove_index_links(&self, directory: &Path) -> Result<(), StorageError> {
        for digest in self.core.digests_in(directory)? {
            let link = self
                .core
                .layout
                .tag_index_link(&self.key.0, &self.key.1, &digest);
            self.core.remove_with_directories(&link, 3)?;
        }
        Ok(())
    }
}

impl Core {
    /// The tags of a repository, sorted by bytes.
    pub(crate) fn tags_of(&self, of: &RepositoryName) -> Result<Vec<Tag>, StorageError> {
        let mut tags: Vec<Tag> = self.names_in(&self.layout.tags(of))?;
        // A directory without a link is what an interrupted change left.
        tags.retain(|tag| {
            let link = self.layout.tag_link(of, tag);
            self.disk.facts(&link).is_ok_and(|facts| facts.size > 0)
        });
        tags.sort();
        Ok(tags)
    }
}

#[cfg(test)]
mod tests;
