//! The file system as the store uses it: a short list of synchronous operations, each of which a test can record or make
//! fail. Knows paths and bytes, not what they mean.

#[cfg(any(test, feature = "faults"))]
pub mod faults;
mod real;

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;

pub use self::real::RealDisk;

/// An open file and the path it was opened under (for messages; the file may have been renamed since).
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    path: PathBuf,
}

impl DiskFile {
    /// Joins an open file with the path it was opened under.
    pub fn new(file: File, path: PathBuf) -> Self {
        Self { file, path }
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path it was opened under.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What the file system says about a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Length in bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified: SystemTime,
    /// The number of the file on its file system.
    pub inode: u64,
    /// The number of its file system.
    pub device: u64,
    /// How many names the file has; 0 when it was removed while open.
    pub links: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Whether it is a file that holds bytes, and no pipe, socket or device.
    pub is_regular: bool,
}

/// How much room a file system has, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What an ordinary process may still write.
    pub free: u64,
}

/// The file operations of the store. Everything here may block: callers leave the reactor first, except for
/// [`Disk::read_at_once`], [`Disk::is_in_memory`] and [`Disk::send`].
pub trait Disk: Send + Sync + 'static {
    /// Opens an existing file for reading. What is no regular file is `NotFound`: nobody is to wait for the end of a pipe.
    fn open(&self, path: &Path) -> io::Result<DiskFile>;
    /// Opens an existing file, or creates it, for reading and writing. Never truncates. `InvalidInput` when
    /// something else than a regular file is there.
    fn open_or_create(&self, path: &Path) -> io::Result<DiskFile>;
    /// Creates a file for reading and writing; fails if the name exists.
    fn create_new(&self, path: &Path) -> io::Result<DiskFile>;
    /// Writes all of `bytes` at an offset.
    fn write_at(&self, file: &DiskFile, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Writes all of these pieces one behind the other. In one go, if the system can: what is written in large pieces lies in memory
    /// in large pieces, and is cheaper to send.
    fn write_pieces_at(&self, file: &DiskFile, pieces: &[Bytes], offset: u64) -> io::Result<()> {
        let mut offset = offset;
        for piece in pieces {
            self.write_at(file, piece, offset)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }
    /// Cuts or extends a file to a length.
    fn set_length(&self, file: &DiskFile, length: u64) -> io::Result<()>;
    /// Reads up to the length of `into`; 0 only at the end of the file. May wait for the device.
    fn read_at(&self, file: &DiskFile, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// As [`Disk::read_at`], but only what is in memory already: `WouldBlock` or `Unsupported` when that is nothing.
    fn read_at_once(&self, file: &DiskFile, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Whether these bytes lie in memory, as far as a quick look can tell, so that [`Disk::send`] will hardly wait for the
    /// device. `false` where the system cannot say, or cannot send.
    fn is_in_memory(&self, _file: &DiskFile, _offset: u64, _length: usize) -> bool {
        false
    }
    /// Hands at most `length` bytes to a socket without taking them through this process; 0 only at the end of the file,
    /// `WouldBlock` when the socket has no room.
    fn send(
        &self,
        _file: &DiskFile,
        _to: BorrowedFd<'_>,
        _offset: u64,
        _length: usize,
    ) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Makes the content durable.
    fn sync(&self, file: &DiskFile) -> io::Result<()>;
    /// Facts about an open file.
    fn facts_of(&self, file: &DiskFile) -> io::Result<FileFacts>;
    /// Facts about a path, symbolic links followed.
    fn facts(&self, path: &Path) -> io::Result<FileFacts>;
    /// Gives a file or directory another name, replacing a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes everything durable that the file system of `path` has not written yet.
    fn sync_everything(&self, _path: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents; an existing one is fine.
    fn create_directories(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;
    /// Room on the file system that holds `path`.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// The name of this start of the machine: what was written since then is in memory, even if the device lacks it. `None`: the
    /// system does not say.
    fn boot(&self) -> Option<String> {
        None
    }
    /// Takes the lock of an open file for as long as it stays open; `WouldBlock` when another holds it.
    fn lock(&self, file: &DiskFile) -> io::Result<()>;
}

/// Reads a whole file, at most `limit` bytes of it.
pub(crate) fn read_whole(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    read_open(disk, &file, limit)
}

/// Reads an open file from its start, at most `limit` bytes of it.
pub(crate) fn read_open(disk: &dyn Disk, file: &DiskFile, limit: u64) -> io::Result<Vec<u8>> {
    let size = disk.facts_of(file)?.size;
    if size > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{size} bytes are more than {limit}"),
        ));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match disk.read_at(file, rest, filled as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(bytes)
}

/// A disk shared by all parts of a store.
pub(crate) type SharedDisk = Arc<dyn Disk>;
