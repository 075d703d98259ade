//! Clients that read bodies: plain threads, large reads, and nothing done with the bytes, so that the processor is left to
//! the servers. Lengths are always verified; a digest only of one reader's bytes, after the time was taken.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What every request accepts: Distribution insists on it for manifests.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, */*";
/// What one read asks for.
const READ: usize = 256 * 1024;
/// What a slow reader's read asks for.
const SLOW_READ: usize = 32 * 1024;

/// A kept connection.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

/// How one answer came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) length: u64,
}

// === impl Connection ===

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> std::io::Result<Self> {
        Self::with_reads_of(READ, address)
    }

    fn with_reads_of(size: usize, address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(Self {
            stream,
            host: address.to_string(),
            buffer: vec![0; size],
        })
    }

    /// Gets `path` and hands the body to `take` as it comes. `take` says whether to go on.
    pub(crate) fn get(
        &mut self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> std::io::Result<Got> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: {ACCEPT}\r\n\r\n",
            self.host
        );
        self.stream.write_all(request.as_bytes())?;
        let (status, length, head, filled) = self.head()?;
        let mut left = length;
        let mut piece = head..filled;
        while left > 0 {
            if piece.is_empty() {
                let count = self.stream.read(&mut self.buffer)?;
                piece = 0..count;
                if count == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            let bytes = &self.buffer[std::mem::take(&mut piece)];
            left = left
                .checked_sub(bytes.len() as u64)
                .expect("no more than was promised");
            if !take(bytes) {
                return Err(std::io::ErrorKind::TimedOut.into());
            }
        }
        Ok(Got { status, length })
    }

    /// Reads a head: status, length of the body, where the body begins in the buffer and how far it is filled.
    fn head(&mut self) -> std::io::Result<(u16, u64, usize, usize)> {
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.buffer[filled..])?;
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            let read = &self.buffer[..filled];
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&read[..end]);
                let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
                let length = text.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length")
                        .then(|| value.trim().parse().ok())?
                });
                return Ok((
                    status.expect("a status"),
                    length.unwrap_or_else(|| panic!("no length: {text}")),
                    end + 4,
                    filled,
                ));
            }
        }
    }
}

/// Gets `path` once and expects it to be there. Its bytes.
pub(crate) fn fetch(address: SocketAddr, path: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let got = Connection::open(address).unwrap().get(path, |bytes| {
        body.extend_from_slice(bytes);
        true
    });
    let got = got.unwrap_or_else(|error| panic!("GET {path}: {error}"));
    assert_eq!(
        got.status,
        200,
        "GET {path}: {}",
        String::from_utf8_lossy(&body)
    );
    body
}

/// What a load brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) bytes: f64,
    pub(crate) seconds: f64,
}

/// Reads `paths` in turn over `connections` kept connections for `time`.
pub(crate) fn load(
    address: SocketAddr,
    paths: &[String],
    connections: usize,
    time: Duration,
) -> Load {
    let (bytes, next) = (AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = Connection::open(address).unwrap();
                while began.elapsed() < time {
                    let turn = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                    let got = connection
                        .get(&paths[turn % paths.len()], |_| true)
                        .unwrap();
                    assert_eq!(got.status, 200);
                    bytes.fetch_add(got.length, Ordering::Relaxed);
                }
            });
        }
    });
    Load {
        bytes: bytes.into_inner() as f64,
        seconds: began.elapsed().as_secs_f64(),
    }
}

/// How a herd fared.
#[derive(Debug)]
pub(crate) struct Herd {
    /// Until the last one had all, in seconds; the limit, if not all came to their end.
    pub(crate) wall: f64,
    /// When each one had its first byte, in seconds; the limit for one that had none.
    pub(crate) first_bytes: Vec<f64>,
    /// How many had all bytes.
    pub(crate) complete: usize,
    /// The bytes of one of them, for its digest.
    pub(crate) sample: Vec<u8>,
}

/// A herd to be sent.
pub(crate) struct Sending<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) path: &'a str,
    pub(crate) size: u64,
    /// How fast each reader reads, in bytes per second; `None` as fast as it can.
    pub(crate) paces: Vec<Option<f64>>,
    /// Who is not done by then gives up.
    pub(crate) limit: Duration,
}

impl Sending<'_> {
    /// Sends it: all at the same moment.
    pub(crate) fn send(&self) -> Herd {
        let barrier = Barrier::new(self.paces.len() + 1);
        let (results, wall) = thread::scope(|scope| {
            let start = |(index, pace): (usize, &Option<f64>)| {
                let (barrier, pace) = (&barrier, *pace);
                scope.spawn(move || self.read(barrier, pace, index == 0))
            };
            let readers: Vec<_> = self.paces.iter().enumerate().map(start).collect();
            barrier.wait();
            let began = Instant::now();
            let results: Vec<_> = readers.into_iter().map(|one| one.join().unwrap()).collect();
            (results, began.elapsed())
        });
        let complete = results.iter().filter(|one| one.complete).count();
        let limit = self.limit.as_secs_f64();
        let first = |one: &One| one.first_byte.map_or(limit, |after| after.as_secs_f64());
        Herd {
            wall: if complete == results.len() {
                wall.as_secs_f64()
            } else {
                limit
            },
            first_bytes: results.iter().map(first).collect(),
            complete,
            sample: results
                .into_iter()
                .next()
                .map(|one| one.sample)
                .unwrap_or_default(),
        }
    }

    fn read(&self, barrier: &Barrier, pace: Option<f64>, keeps: bool) -> One {
        let mut one = One::default();
        if keeps {
            one.sample.reserve(usize::try_from(self.size).unwrap());
        }
        barrier.wait();
        let began = Instant::now();
        let reads = if pace.is_some() { SLOW_READ } else { READ };
        let Ok(mut connection) = Connection::with_reads_of(reads, self.address) else {
            return one;
        };
        let mut read = 0_u64;
        let got = connection.get(self.path, |bytes| {
            one.first_byte.get_or_insert_with(|| began.elapsed());
            if keeps {
                one.sample.extend_from_slice(bytes);
            }
            read += bytes.len() as u64;
            if let Some(pace) = pace {
                let due = Duration::from_secs_f64(read as f64 / pace);
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
            began.elapsed() < self.limit
        });
        one.complete = got.is_ok_and(|got| got.status == 200 && got.length == self.size);
        one
    }
}

/// How one reader fared.
#[derive(Debug, Default)]
struct One {
    first_byte: Option<Duration>,
    complete: bool,
    sample: Vec<u8>,
}
