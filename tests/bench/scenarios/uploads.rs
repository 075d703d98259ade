//! Memory while many push at once.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cistern_tests::images::{random_bytes, sha256};
use cistern_tests::registry::RegistryBuilder;
use cistern_tests::{cistern, distribution};

use super::warm::figure;
use crate::figures::{Figure, Goal};
use crate::machine::peak_resident;
use crate::options::Options;
use crate::rounds::as_they_come;
use crate::servers::{Server, quiet, runtime};

const UPLOADS: usize = 200;
const SIZE: usize = 8 * 1024 * 1024;
/// So much is handed to the socket at once.
const PIECE: usize = 64 * 1024;
const LIMIT: Duration = Duration::from_mins(2);

/// Each server by itself, each round a new one. nginx takes no pushes.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let rest = random_bytes(6000, SIZE);
    let bodies: Vec<Body> = (0..UPLOADS)
        .map(|number| Body::of(number, rest.clone()))
        .collect();
    let rounds = as_they_come(options.rounds.min(2), |_| {
        let mut values = vec![measure(cistern::hosted(), &bodies)];
        if !options.without_distribution {
            values.push(measure(distribution::hosted(), &bodies));
        }
        values
    });
    let what = "peak memory, 200 uploads of 8 MiB at once";
    let figures = [
        figure(what, "MiB", Goal::AtMost(120.0), &rounds, 0),
        figure(
            "time until all of them are kept",
            "s",
            Goal::None,
            &rounds,
            1,
        ),
    ];
    // The second value of a round is Distribution's here, not nginx's.
    let moved = figures.map(|figure| Figure {
        distribution: figure.nginx,
        nginx: None,
        ..figure
    });
    moved.into()
}

/// The most memory in MiB, and the seconds until every upload is answered 201.
fn measure(registry: RegistryBuilder, bodies: &[Body]) -> [f64; 2] {
    let runtime = runtime();
    let server = Server::start(&runtime, quiet(registry));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for body in bodies {
            let address = server.address();
            scope.spawn(move || body.push(address));
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    [peak_resident(server.id()), seconds]
}

/// One blob: a few bytes of its own, and the rest the same as in all others.
struct Body {
    own: [u8; 8],
    rest: Bytes,
    digest: String,
}

impl Body {
    fn of(number: usize, mut rest: Bytes) -> Self {
        let own = (number as u64).to_le_bytes();
        let rest = rest.split_off(own.len());
        let digest = sha256(&[&own, &rest[..]].concat());
        Self { own, rest, digest }
    }

    /// Begins an upload, and sends everything as one body with its digest.
    fn push(&self, address: SocketAddr) {
        let begun = exchange(
            address,
            &head("POST", "/v2/bench/uploads/blobs/uploads/", 0),
            &[],
        );
        assert!(begun.starts_with("HTTP/1.1 202"), "{begun}");
        let location = location(&begun);
        let mark = if location.contains('?') { '&' } else { '?' };
        let target = format!("{location}{mark}digest={}", self.digest);
        let size = self.own.len() + self.rest.len();
        let kept = exchange(
            address,
            &head("PUT", &target, size),
            &[&self.own, &self.rest],
        );
        assert!(kept.starts_with("HTTP/1.1 201"), "{kept}");
    }
}

fn head(method: &str, target: &str, length: usize) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// A request, and all of its answer.
fn exchange(address: SocketAddr, head: &str, body: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    for piece in body.iter().flat_map(|part| part.chunks(PIECE)) {
        stream.write_all(piece).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Path and query of the `Location`, absolute or not.
fn location(answer: &str) -> String {
    let mut lines = answer.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(name, _)| name.eq_ignore_ascii_case("location"));
    let (_, location) = found.unwrap_or_else(|| panic!("no Location: {answer}"));
    let path = location.find("/v2/").unwrap_or(0);
    location[path..].to_owned()
}
