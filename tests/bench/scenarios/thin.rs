//! The herd behind a thin uplink: one copy, and every caller served while it arrives.

use std::time::Duration;

use cistern_tests::images::sha256;
use cistern_tests::relay::Relay;

use super::herd::{CALLERS, SIZE};
use super::warm::figure;
use crate::figures::{Figure, Goal, median};
use crate::options::Options;
use crate::reader::Sending;
use crate::rounds::{Rounds, rounds, turns};
use crate::servers::{Nginx, Server, cistern_of, distribution_of, runtime};
use crate::upstream::{Thing, Upstream};

/// Bytes per second.
const RATE: u64 = 20_000_000;
/// Who takes longer than so many times the ideal is given up.
const GIVEN_UP: f64 = 5.0;

/// Fifty callers of a cold 50 MiB blob behind 20 MB/s.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let runtime = runtime();
    let ideal = SIZE as f64 / RATE as f64;
    let upstream = Upstream::start();
    let links: Vec<Relay> = (0..2).map(|_| link(&upstream)).collect();
    let servers = [
        Server::start(&runtime, cistern_of(&links[0].url())),
        Server::Nginx(Nginx::cache_of(links[1].address())),
    ];
    let ids: Vec<u32> = servers.iter().map(Server::id).collect();
    let mut rounds = rounds(options.rounds, &ids, |round| {
        let mut values = vec![[0.0; 4]; servers.len()];
        for turn in turns(servers.len(), round) {
            values[turn] = herd(
                &servers[turn],
                &links[turn],
                &upstream,
                4000 + round as u64,
                ideal,
            );
        }
        values
    });
    if !options.without_distribution {
        distribution(&mut rounds, &upstream, ideal);
    }
    let what = "herd behind 20 MB/s";
    vec![
        figure(
            format!("{what}: first byte, last caller"),
            "s",
            Goal::AtMost(0.3),
            &rounds,
            0,
        ),
        figure(
            format!("{what}: first byte, median caller"),
            "s",
            Goal::None,
            &rounds,
            1,
        ),
        figure(
            format!("{what}: wall / ideal"),
            "times",
            Goal::AtMost(1.15),
            &rounds,
            2,
        ),
        figure(
            format!("{what}: uplink bytes / blob"),
            "times",
            Goal::None,
            &rounds,
            3,
        ),
    ]
}

fn link(upstream: &Upstream) -> Relay {
    let link = Relay::start(upstream.address);
    link.throttle(Some(RATE));
    link
}

/// Distribution, once and by itself: what it still fetches after it was given up would only disturb the others.
fn distribution(rounds: &mut Rounds<Vec<[f64; 4]>>, upstream: &Upstream, ideal: f64) {
    let runtime = runtime();
    let link = link(upstream);
    let server = Server::start(&runtime, distribution_of(&link.url()));
    let values = herd(&server, &link, upstream, 4999, ideal);
    for round in &mut rounds.results {
        round.push(values);
    }
}

fn herd(server: &Server, link: &Relay, upstream: &Upstream, seed: u64, ideal: f64) -> [f64; 4] {
    let blob = Thing::blob(SIZE, seed);
    let path = blob.blob_path();
    upstream.has(path.clone(), &blob);
    let before = link.received();
    let herd = Sending {
        address: server.address(),
        path: &path,
        size: blob.size(),
        paces: vec![None; CALLERS],
        limit: Duration::from_secs_f64(ideal * GIVEN_UP),
    }
    .send();
    if herd.complete == CALLERS {
        assert_eq!(sha256(&herd.sample), blob.digest, "{}", server.url(&path));
    }
    let crossed = (link.received() - before) as f64 / SIZE as f64;
    upstream.forget(&path);
    let most = herd.first_bytes.iter().copied().fold(0.0, f64::max);
    [most, median(herd.first_bytes), herd.wall / ideal, crossed]
}
