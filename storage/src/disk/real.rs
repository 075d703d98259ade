//! The real file system. The only file of the store that calls it.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, IoSliceMut},
    os::{
        fd::BorrowedFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::Path,
};

use rustix::io::ReadWriteFlags;

use super::{Disk, DiskFile, FileFacts, Space};

/// What is read ahead is at least this much, so that bytes this far apart tell of those between them.
const LOOK_EVERY: usize = 128 * 1024;

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Disk that everybody else has to use"
    )]
    fn open(&self, path: &Path) -> io::Result<DiskFile> {
        Ok(DiskFile::new(File::open(path)?, path.to_owned()))
    }

    fn open_or_create(&self, path: &Path) -> io::Result<DiskFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Ok(DiskFile::new(file, path.to_owned()))
    }

    fn create_new(&self, path: &Path) -> io::Result<DiskFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(DiskFile::new(file, path.to_owned()))
    }

    fn write_at(&self, file: &DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.file().write_all_at(bytes, offset)
    }

    fn set_length(&self, file: &DiskFile, length: u64) -> io::Result<()> {
        file.file().set_len(length)
    }

    fn read_at(&self, file: &DiskFile, into: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match file.file().read_at(into, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn read_at_once(&self, file: &DiskFile, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut slices = [IoSliceMut::new(into)];
        Ok(rustix::io::preadv2(
            file.file(),
            &mut slices,
            offset,
            ReadWriteFlags::NOWAIT,
        )?)
    }

    fn is_in_memory(&self, file: &DiskFile, offset: u64, length: usize) -> bool {
        let last = offset + (length as u64).saturating_sub(1);
        let is_there = |at: u64| {
            let mut byte = [0];
            matches!(self.read_at_once(file, &mut byte, at), Ok(1))
        };
        (offset..last).step_by(LOOK_EVERY).all(is_there) && is_there(last)
    }

    fn send(
        &self,
        file: &DiskFile,
        to: BorrowedFd<'_>,
        offset: u64,
        length: usize,
    ) -> io::Result<usize> {
        let mut offset = offset;
        let sent = rustix::fs::sendfile(to, file.file(), Some(&mut offset), length)?;
        Ok(sent)
    }

    fn sync(&self, file: &DiskFile) -> io::Result<()> {
        file.file().sync_data()
    }

    fn facts_of(&self, file: &DiskFile) -> io::Result<FileFacts> {
        facts(&file.file().metadata()?)
    }

    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        facts(&fs::metadata(path)?)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Disk that everybody else has to use"
    )]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Disk that everybody else has to use"
    )]
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Disk that everybody else has to use"
    )]
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Space {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    fn lock(&self, file: &DiskFile) -> io::Result<()> {
        match file.file().try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn facts(metadata: &Metadata) -> io::Result<FileFacts> {
    Ok(FileFacts {
        size: metadata.len(),
        modified: metadata.modified()?,
        inode: metadata.ino(),
        links: metadata.nlink(),
        is_directory: metadata.is_dir(),
    })
}
