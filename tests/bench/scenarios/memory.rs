//! Memory: at rest, and while many read one cold blob at very different speeds.

use std::time::Duration;

use super::warm::figure;
use crate::figures::{Figure, Goal};
use crate::machine::{peak_resident, resident};
use crate::options::Options;
use crate::reader::Sending;
use crate::rounds::as_they_come;
use crate::servers::{Nginx, Server, cistern_of, distribution_of, runtime};
use crate::upstream::{Thing, Upstream};

const READERS: usize = 200;
const SIZE: usize = 64 * 1024 * 1024;
const LIMIT: Duration = Duration::from_mins(2);
/// After so long without a request a server is idle.
const IDLE_AFTER: Duration = Duration::from_secs(3);

/// Each server by itself, each round a new one: a peak is only ever reached once.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let blob = Thing::blob(SIZE, 5000);
    let count = if options.without_distribution { 2 } else { 3 };
    let rounds = as_they_come(options.rounds.min(2), |_| {
        (0..count).map(|which| measure(which, &blob)).collect()
    });
    vec![
        figure("memory when idle", "MiB", Goal::AtMost(20.0), &rounds, 0),
        figure(
            "peak memory, 200 readers of one cold 64 MiB blob",
            "MiB",
            Goal::AtMost(100.0),
            &rounds,
            1,
        ),
        figure(
            "memory three seconds after them",
            "MiB",
            Goal::None,
            &rounds,
            2,
        ),
    ]
}

fn measure(which: usize, blob: &Thing) -> [f64; 3] {
    let (runtime, upstream) = (runtime(), Upstream::start());
    let path = blob.blob_path();
    upstream.has(path.clone(), blob);
    let server = match which {
        0 => Server::start(&runtime, cistern_of(&upstream.url())),
        1 => Server::Nginx(Nginx::cache_of(upstream.address)),
        _ => Server::start(&runtime, distribution_of(&upstream.url())),
    };
    std::thread::sleep(IDLE_AFTER);
    let idle = resident(server.id());
    let herd = Sending {
        address: server.address(),
        path: &path,
        size: blob.size(),
        paces: (0..READERS).map(pace).collect(),
        limit: LIMIT,
    }
    .send();
    assert_eq!(
        herd.complete,
        READERS,
        "{}: not all had all",
        server.url(&path)
    );
    let peak = peak_resident(server.id());
    std::thread::sleep(IDLE_AFTER);
    [idle, peak, resident(server.id())]
}

/// A quarter as fast as they can, the others from 4 to 60 MB/s.
fn pace(reader: usize) -> Option<f64> {
    (!reader.is_multiple_of(4)).then(|| 4e6 + 56e6 * (reader % 29) as f64 / 28.0)
}
