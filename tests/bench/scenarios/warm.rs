//! What the warm scenarios share: three servers that hold the same things, each asked once before anything is measured.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::figures::{Figure, Goal, Spread};
use crate::machine::cpu_seconds;
use crate::options::Options;
use crate::placement::Placement;
use crate::reader::{self, fetch};
use crate::rounds::{Rounds, rounds, turns};
use crate::servers::{Nginx, Server, cistern_of, distribution_of, runtime};
use crate::upstream::{Thing, Upstream};

/// Cistern, nginx and (if wanted) Distribution, in this order.
pub(crate) struct Warm {
    pub(crate) runtime: Runtime,
    pub(crate) servers: Vec<Server>,
}

impl Warm {
    /// Servers that hold `things` under their paths.
    pub(crate) fn with(options: &Options, things: &[(String, Thing)]) -> Self {
        let runtime = runtime();
        let (upstream, files) = (Upstream::start(), Nginx::of_files());
        for (path, thing) in things {
            upstream.has(path.clone(), thing);
            files.has(path, thing);
        }
        let mut servers = vec![
            Server::start(&runtime, cistern_of(&upstream.url())),
            Server::Nginx(files),
        ];
        if !options.without_distribution {
            servers.push(Server::start(&runtime, distribution_of(&upstream.url())));
        }
        for server in &servers {
            for (path, thing) in things {
                let body = fetch(server.address(), path);
                assert!(
                    body == thing.bytes[..],
                    "{} serves other bytes",
                    server.url(path)
                );
            }
        }
        // What a server does after a first answer is done by then.
        std::thread::sleep(Duration::from_secs(1));
        let blobs = things
            .iter()
            .map(|(path, _)| path)
            .filter(|path| path.contains("/blobs/"));
        for (path, server) in
            blobs.flat_map(|path| servers.iter().map(move |server| (path, server)))
        {
            let before = upstream.gets(path);
            fetch(server.address(), path);
            let url = server.url(path);
            assert_eq!(
                upstream.gets(path),
                before,
                "{url} was not kept:\n{}",
                server.log()
            );
        }
        Self { runtime, servers }
    }

    pub(crate) fn ids(&self) -> Vec<u32> {
        self.servers.iter().map(Server::id).collect()
    }

    /// Lets every server bear the same load in turn: GB per second, and the server's processor seconds per GB.
    pub(crate) fn load(
        &self,
        options: &Options,
        paths: &[String],
        connections: usize,
        placement: Placement,
    ) -> Rounds<Vec<[f64; 2]>> {
        let time = Duration::from_secs(options.seconds);
        rounds(options.rounds, &self.ids(), |round| {
            let mut values = vec![[0.0; 2]; self.servers.len()];
            for turn in turns(self.servers.len(), round) {
                let server = &self.servers[turn];
                let before = cpu_seconds(server.id());
                let load = placement.run(server.id(), || {
                    reader::load(server.address(), paths, connections, time)
                });
                let gigabytes = load.bytes / 1e9;
                values[turn] = [
                    gigabytes / load.seconds,
                    (cpu_seconds(server.id()) - before) / gigabytes,
                ];
            }
            values
        })
    }
}

/// A figure out of rounds in which every server has a value: Cistern's, nginx's, Distribution's.
pub(crate) fn figure<const N: usize>(
    what: impl Into<String>,
    unit: &'static str,
    goal: Goal,
    rounds: &Rounds<Vec<[f64; N]>>,
    which: usize,
) -> Figure {
    let of = |server: usize| {
        Spread::of(
            rounds
                .results
                .iter()
                .filter_map(|values| Some(values.get(server)?[which])),
        )
    };
    Figure {
        what: what.into(),
        unit,
        goal,
        cistern: of(0),
        nginx: of(1),
        distribution: of(2),
        distribution_says: None,
        noise: rounds.noise,
    }
}
