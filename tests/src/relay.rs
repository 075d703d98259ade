//! A bad link: a TCP relay between a cache and its upstream that counts, throttles, cuts, refuses and swallows on command.
//!
//! It knows nothing of HTTP: what it counts is what crossed, heads and all. Plain threads, so that tests with a runtime and the benchmark
//! without one use it alike.

mod way;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::addresses;
use way::{After, Passage, State, Way};

/// What crosses at once: small enough that the flow is even.
const PIECE: usize = 16 * 1024;
/// The port may be taken for a moment after the link went down, not longer.
const PORT_WITHIN: Duration = Duration::from_secs(10);

/// The link. It goes down for good when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    upstream: SocketAddr,
    way: Arc<Way>,
}

impl Relay {
    /// To `upstream`: open, as fast as the machine, never cut.
    pub fn start(upstream: SocketAddr) -> Self {
        let relay = Self {
            address: addresses::free(),
            upstream,
            way: Arc::default(),
        };
        relay.listen();
        relay
    }

    /// Where the near end listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `127.a.b.c:port` of the near end.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.a.b.c:port` of the near end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many bytes have come over it from the upstream, over all connections.
    pub fn received(&self) -> u64 {
        self.way.lock().received
    }

    /// How many bytes have gone over it to the upstream.
    pub fn sent(&self) -> u64 {
        self.way.lock().sent
    }

    /// How many connections it has let through.
    pub fn connections(&self) -> u64 {
        self.way.lock().connections
    }

    /// How often it was cut, by [`Relay::refuse`] too.
    pub fn cuts(&self) -> u64 {
        self.way.lock().cuts
    }

    /// Lets so many bytes per second come from the upstream, shared by all connections; `None` as many as can.
    pub fn throttle(&self, rate: Option<u64>) {
        self.way.throttle(rate);
    }

    /// Ends every connection now, in order (FIN) after what has crossed; new ones are let through.
    pub fn cut(&self) {
        self.way.cut();
    }

    /// Does that once, exactly when so many further bytes have come from the upstream.
    pub fn cut_after(&self, bytes: u64) {
        self.way.plan(bytes, After::Open);
    }

    /// Does that whenever so many further bytes have come from the upstream, all connections together.
    pub fn cut_every(&self, bytes: u64) {
        self.way.plan(bytes, After::Again { every: bytes });
    }

    /// Ends every connection and refuses new ones until [`Relay::open`].
    pub fn refuse(&self) {
        self.way.refuse();
    }

    /// Does that when so many further bytes have come from the upstream.
    pub fn refuse_after(&self, bytes: u64) {
        self.way.plan(bytes, After::Refuse);
    }

    /// From now on nothing crosses, and nobody is told: open connections fall silent, new ones are accepted and stay mute, until
    /// [`Relay::open`], after which they go on as if the packets had been sent again.
    pub fn swallow(&self) {
        self.way.set_state(State::Silent);
    }

    /// Does that when so many further bytes have come from the upstream.
    pub fn swallow_after(&self, bytes: u64) {
        self.way.plan(bytes, After::Silence);
    }

    /// The link is back. Does nothing while it is open.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn open(&self) {
        if self.way.set_state(State::Open) == State::Refusing {
            self.listen();
        }
    }

    fn listen(&self) {
        let began = Instant::now();
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) => assert!(began.elapsed() < PORT_WITHIN, "{}: {error}", self.address),
            }
            thread::sleep(Duration::from_millis(5));
        };
        self.way.lock().listens_at = Some(self.address);
        let (upstream, way) = (self.upstream, Arc::clone(&self.way));
        thread::spawn(move || accept(&listener, upstream, &way));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.way.refuse();
    }
}

/// Accepts until the link refuses. Whoever makes it refuse knocks, so that this is noticed.
fn accept(listener: &TcpListener, upstream: SocketAddr, way: &Arc<Way>) {
    for near in listener.incoming() {
        if way.refuses() {
            return;
        }
        let Ok(near) = near else { continue };
        let way = Arc::clone(way);
        thread::spawn(move || connect(near, upstream, &way));
    }
}

/// One connection, from its acceptance to the end of both ways.
fn connect(near: TcpStream, upstream: SocketAddr, way: &Arc<Way>) {
    let Some(life) = way.join(&near) else { return };
    let far = way.is_open(life).then(|| TcpStream::connect(upstream));
    let Some(Ok(far)) = far else {
        near.shutdown(Shutdown::Both).ok();
        return way.leave(life);
    };
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    if let (Ok(from_near), Ok(to_far)) = (near.try_clone(), far.try_clone()) {
        let there = Arc::clone(way);
        let ask = move |count| there.send(life, count);
        thread::spawn(move || carry(from_near, to_far, ask, |_| ()));
        carry(
            far,
            near,
            |count| way.receive(life, count),
            |after| way.happen(after),
        );
    }
    way.leave(life);
}

/// Passes on what comes, as much at once as `ask` lets cross, and says when what was planned for this moment is due; an end or a break on one
/// side is passed on too.
fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    ask: impl Fn(usize) -> Option<Passage>,
    due: impl Fn(After),
) {
    let mut piece = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        let mut rest = &piece[..count];
        while !rest.is_empty() {
            let Some(passage) = ask(rest.len()) else {
                from.shutdown(Shutdown::Both).ok();
                to.shutdown(Shutdown::Both).ok();
                return;
            };
            let (crosses, waits) = rest.split_at(passage.bytes);
            let written = to.write_all(crosses);
            rest = waits;
            if let Some(after) = passage.then {
                due(after);
            }
            if written.is_err() {
                from.shutdown(Shutdown::Both).ok();
                return;
            }
        }
    }
    to.shutdown(Shutdown::Write).ok();
}
