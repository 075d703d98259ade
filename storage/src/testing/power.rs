//! A disk that remembers every change, and can say what a crash after any of them would leave: what a kill leaves, and what a
//! power cut may leave of changes that were not synced.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use crate::{Disk, DiskFile, FileFacts, RealDisk, Space};

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

    /// Writes what is left of `from` after so many changes and a crash to an empty directory.
    pub(crate) fn leave(&self, changes: usize, crash: Crash, from: &Path, to: &Path) {
        let mut state = State::default();
        for change in self.changes.lock().iter().take(changes) {
            state.apply(change);
        }
        let mut dice = match crash {
            Crash::Some(seed) => seed ^ (changes as u64) << 20 | 1,
            _ => 1,
        };
        if let Some(root) = state.find(from) {
            state.write(root, crash, &mut dice, to);
        }
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

    fn lock(&self, file: &DiskFile) -> io::Result<()> {
        self.real.lock(file)
    }
}

// === what a crash leaves ===

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    File(usize),
    Directory(usize),
}

type Names = BTreeMap<OsString, Node>;

/// Something as it is now, and as it was when it was last synced.
#[derive(Default)]
struct Both<T> {
    now: T,
    synced: T,
}

struct State {
    files: Vec<Both<Vec<u8>>>,
    by_inode: HashMap<u64, usize>,
    /// The first is `/`.
    directories: Vec<Both<Names>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            by_inode: HashMap::new(),
            directories: vec![Both::default()],
        }
    }
}

impl State {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(path, inode) => {
                self.files.push(Both::default());
                self.by_inode.insert(*inode, self.files.len() - 1);
                self.put(path, Node::File(self.files.len() - 1));
            }
            Change::Write(inode, offset, bytes) => {
                let content = &mut self.files[self.by_inode[inode]].now;
                let offset = usize::try_from(*offset).unwrap();
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[offset..end].copy_from_slice(bytes);
            }
            Change::SetLength(inode, length) => {
                let length = usize::try_from(*length).unwrap();
                self.files[self.by_inode[inode]].now.resize(length, 0);
            }
            Change::Sync(inode) => {
                let file = &mut self.files[self.by_inode[inode]];
                file.synced = file.now.clone();
            }
            Change::CreateDirectories(path) => {
                self.directory(path);
            }
            Change::SyncDirectory(path) => {
                let number = self.directory(path);
                let names = &mut self.directories[number];
                names.synced = names.now.clone();
            }
            Change::Rename(from, to) => {
                let node = self.take(from).unwrap();
                self.put(to, node);
            }
            Change::Remove(path) => {
                self.take(path).unwrap();
            }
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let mut at = 0;
        for name in path.iter().skip(1) {
            match self.directories[at].now.get(name)? {
                Node::Directory(next) => at = *next,
                Node::File(_) => return None,
            }
        }
        Some(at)
    }

    /// A directory, made with those above it when it is not there.
    fn directory(&mut self, path: &Path) -> usize {
        let mut at = 0;
        for name in path.iter().skip(1) {
            at = match self.directories[at].now.get(name) {
                Some(Node::Directory(next)) => *next,
                _ => {
                    self.directories.push(Both::default());
                    let new = self.directories.len() - 1;
                    let names = &mut self.directories[at].now;
                    names.insert(name.to_owned(), Node::Directory(new));
                    new
                }
            };
        }
        at
    }

    fn put(&mut self, path: &Path, node: Node) {
        let above = self.directory(path.parent().unwrap());
        let name = path.file_name().unwrap().to_owned();
        self.directories[above].now.insert(name, node);
    }

    fn take(&mut self, path: &Path) -> Option<Node> {
        let above = self.directory(path.parent().unwrap());
        let names = &mut self.directories[above].now;
        names.remove(path.file_name().unwrap())
    }

    /// Writes what is left of a directory.
    #[expect(clippy::disallowed_methods, reason = "tests make files themselves")]
    fn write(&self, directory: usize, crash: Crash, dice: &mut u64, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        let names = &self.directories[directory];
        let mut all: Vec<&OsString> = names.now.keys().chain(names.synced.keys()).collect();
        all.sort();
        all.dedup();
        for name in all {
            let node = if sees_new_names(crash, dice) {
                names.now.get(name)
            } else {
                names.synced.get(name)
            };
            match node {
                Some(Node::Directory(inner)) => self.write(*inner, crash, dice, &to.join(name)),
                Some(Node::File(file)) => {
                    let file = &self.files[*file];
                    let content = if sees_new_content(crash, dice) {
                        &file.now
                    } else {
                        &file.synced
                    };
                    std::fs::write(to.join(name), content).unwrap();
                }
                None => {}
            }
        }
    }
}

fn sees_new_names(crash: Crash, dice: &mut u64) -> bool {
    match crash {
        Crash::Killed | Crash::NamesWithoutContent => true,
        Crash::NothingUnsynced | Crash::ContentWithoutNames => false,
        Crash::Some(_) => throw(dice),
    }
}

fn sees_new_content(crash: Crash, dice: &mut u64) -> bool {
    match crash {
        Crash::Killed | Crash::ContentWithoutNames => true,
        Crash::NothingUnsynced | Crash::NamesWithoutContent => false,
        Crash::Some(_) => throw(dice),
    }
}

fn throw(dice: &mut u64) -> bool {
    *dice ^= *dice << 13;
    *dice ^= *dice >> 7;
    *dice ^= *dice << 17;
    (*dice >> 11).is_multiple_of(2)
}
