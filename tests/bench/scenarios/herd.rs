//! A herd: many callers at once want a blob that no cache has yet.

use std::time::Duration;

use cistern_tests::images::sha256;

use super::warm::figure;
use crate::figures::{Figure, Goal, median};
use crate::machine::cpu_seconds;
use crate::options::Options;
use crate::reader::Sending;
use crate::rounds::{Rounds, rounds, turns};
use crate::servers::{Nginx, Server, cistern_of, distribution_of, runtime};
use crate::upstream::{Thing, Upstream};

/// How many callers.
pub(crate) const CALLERS: usize = 50;
/// How much each wants.
pub(crate) const SIZE: usize = 50 * 1024 * 1024;
/// After this a herd is given up.
const LIMIT: Duration = Duration::from_mins(1);

/// Fifty callers of a cold 50 MiB blob, the upstream as fast as the machine.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let runtime = runtime();
    let upstreams: Vec<Upstream> = (0..3).map(|_| Upstream::start()).collect();
    let mut servers = vec![
        Server::start(&runtime, cistern_of(&upstreams[0].url())),
        Server::Nginx(Nginx::cache_of(upstreams[1].address)),
    ];
    if !options.without_distribution {
        servers.push(Server::start(
            &runtime,
            distribution_of(&upstreams[2].url()),
        ));
    }
    let ids: Vec<u32> = servers.iter().map(Server::id).collect();
    let rounds = rounds(options.rounds, &ids, |round| {
        let blob = Thing::blob(SIZE, 3000 + round as u64);
        let mut values = vec![[0.0; 5]; servers.len()];
        for turn in turns(servers.len(), round) {
            values[turn] = herd(&servers[turn], &upstreams[turn], &blob);
            if turn == 0 && values[turn][1] > 1.0 {
                eprintln!("more than one download:\n{}", servers[turn].log());
            }
        }
        values
    });
    figures(&rounds)
}

/// Wall, upstream GETs, first byte of the median and of the last caller, processor time of the server.
fn herd(server: &Server, upstream: &Upstream, blob: &Thing) -> [f64; 5] {
    let path = blob.blob_path();
    upstream.has(path.clone(), blob);
    let before = cpu_seconds(server.id());
    let herd = Sending {
        address: server.address(),
        path: &path,
        size: blob.size(),
        paces: vec![None; CALLERS],
        limit: LIMIT,
    }
    .send();
    let used = cpu_seconds(server.id()) - before;
    assert_eq!(
        herd.complete,
        CALLERS,
        "{}: not all had all",
        server.url(&path)
    );
    assert_eq!(sha256(&herd.sample), blob.digest, "{}", server.url(&path));
    let last = herd.first_bytes.iter().copied().fold(0.0, f64::max);
    let gets = upstream.gets(&path) as f64;
    upstream.forget(&path);
    [herd.wall, gets, median(herd.first_bytes), last, used]
}

fn figures(rounds: &Rounds<Vec<[f64; 5]>>) -> Vec<Figure> {
    let what = "cold herd, 50 callers × 50 MiB";
    vec![
        figure(
            format!("{what}: upstream GETs"),
            "count",
            Goal::Exactly(1.0),
            rounds,
            1,
        ),
        figure(
            format!("{what}: wall"),
            "s",
            Goal::AtMostTimesNginx(1.0),
            rounds,
            0,
        ),
        figure(
            format!("{what}: first byte, median caller"),
            "s",
            Goal::None,
            rounds,
            2,
        ),
        figure(
            format!("{what}: first byte, last caller"),
            "s",
            Goal::None,
            rounds,
            3,
        ),
        figure(
            format!("{what}: server processor time"),
            "s",
            Goal::None,
            rounds,
            4,
        ),
    ]
}
