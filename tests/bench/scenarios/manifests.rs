//! Manifests: the many small answers of a fleet that looks for news.

use super::warm::{Warm, figure};
use crate::figures::{Figure, Goal};
use crate::machine::cpu_seconds;
use crate::options::Options;
use crate::rounds::{rounds, turns};
use crate::upstream::{Thing, tag_path};
use crate::wrk::requests_per_second;

/// By digest and by tag, over few connections and many.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let manifest = Thing::manifest(8);
    let ways = [
        ("digest", manifest.manifest_path()),
        ("fresh tag", tag_path("1.5")),
    ];
    let things: Vec<_> = ways
        .iter()
        .map(|(_, path)| (path.clone(), manifest.clone()))
        .collect();
    // The digest comes first, but a cache that learns a manifest by its tag has it by its digest too.
    let warm = Warm::with(options, &things);
    let mut figures = Vec::new();
    for (way, path) in &ways {
        for connections in [16, 64] {
            let rounds = rounds(options.rounds, &warm.ids(), |round| {
                let mut values = vec![[0.0; 2]; warm.servers.len()];
                for turn in turns(warm.servers.len(), round) {
                    let server = &warm.servers[turn];
                    let before = cpu_seconds(server.id());
                    let rate = requests_per_second(
                        &warm.runtime,
                        &server.url(path),
                        connections,
                        options.seconds,
                    );
                    let requests = rate * options.seconds as f64;
                    values[turn] = [rate, (cpu_seconds(server.id()) - before) / requests * 1e6];
                }
                values
            });
            let what = format!("manifest by {way}, {connections} connections");
            figures.push(figure(
                &what,
                "req/s",
                Goal::AtLeastTimesNginx(0.8),
                &rounds,
                0,
            ));
            figures.push(figure(&what, "server µs/req", Goal::None, &rounds, 1));
        }
    }
    figures
}
