//! Loopback addresses: every server of every test gets one of its own.
//!
//! A server that is stopped and started again wants its port back. With an address that nobody else uses, nobody
//! else can have taken it in between, not even a test of another process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The next loopback address of this process, `127.a.b.c` with `a` and `b` from the process id.
///
/// Where only 127.0.0.1 exists (not Linux), that one.
pub fn next() -> IpAddr {
    let process = std::process::id();
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    let octet = |number: u32| u8::try_from(1 + number % 250).unwrap();
    let own = IpAddr::V4(Ipv4Addr::new(
        127,
        octet(process / 250),
        octet(process),
        octet(count),
    ));
    if TcpListener::bind((own, 0)).is_ok() {
        own
    } else {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }
}

/// A free port on an address of its own, for a program that must be told its port before it starts.
pub fn free() -> SocketAddr {
    TcpListener::bind((next(), 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

/// An address on which nobody listens: connecting is refused.
pub fn refused() -> SocketAddr {
    free()
}
