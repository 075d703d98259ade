//! Opening a store: the lock, the index, what Distribution and earlier runs left. Never walks the blobs.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    io,
    panic::catch_unwind,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use tokio_util::task::TaskTracker;

use crate::{
    Disk, DiskFile, Leases, OpenError, Options,
    buffers::Buffers,
    core::{Core, is_absent},
    disk::{SharedDisk, read_whole},
    held::Held,
    index::{Derived, FORMAT, Index, MemoryIndex, SledIndex},
    layout::Layout,
    memory::Memory,
    partial::claims::Claims,
    pins::Pinned,
    uses::Uses,
    verify::Verifying,
};

/// What `cistern/format` says.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Format {
    index: u32,
}

/// The longest lock or format file that is read.
const LONGEST: u64 = 4096;

/// Opens the inside of a store. May wait for the disk.
pub(crate) fn open(options: Options) -> Result<Core, OpenError> {
    let Options {
        root,
        read_only,
        reserve,
        index_cache_bytes,
        clock,
        disk,
    } = options;
    let layout = Layout::new(&root);
    let (held, was_interrupted) = if read_only {
        (None, false)
    } else {
        let (lock, was_interrupted) = lock(&layout, &*disk)?;
        let own = layout.own();
        let device = disk.facts(own).map_err(failed("look at", own))?.device;
        (Some(Held { lock, device }), was_interrupted)
    };
    let index: Arc<dyn Index> = if read_only {
        Arc::new(MemoryIndex::default())
    } else {
        let was_moved = move_scheduler_state_aside(&layout, &*disk)?;
        let is_empty = disk
            .facts(&layout.blobs())
            .is_err_and(|error| is_absent(&error));
        let index = open_index(&layout, &disk, index_cache_bytes);
        if was_moved || was_interrupted || is_empty {
            // Distribution was at work, or a run was cut off: there may be what the index does not know, and links that a
            // power cut emptied. In a store without blobs there is nothing like that.
            let _ = index.set_complete(is_empty);
        }
        index
    };
    Ok(Core {
        boot: disk.boot(),
        claims: Claims::default(),
        layout,
        disk,
        clock,
        read_only,
        reserve,
        index: Derived::new(index),
        memory: Memory::new(),
        leases: Leases::default(),
        pinned: Pinned::default(),
        uses: Uses::default(),
        buffers: Arc::new(Buffers::default()),
        verifying: Verifying::default(),
        tasks: TaskTracker::new(),
        pumps: TaskTracker::new(),
        linking: RwLock::new(()),
        promised: Mutex::new(0),
        unlinked: Mutex::new(HashSet::new()),
        run: format!("{:x}-{:x}", process::id(), RandomState::new().hash_one(0)),
        next_file: AtomicU64::new(0),
        unsettled: AtomicBool::new(false),
        held: Mutex::new(held),
    })
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { what, path, source }
}

