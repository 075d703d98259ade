//! A disk for tests: the real one, which remembers what it was asked and fails on command.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::Mutex;

use super::{Disk, DiskFile, FileFacts, RealDisk, Space};

/// One kind of file operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named as the operation of `Disk`")]
pub enum Operation {
    Open,
    Create,
    Write,
    Read,
    Sync,
    Rename,
    SyncDirectory,
    SyncEverything,
    Remove,
    CreateDirectories,
    List,
    Lock,
}

/// What was asked of the disk, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The kind of operation.
    pub operation: Operation,
    /// On which path; of a rename, the new one.
    pub path: PathBuf,
}

struct Fault {
    operation: Operation,
    path_has: String,
    passes: u64,
    error: i32,
}

/// The real disk, recording and failing on command.
#[derive(Default)]
pub struct FaultyDisk {
    real: RealDisk,
    asked: Mutex<Vec<Asked>>,
    faults: Mutex<Vec<Fault>>,
    dead: AtomicBool,
    cold: AtomicBool,
    free: AtomicU64,
    elsewhere: AtomicBool,
    restarts: AtomicU64,
}

impl FaultyDisk {
    /// Lets an operation on paths that contain a text fail with an error number of the operating system, after it has passed
    /// so many times; from then on always.
    pub fn fail(&self, operation: Operation, path_has: &str, passes: u64, error: i32) {
        let path_has = path_has.to_owned();
        self.faults.lock().push(Fault {
            operation,
            path_has,
            passes,
            error,
        });
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.faults.lock().clear();
        self.dead.store(false, Ordering::Release);
    }

    /// From now on nothing works any more, as after a crash.
    pub fn die(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Whether nothing is in memory, so that every read has to wait for the device.
    pub fn set_cold(&self, cold: bool) {
        self.cold.store(cold, Ordering::Release);
    }

    /// Whether every path leads to another file system than it does.
    pub fn set_elsewhere(&self, elsewhere: bool) {
        self.elsewhere.store(elsewhere, Ordering::Release);
    }

    /// Claims that so many bytes are free of ten times as many; 0 asks the real disk again.
    pub fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::Release);
    }

    /// From now on the machine has started anew: what the device lacks would be lost.
    pub fn restart_machine(&self) {
        self.restarts.fetch_add(1, Ordering::AcqRel);
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    fn ask(&self, operation: Operation, path: &Path) -> io::Result<()> {
        if self.dead.load(Ordering::Acquire) {
            return Err(io::Error::other("the disk is dead"));
        }
        self.asked.lock().push(Asked {
            operation,
            path: path.to_owned(),
        });
        for fault in &mut *self.faults.lock() {
            if fault.operation == operation && path.to_string_lossy().contains(&fault.path_has) {
                if fault.passes == 0 {
                    return Err(io::Error::from_raw_os_error(fault.error));
                }
                fault.passes -= 1;
            }
        }
        Ok(())
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> io::Result<DiskFile> {
        self.ask(Operation::Open, path)?;
        self.real.open(path)
    }

    fn open_or_create(&self, path: &Path) -> io::Result<DiskFile> {
        self.ask(Operation::Create, path)?;
        self.real.open_or_create(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<DiskFile> {
        self.ask(Operation::Create, path)?;
        self.real.create_new(path)
    }

    fn write_at(&self, file: &DiskFile, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.ask(Operation::Write, file.path())?;
        self.real.write_at(file, bytes, offset)
    }

    fn set_length(&self, file: &DiskFile, length: u64) -> io::Result<()> {
        self.ask(Operation::Write, file.path())?;
        self.real.set_length(file, length)
    }

    fn read_at(&self, file: &DiskFile, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.ask(Operation::Read, file.path())?;
        self.real.read_at(file, into, offset)
    }

    fn read_at_once(&self, file: &DiskFile, into: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.cold.load(Ordering::Acquire) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.ask(Operation::Read, file.path())?;
        self.real.read_at_once(file, into, offset)
    }

    fn sync(&self, file: &DiskFile) -> io::Result<()> {
        self.ask(Operation::Sync, file.path())?;
        self.real.sync(file)
    }

    fn facts_of(&self, file: &DiskFile) -> io::Result<FileFacts> {
        self.real.facts_of(file)
    }

    fn facts(&self, path: &Path) -> io::Result<FileFacts> {
        let mut facts = self.real.facts(path)?;
        if self.elsewhere.load(Ordering::Acquire) {
            facts.device = facts.device.wrapping_add(1);
        }
        Ok(facts)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.ask(Operation::Rename, to)?;
        self.real.rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.ask(Operation::SyncDirectory, path)?;
        self.real.sync_directory(path)
    }

    fn sync_everything(&self, path: &Path) -> io::Result<()> {
        self.ask(Operation::SyncEverything, path)?;
        self.real.sync_everything(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.ask(Operation::Remove, path)?;
        self.real.remove(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.ask(Operation::Remove, path)?;
        self.real.remove_directory(path)
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        self.ask(Operation::CreateDirectories, path)?;
        self.real.create_directories(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.ask(Operation::List, path)?;
        self.real.list(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        match self.free.load(Ordering::Acquire) {
            0 => self.real.space(path),
            free => Ok(Space {
                total: free.saturating_mul(10),
                free,
            }),
        }
    }

    fn boot(&self) -> Option<String> {
        let restarts = self.restarts.load(Ordering::Acquire);
        Some(format!("start {restarts} of the machine"))
    }

    fn lock(&self, file: &DiskFile) -> io::Result<()> {
        self.ask(Operation::Lock, file.path())?;
        self.real.lock(file)
    }
}
