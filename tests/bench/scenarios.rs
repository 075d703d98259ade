//! What is measured, one file each.

mod blobs;
mod herd;
mod manifests;
mod memory;
mod offline;
mod ready;
mod stream;
mod thin;
mod uplink;
mod uploads;
mod warm;

use crate::figures::Figure;
use crate::options::Options;

/// Something that can be measured by itself.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Whether it is about a bad link: a table of its own, without nginx.
    pub(crate) of_the_link: bool,
    pub(crate) run: fn(&Options) -> Vec<Figure>,
}

/// All of them, in the order in which they are run.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        name: "manifests",
        what: "manifests by digest and by fresh tag, requests per second",
        of_the_link: false,
        run: manifests::run,
    },
    Scenario {
        name: "blobs",
        what: "1 MiB blobs over 16 connections",
        of_the_link: false,
        run: blobs::run,
    },
    Scenario {
        name: "stream",
        what: "one 200 MiB blob to one reader",
        of_the_link: false,
        run: stream::run,
    },
    Scenario {
        name: "herd",
        what: "50 callers of one cold 50 MiB blob",
        of_the_link: false,
        run: herd::run,
    },
    Scenario {
        name: "thin",
        what: "the same behind an uplink of 20 MB/s",
        of_the_link: false,
        run: thin::run,
    },
    Scenario {
        name: "memory",
        what: "memory when idle and under 200 readers of one cold blob",
        of_the_link: false,
        run: memory::run,
    },
    Scenario {
        name: "uploads",
        what: "memory under 200 uploads of 8 MiB at once",
        of_the_link: false,
        run: uploads::run,
    },
    Scenario {
        name: "ready",
        what: "from start to the first answer, with 20,000 cached blobs",
        of_the_link: false,
        run: ready::run,
    },
    Scenario {
        name: "uplink",
        what: "bytes over the link and seconds of a pull: one child, twenty, a cut, a kill, a black hole",
        of_the_link: true,
        run: uplink::run,
    },
    Scenario {
        name: "offline",
        what: "cached tags while the upstream swallows everything, percentiles",
        of_the_link: true,
        run: offline::run,
    },
];