/// Becomes the one writer. The lock file says who it is; also tells whether the run before was cut off.
pub(crate) fn lock(layout: &Layout, disk: &dyn Disk) -> Result<(DiskFile, bool), OpenError> {
    disk.create_directories(layout.own())
        .map_err(failed("create", layout.own()))?;
    let path = layout.lock();
    let file = disk.open_or_create(&path).map_err(failed("open", &path))?;
    match disk.lock(&file) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let said = read_whole(disk, &path, LONGEST).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let holder = if said.trim().is_empty() {
                "its lock file names none"
            } else {
                said.trim()
            };
            return Err(OpenError::InUse {
                path: layout.root().to_owned(),
                holder: holder.to_owned(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            tracing::warn!(path = %path.display(), "the file system has no locks: nothing keeps a second process off the store");
        }
        Err(error) => return Err(failed("lock", &path)(error)),
    }
    let was_interrupted = disk.facts_of(&file).is_ok_and(|facts| facts.size > 0);
    let text = format!("process {}\n", process::id());
    // Only words for the next one; a full disk must not keep the store from being served.
    let _ = disk
        .set_length(&file, 0)
        .and_then(|()| disk.write_at(&file, text.as_bytes(), 0));
    Ok((file, was_interrupted))
}

/// Distribution, started on this store again, would delete whatever its plan says has expired meanwhile.
fn move_scheduler_state_aside(layout: &Layout, disk: &dyn Disk) -> Result<bool, OpenError> {
    let path = layout.scheduler_state();
    match disk.rename(&path, &layout.scheduler_state_aside()) {
        Ok(()) => {
            tracing::info!(
                from = %path.display(),
                to = %layout.scheduler_state_aside().display(),
                "Distribution's list of what expires was moved aside: by it, Distribution would delete after the way back"
            );
            Ok(true)
        }
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(failed("move aside", &path)(error)),
    }
}

/// Opens the index; one that cannot be used is moved aside, and where nothing helps the facts are kept in memory.
fn open_index(layout: &Layout, disk: &SharedDisk, cache_bytes: u64) -> Arc<dyn Index> {
    let path = layout.index();
    if !has_known_format(layout, &**disk) || has_strangers(&path, &**disk) {
        move_index_aside(layout, &**disk);
    }
    for attempt in 0..2 {
        match catch_unwind(|| SledIndex::open(&path, cache_bytes)) {
            Ok(Ok(index)) => {
                write_format(layout, &**disk);
                return Arc::new(index);
            }
            Ok(Err(error)) => tracing::warn!(%error, "cannot open the index"),
            Err(_) => tracing::warn!("cannot open the index: it is damaged"),
        }
        if attempt == 0 {
            move_index_aside(layout, &**disk);
        }
    }
    tracing::warn!(
        "the index is kept in memory: when tags were checked and blobs used is forgotten at the end"
    );
    Arc::new(MemoryIndex::default())
}

fn has_known_format(layout: &Layout, disk: &dyn Disk) -> bool {
    read_whole(disk, &layout.format(), LONGEST)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .is_some_and(|format: Format| format.index == FORMAT)
}

/// Whether something lies in the index that its library would wait for without end: a pipe, a device.
fn has_strangers(index: &Path, disk: &dyn Disk) -> bool {
    let is_stranger = |name| {
        let facts = disk.facts(&index.join(name));
        facts.is_ok_and(|facts| !facts.is_regular && !facts.is_directory)
    };
    let names = disk.list(index).unwrap_or_default();
    names.into_iter().any(is_stranger)
}

fn write_format(layout: &Layout, disk: &dyn Disk) {
    if has_known_format(layout, disk) {
        return;
    }
    let text = serde_json::to_vec(&Format { index: FORMAT }).unwrap_or_default();
    let path = layout.format();
    // What is there is of no use, and may be no file at all.
    let _ = disk.remove(&path);
    let written = disk.open_or_create(&path).and_then(|file| {
        disk.set_length(&file, 0)?;
        disk.write_at(&file, &text, 0)
    });
    if let Err(error) = written {
        tracing::warn!(path = %path.display(), %error, "cannot write the format: the next start makes a new index");
    }
}

/// Moves the index aside, in the place of one that was moved there before.
fn move_index_aside(layout: &Layout, disk: &dyn Disk) {
    let (path, aside) = (layout.index(), layout.index_aside());
    if disk.facts(&path).is_err_and(|error| is_absent(&error)) {
        return;
    }
    remove_tree(disk, &aside, 3);
    match disk.rename(&path, &aside) {
        Ok(()) => {
            tracing::warn!(to = %aside.display(), "the index cannot be used and was moved aside; a new one is made");
        }
        Err(error) => tracing::warn!(path = %path.display(), %error, "cannot move the index aside"),
    }
}

/// Removes a directory with what is in it, down to a depth.
fn remove_tree(disk: &dyn Disk, path: &Path, depth: usize) {
    for name in disk.list(path).unwrap_or_default() {
        let inner = path.join(name);
        if disk.remove(&inner).is_err() && depth > 0 {
            remove_tree(disk, &inner, depth - 1);
        }
    }
    let _ = disk.remove_directory(path);
}

#[cfg(test)]
mod tests;
