//! On which cores a server and its reader run. Left alone, the kernel puts them on one core or on two as it likes, and that decides
//! what a byte costs more than any program does: on two cores they copy at the same time and get into each other's way.

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use crate::machine::family;

/// Who runs where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Both wherever the kernel puts them.
    Free,
    /// Both on the first core.
    OneCore,
    /// The server on the first core, the reader on the second.
    TwoCores,
}

impl Placement {
    /// Puts the server in its place, and does `read` in the reader's.
    pub(crate) fn run<T: Send>(self, server: u32, read: impl FnOnce() -> T + Send) -> T {
        let any = sched_getaffinity(None).unwrap();
        let (server_on, reader_on) = match self {
            Self::Free => (any, any),
            Self::OneCore => (only(0), only(0)),
            Self::TwoCores => (only(0), only(1)),
        };
        for thread in family(server).into_iter().flat_map(threads) {
            // A thread that has just ended needs no place.
            let _ = sched_setaffinity(Pid::from_raw(thread), &server_on);
        }
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                // Threads that this one starts are where it is.
                sched_setaffinity(None, &reader_on).unwrap();
                read()
            });
            reader.join().unwrap()
        })
    }
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}

fn threads(id: u32) -> Vec<i32> {
    let entries = std::fs::read_dir(format!("/proc/{id}/task"));
    let names = entries.into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
