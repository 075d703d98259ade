//! Cached tags while the upstream swallows everything: the first caller may wait for it, no later one does.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use cistern_tests::registry::RegistryBuilder;
use cistern_tests::relay::Relay;

use crate::figures::{Figure, Goal, Spread};
use crate::options::Options;
use crate::reader::{Connection, fetch};
use crate::rounds::{Rounds, rounds};
use crate::servers::{Server, cistern_of, distribution_of, runtime};
use crate::upstream::{Thing, Upstream, tag_path};

const TAGS: usize = 20;
const REQUESTS: usize = 6000;
const CONNECTIONS: usize = 4;
/// From one request of a connection to its next: all of them together take some rounds of whatever is done behind their backs.
const EVERY: Duration = Duration::from_millis(8);
/// `proxy.checkdeadline` is 3 s, and half a second is the cache's own.
const FIRST: f64 = 3.5;
/// So much later a tag is older than `proxy.checkevery`.
const OUTDATED: Duration = Duration::from_millis(1500);

/// Cistern's percentiles, and what becomes of the first caller of Distribution.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let rounds = rounds(options.rounds, &[], |_| measure());
    let says = (!options.without_distribution).then(of_distribution);
    let what = "cached tags, upstream a black hole";
    let rows = [
        ("first", "s", Goal::AtMost(FIRST)),
        ("later, median", "ms", Goal::None),
        ("later, 99 %", "ms", Goal::AtMost(5.0)),
        ("later, 99.9 %", "ms", Goal::None),
        ("later, longest", "ms", Goal::None),
    ];
    let figure = |(index, (row, unit, goal))| Figure {
        what: format!("{what}: {row}"),
        unit,
        goal,
        cistern: of(&rounds, index),
        nginx: None,
        distribution: None,
        distribution_says: says.clone(),
        noise: rounds.noise,
    };
    rows.into_iter().enumerate().map(figure).collect()
}

fn of(rounds: &Rounds<[f64; 5]>, index: usize) -> Option<Spread> {
    Spread::of(rounds.results.iter().map(|values| values[index]))
}

/// A server that holds tags it has to ask for again, behind a link that has just fallen silent.
fn cut_off(server: fn(&str) -> RegistryBuilder) -> (Server, Relay, Vec<String>) {
    let upstream = Upstream::start();
    let relay = Relay::start(upstream.address);
    let manifest = Thing::manifest(8);
    let paths: Vec<String> = (0..TAGS).map(|tag| tag_path(&format!("v{tag}"))).collect();
    for path in paths.iter().cloned().chain([manifest.manifest_path()]) {
        upstream.has(path, &manifest);
    }
    let builder = server(&relay.url()).set("REGISTRY_PROXY_CHECKEVERY", "1s");
    let server = Server::start(&runtime(), builder);
    for path in &paths {
        assert!(fetch(server.address(), path) == manifest.bytes[..]);
    }
    thread::sleep(OUTDATED);
    relay.swallow();
    (server, relay, paths)
}

fn measure() -> [f64; 5] {
    let (server, _relay, paths) = cut_off(cistern_of);
    let began = Instant::now();
    fetch(server.address(), &paths[0]);
    let first = began.elapsed().as_secs_f64();
    let mut later = later(&server, &paths);
    later.sort_by(f64::total_cmp);
    // So many of a thousand were not slower.
    let most_of = |thousandth: usize| later[(later.len() - 1) * thousandth / 1000];
    [
        first,
        most_of(500),
        most_of(990),
        most_of(999),
        most_of(1000),
    ]
}

/// How long each later request took, in milliseconds.
fn later(server: &Server, paths: &[String]) -> Vec<f64> {
    let all = Mutex::new(Vec::with_capacity(REQUESTS));
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let all = &all;
            scope.spawn(move || {
                let mut connection = Connection::open(server.address()).unwrap();
                let began = Instant::now();
                for turn in 0..REQUESTS / CONNECTIONS {
                    let due = EVERY * u32::try_from(turn).unwrap();
                    thread::sleep(due.saturating_sub(began.elapsed()));
                    let path = &paths[(turn + number * 5) % paths.len()];
                    let asked = Instant::now();
                    let got = connection.get(path, |_| true).unwrap();
                    let took = asked.elapsed().as_secs_f64() * 1000.0;
                    assert_eq!(got.status, 200, "{path}");
                    all.lock().unwrap().push(took);
                }
            });
        }
    });
    all.into_inner().unwrap()
}

/// What its first caller is told, or not.
fn of_distribution() -> String {
    let (server, _relay, paths) = cut_off(distribution_of);
    let began = Instant::now();
    let got = Connection::open(server.address())
        .unwrap()
        .get(&paths[0], |_| true);
    let seconds = began.elapsed().as_secs_f64();
    match got {
        Ok(got) => format!("{} after {seconds:.1} s", got.status),
        Err(_) => format!("no answer ({seconds:.0} s)"),
    }
}
