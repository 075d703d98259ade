//! An uplink of limited rate: a TCP relay in front of an upstream whose way back is shared by all connections.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cistern_tests::addresses;

/// What crosses at once: small enough that the flow is even.
const PIECE: usize = 16 * 1024;

/// A link that was idle, or whose thread woke late, may catch up by this much: without it every late wake would lower the rate.
const CATCHES_UP: Duration = Duration::from_millis(10);

/// The link. Its threads live as long as the benchmark.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    way: Arc<Way>,
}

/// The shared way from the upstream.
struct Way {
    /// Bytes per second.
    rate: f64,
    /// When the next byte may cross.
    free_at: Mutex<Instant>,
    crossed: AtomicU64,
}

impl Link {
    /// To `upstream`, with `rate` bytes per second from there to here.
    pub(crate) fn start(upstream: SocketAddr, rate: f64) -> Self {
        let listener = TcpListener::bind((addresses::next(), 0)).unwrap();
        let link = Self {
            address: listener.local_addr().unwrap(),
            way: Arc::new(Way {
                rate,
                free_at: Mutex::new(Instant::now()),
                crossed: AtomicU64::new(0),
            }),
        };
        let way = Arc::clone(&link.way);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(upstream) else {
                    continue;
                };
                near.set_nodelay(true).ok();
                far.set_nodelay(true).ok();
                let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                let way = Arc::clone(&way);
                thread::spawn(move || relay(near_too, far_too, |_| ()));
                thread::spawn(move || relay(far, near, |bytes| way.cross(bytes)));
            }
        });
        link
    }

    /// How many bytes have come over it so far.
    pub(crate) fn crossed(&self) -> u64 {
        self.way.crossed.load(Ordering::Relaxed)
    }
}

impl Way {
    /// Waits until so many bytes have crossed.
    fn cross(&self, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.rate);
        let there = {
            let mut free_at = self.free_at.lock().unwrap();
            let earliest = Instant::now().checked_sub(CATCHES_UP);
            *free_at = earliest.map_or(*free_at, |earliest| earliest.max(*free_at)) + takes;
            *free_at
        };
        thread::sleep(there.saturating_duration_since(Instant::now()));
        self.crossed.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Passes on what comes, after `before` has let it; an end or a break on one side is passed on too.
fn relay(mut from: TcpStream, mut to: TcpStream, before: impl Fn(usize)) {
    let mut piece = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        before(count);
        if to.write_all(&piece[..count]).is_err() {
            from.shutdown(Shutdown::Both).ok();
            return;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}
