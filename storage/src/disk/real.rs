//! The real file system. The only file of the store that calls it.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions, TryLockError},
    io::{self, IoSlice, IoSliceMut},
    os::{
        fd::BorrowedFd,
        unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

use bytes::Bytes;
use rustix::{
    fs::OFlags,
    io::{Errno, ReadWriteFlags},
};

use super::{Disk, DiskFile, FileFacts, Space};

/// Bytes this far apart tell of those between them: files come into memory by reading ahead and leave it in the order in which they
/// were used, in runs. A hole that is missed costs a wait for the device; looking closer costs every body that has none.
const LOOK_EVERY: usize = 512 * 1024;

/// Linux takes no more pieces at once than this.
const MOST_PIECES: usize = 1024;

/// Where Linux tells one start of the machine from another, and how long that may be.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
const LONGEST_BOOT: usize = 64;

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<DiskFile> {
        match open_regular(OpenOptions::new().read(true), path, OFlags::empty()) {
            Err(error) if is_not_regular(&error) => {
                tracing::warn!(path = %path.display(), %error, "what lies here counts as missing");
                Err(io::Error::new(io::ErrorKind::NotFound, error))
            }
            other => other,
        }
    }

    fn open_or_create(&self, path: &Path) -> io::Result<DiskFile> {
        let mut how = OpenOptions::new();
        how.read(true).write(true).create(true).truncate(false);
        // What is written to is a file of ours, never one elsewhere that a link leads to.
        open_regular(&mut how, path, OFlags::NOFOLLOW)
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

    fn write_pieces_at(&self, file: &DiskFile, pieces: &[Bytes], offset: u64) -> io::Result<()> {
        let mut offset = offset;
        for pieces in pieces.chunks(MOST_PIECES) {
            let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
            // What it does not take at once is written piece by piece.
            let mut written = rustix::io::pwritev(file.file(), &slices, offset)?;
            for piece in pieces {
                let rest = piece.get(written..).unwrap_or_default();
                written = written.saturating_sub(piece.len());
                offset += piece.len() as u64;
                if !rest.is_empty() {
                    self.write_at(file, rest, offset - rest.len() as u64)?;
                }
            }
        }
        Ok(())
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

    #[cfg(target_os = "linux")]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Disk that everybody else has to use"
    )]
    fn sync_everything(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(path)?)?)
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

    fn boot(&self) -> Option<String> {
        let file = self.open(Path::new(BOOT)).ok()?;
        let mut name = [0; LONGEST_BOOT];
        let length = self.read_at(&file, &mut name, 0).ok()?;
        let name = str::from_utf8(name.get(..length)?).ok()?.trim();
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn lock(&self, file: &DiskFile) -> io::Result<()> {
        match file.file().try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Opens a file, but never waits for whoever would write into a pipe.
fn open_regular(how: &mut OpenOptions, path: &Path, flags: OFlags) -> io::Result<DiskFile> {
    // Of a regular file the flag changes nothing.
    let file = how
        .custom_flags((OFlags::NONBLOCK | flags).bits().cast_signed())
        .open(path)?;
    if file.metadata()?.is_file() {
        return Ok(DiskFile::new(file, path.to_owned()));
    }
    let why = "it is not a regular file";
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Whether something is there that cannot be a file of the store; a socket cannot even be opened.
fn is_not_regular(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
        || error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
}

fn facts(metadata: &Metadata) -> io::Result<FileFacts> {
    Ok(FileFacts {
        size: metadata.len(),
        modified: metadata.modified()?,
        inode: metadata.ino(),
        device: metadata.dev(),
        links: metadata.nlink(),
        is_directory: metadata.is_dir(),
        is_regular: metadata.is_file(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn what_a_link_leads_to_is_not_written_to() {
        let place = tempfile::tempdir().unwrap();
        let (elsewhere, link) = (place.path().join("elsewhere"), place.path().join("link"));
        let kept = RealDisk.create_new(&elsewhere).unwrap();
        RealDisk.write_at(&kept, b"kept", 0).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        assert!(RealDisk.open_or_create(&link).is_err());
        assert_eq!(RealDisk.facts(&elsewhere).unwrap().size, 4);
    }

    #[test]
    fn pieces_are_written_one_behind_the_other_however_many() {
        let place = tempfile::tempdir().unwrap();
        let file = RealDisk.create_new(&place.path().join("file")).unwrap();
        let pieces: Vec<Bytes> = (0..3000_usize)
            .map(|number| Bytes::from(vec![number.to_le_bytes()[0]; number % 7]))
            .collect();
        RealDisk.write_pieces_at(&file, &pieces, 5).unwrap();
        let expected: Vec<u8> = [vec![0; 5], pieces.concat()].concat();
        let mut written = vec![1; expected.len() + 1];
        let count = RealDisk.read_at(&file, &mut written, 0).unwrap();
        assert!(written[..count] == expected);
    }

    #[test]
    fn what_is_no_regular_file_is_missing_and_nobody_waits_for_it() {
        let place = tempfile::tempdir().unwrap();
        let (pipe, socket) = (place.path().join("pipe"), place.path().join("socket"));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _listening = UnixListener::bind(&socket).unwrap();
        for path in [&*pipe, &*socket, place.path()] {
            let error = RealDisk.open(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        }
        let error = RealDisk.open_or_create(&pipe).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}
