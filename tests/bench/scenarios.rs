//! What is measured, one file each.

mod blobs;
mod herd;
mod manifests;
mod memory;
mod ready;
mod stream;
mod thin;
mod uploads;
mod warm;

use crate::figures::Figure;
use crate::options::Options;

/// Something that can be measured by itself.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn(&Options) -> Vec<Figure>,
}

/// All of them, in the order in which they are run.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "manifests",
        what: "manifests by digest and by fresh tag, requests per second",
        run: manifests::run,
    },
    Scenario {
        name: "blobs",
        what: "1 MiB blobs over 16 connections",
        run: blobs::run,
    },
    Scenario {
        name: "stream",
        what: "one 200 MiB blob to one reader",
        run: stream::run,
    },
    Scenario {
        name: "herd",
        what: "50 callers of one cold 50 MiB blob",
        run: herd::run,
    },
    Scenario {
        name: "thin",
        what: "the same behind an uplink of 20 MB/s",
        run: thin::run,
    },
    Scenario {
        name: "memory",
        what: "memory when idle and under 200 readers of one cold blob",
        run: memory::run,
    },
    Scenario {
        name: "uploads",
        what: "memory under 200 uploads of 8 MiB at once",
        run: uploads::run,
    },
    Scenario {
        name: "ready",
        what: "from start to the first answer, with 20,000 cached blobs",
        run: ready::run,
    },
];
