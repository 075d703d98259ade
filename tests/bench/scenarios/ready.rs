//! Readiness: from the start of the process to the first answer, with much in the store.

use std::time::{Duration, Instant};

use cistern_tests::registry::RegistryBuilder;

use super::warm::figure;
use crate::figures::{Figure, Goal, Spread};
use crate::options::Options;
use crate::rounds::as_they_come;
use crate::servers::{cistern_of, distribution_of, forget_cistern, runtime, store_of};
use crate::upstream::Upstream;

const BLOBS: usize = 20_000;
/// How long a server may go on after its first answer before it is stopped.
const WORKS_ON: Duration = Duration::from_secs(3);

/// On a store that Distribution has left behind, and again on the same store.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let (runtime, upstream, store) = (runtime(), Upstream::start(), store_of(BLOBS));
    let timed = |registry: RegistryBuilder| {
        let began = Instant::now();
        let registry = runtime.block_on(registry.store(&store).start());
        (registry, began.elapsed().as_secs_f64() * 1000.0)
    };
    let rounds = as_they_come(options.rounds, |_| {
        forget_cistern(store.path());
        let (mut cistern, first) = timed(cistern_of(&upstream.url()));
        std::thread::sleep(WORKS_ON);
        runtime.block_on(cistern.stop());
        let again = runtime.block_on(cistern.start()).as_secs_f64() * 1000.0;
        drop(cistern);
        let (_, theirs) = timed(distribution_of(&upstream.url()));
        vec![[first, again, theirs]]
    });
    let theirs = Spread::of(rounds.results.iter().map(|values| values[0][2]));
    let starts = [("first", 0), ("second", 1)].map(|(start, which)| Figure {
        distribution: theirs.clone(),
        ..figure(
            format!("ready with 20,000 cached blobs, {start} start"),
            "ms",
            Goal::AtMost(100.0),
            &rounds,
            which,
        )
    });
    starts.into()
}
