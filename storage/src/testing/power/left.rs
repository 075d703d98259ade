//! What a crash leaves of a disk whose changes are known.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    path::{Path, PathBuf},
    vec,
};

use bytes::{Bytes, BytesMut};

use super::{Change, Crash};

/// What a crash leaves, by path below the root; a directory has no content.
pub(crate) type Left = BTreeMap<PathBuf, Option<Bytes>>;

/// The disk after one change and the next.
pub(crate) struct History {
    state: State,
    changes: vec::IntoIter<Change>,
}

impl History {
    pub(super) fn of(changes: Vec<Change>) -> Self {
        Self {
            state: State::default(),
            changes: changes.into_iter(),
        }
    }

    /// Makes the next change; `false` when there is none.
    pub(crate) fn go_on(&mut self) -> bool {
        let change = self.changes.next();
        change.map(|change| self.state.apply(&change)).is_some()
    }

    /// What a crash now would leave below `root`.
    pub(crate) fn left(&self, root: &Path, crash: Crash) -> Left {
        let mut dice = match crash {
            Crash::Some(seed) => seed ^ (self.changes.len() as u64) << 20 | 1,
            _ => 1,
        };
        let mut left = Left::new();
        if let Some(root) = self.state.find(root) {
            self.state
                .look(root, crash, &mut dice, Path::new(""), &mut left);
        }
        left
    }
}

/// Writes what a crash left to a directory.
#[expect(clippy::disallowed_methods, reason = "tests make files themselves")]
pub(crate) fn write(left: &Left, to: &Path) {
    for (path, content) in left {
        match content {
            Some(content) => std::fs::write(to.join(path), content).unwrap(),
            None => std::fs::create_dir_all(to.join(path)).unwrap(),
        }
    }
}

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
    files: Vec<Both<Bytes>>,
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
                let offset = usize::try_from(*offset).unwrap();
                let end = offset + bytes.len();
                self.change_content(*inode, |content| {
                    content.resize(content.len().max(end), 0);
                    content[offset..end].copy_from_slice(bytes);
                });
            }
            Change::SetLength(inode, length) => {
                let length = usize::try_from(*length).unwrap();
                self.change_content(*inode, |content| content.resize(length, 0));
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

    fn change_content(&mut self, inode: u64, change: impl FnOnce(&mut BytesMut)) {
        let file = &mut self.files[self.by_inode[&inode]];
        let mut content = BytesMut::from(&file.now[..]);
        change(&mut content);
        file.now = content.freeze();
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
            if let Some(Node::Directory(next)) = self.directories[at].now.get(name) {
                at = *next;
                continue;
            }
            self.directories.push(Both::default());
            let new = self.directories.len() - 1;
            let names = &mut self.directories[at].now;
            names.insert(name.to_owned(), Node::Directory(new));
            at = new;
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

    /// Gathers what is left in a directory.
    fn look(&self, directory: usize, crash: Crash, dice: &mut u64, path: &Path, left: &mut Left) {
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
            let path = path.join(name);
            match node {
                Some(Node::Directory(inner)) => {
                    left.insert(path.clone(), None);
                    self.look(*inner, crash, dice, &path, left);
                }
                Some(Node::File(file)) => {
                    let file = &self.files[*file];
                    let content = if sees_new_content(crash, dice) {
                        &file.now
                    } else {
                        &file.synced
                    };
                    left.insert(path, Some(content.clone()));
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
