//! A disk that remembers every change, and can say what a crash after any of them would leave: what a kill leaves, and what a
//! power cut may leave of changes that were not synced.

mod left;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

pub(crate) use self::left::{History, write};
use crate::{Disk, DiskFile, FileFacts, RealDisk, Space, faults::FaultyDisk};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process was killed: all changes are there.
    Killed,
    /// Of content and names only what was synced is there.
    NothingUnsynced,
    /// All names are there, of the content only what was synced.
    NamesWithoutContent,
    /// All content is there, of the names only what was synced.
    ContentWithoutNames,
    /// Of what was not synced some is there, as a number decides.
    Some(u64),
}

/// Every way in which it may have ended, and three of the many last ones.
pub(crate) const CRASHES: [Crash; 7] = [
    Crash::Killed,
    Crash::NothingUnsynced,
    Crash::NamesWithoutContent,
    Crash::ContentWithoutNames,
    Crash::Some(5),
    Crash::Some(6),
    Crash::Some(7),
];

/// One change.
enum Change {
    Create(PathBuf, u64),
    Write(u64, u64, Vec<u8>),
    SetLength(u64, u64),
    Sync(u64),
    CreateDirectories(PathBuf),
    SyncDirectory(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// The real disk, remembering.
#[derive(Default)]
pub(crate) struct RememberingDisk {
    real: RealDisk,
    changes: Mutex<Vec<Change>>,
}

impl RememberingDisk {
    /// How many changes there were.
    pub(crate) fn count(&self) -> usize {
        self.changes.lock().len()
    }

    /// Goes through all changes from the beginning.
    pub(crate) fn history(&self) -> History {
        History::of(std::mem::take(&mut *self.changes.lock()))
    }

    fn note(&self, work: impl FnOnce() -> io::Result<Option<Change>>) -> io::Result<()> {
        let mut changes = self.changes.lock();
        changes.extend(work()?);
        Ok(())
    }

    fn inode(&self, file: &DiskFile) -> io::Result<u64> {
        Ok(self.real.facts_of(file)?.inode)
    }

    fn create(
        &self,
        path: &Path,
        work: impl FnOnce() -> io::Result<DiskFile>,
    ) -> io::Result<DiskFile> {
        let mut changes = self.changes.lock();
        let was_there = self.real.facts(path).is_ok();
        let file = work()?;
        if !was_there {
            changes.push(Change::Create(path.to_owned(), self.inode(&file)?));
        }
        Ok(file)
    }
}

impl Disk for RememberingDisk {
    fn open(&self, path: &Path) -> io::Result<DiskFile> {
        self.real.open(path)
    }

    fn open_or_create(&self, path: &Path) -> io::Result<DiskFile> {
        self.create(path, || self.real.open_or_create(path))
    }

    fn create_new(&self, path: &Path) -> io::Result<DiskFile> {
        self.create(path, || self.real.create_new(path))
    }

    fn write_at(&self, file: &DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.note(|| {
            self.real.write_at(file, bytes, offset)?;
            let inode = self.inode(file)?;
            Ok(Some(Change::Write(inode, offset, bytes.to_vec())))
        })
    }

    fn set_length(&self, file: &DiskFile, length: u64) -> io::Result<()> {
        self.note(|| {
            self.real.set_length(file, length)?;
            Ok(Some(Change::SetLength(self.inode(file)?, length)))
        })
    }

    fn read_at(&self, file: &DiskFile, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.real.read_at(file, into, offset)
    }

    fn read_at_once(&self, file: &DiskFile, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.real.read_at_once(file, into, offset)
    }

    fn sync(&self, file: &DiskFile) -> io::Result<()> {
        self.note(|| Ok(Some(Change::Sync(self.inode(file)?))))
    }

    fn facts_of(&self, file: &DiskFile) -> io::Result<FileFacts> {
        self.real.facts_of(file)
    }

    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        self.real.facts(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(|| {
            self.real.rename(from, to)?;
            Ok(Some(Change::Rename(from.to_owned(), to.to_owned())))
        })
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.note(|| {
            self.real.facts(path)?;
            Ok(Some(Change::SyncDirectory(path.to_owned())))
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.note(|| {
            self.real.remove(path)?;
            Ok(Some(Change::Remove(path.to_owned())))
        })
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.note(|| {
            self.real.remove_directory(path)?;
            Ok(Some(Change::Remove(path.to_owned())))
        })
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        self.note(|| {
            let was_there = self.real.facts(path).is_ok();
            self.real.create_directories(path)?;
            Ok((!was_there).then(|| Change::CreateDirectories(path.to_owned())))
        })
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.real.list(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.real.space(path)
    }

    fn boot(&self) -> Option<String> {
        FaultyDisk::default().boot()
    }

    fn lock(&self, file: &DiskFile) -> io::Result<()> {
        self.real.lock(file)
    }
}
