//! Accepting, limits, and the way out.
//!
//! Accepting stops at a signal; connections that idle are closed then, bodies that run may finish until the drain time is over.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Http;
use super::connection::{self, Caller};
use super::handshake::Door;
use super::layers::{Face, Service};
use super::socket::{Arrived, Listener};
use crate::tls::ServerTls;

/// How long accepting rests after the system refused a connection, as when descriptors run out.
const REST_AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// How long cut connections get to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// What one listener allows. The defaults are right for a gateway with some thousand children.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the backlog.
    pub connections: usize,
    /// How long the head of a request may take, and how long a kept-alive connection may idle.
    pub head_time: Duration,
    /// How long a TLS handshake may take, from the first byte of the connection.
    pub handshake_time: Duration,
    /// The longest head of a request, and how much of a body may wait for a slow caller, in bytes.
    pub buffer_bytes: usize,
    /// The most header lines of a request.
    pub header_lines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            head_time: Duration::from_mins(1),
            handshake_time: Duration::from_secs(10),
            buffer_bytes: 64 * 1024,
            header_lines: 100,
        }
    }
}

/// The two signals: the first lets bodies finish, the second does not.
#[derive(Clone, Debug, Default)]
pub struct Stopping {
    /// Stop accepting; running bodies may finish within the drain time.
    pub gently: CancellationToken,
    /// End now.
    pub at_once: CancellationToken,
}

/// Where and with what TLS is spoken.
#[derive(Clone, Debug)]
pub struct TlsPlace<'a> {
    /// `http.tls.addr`. None: on the main address, and plain HTTP nowhere but on the debug address.
    pub address: Option<&'a str>,
    /// The certificate and whom it is shown to.
    pub tls: ServerTls,
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    /// `http.addr`.
    pub main: &'a str,
    /// `http.debug.addr`.
    pub debug: Option<&'a str>,
    /// The admin socket. One that cannot be made is a warning: a read-only store has no place for it.
    pub admin: Option<&'a Path>,
    /// TLS, if it is spoken.
    pub tls: Option<TlsPlace<'a>>,
}

/// An address that cannot be listened on, by the setting that names it.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: cannot listen on {address}: {source}")]
pub struct ListenError {
    setting: &'static str,
    address: String,
    source: io::Error,
}

/// A server that accepts requests.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    debug_address: Option<SocketAddr>,
    tls_address: Option<SocketAddr>,
    listeners: TaskTracker,
}

// === impl Listening ===

impl Listening {
    /// Binds everything, then accepts on all of it. Connections and listeners run on `tasks`.
    ///
    /// # Errors
    /// The main or the debug address cannot be bound.
    pub async fn start(
        http: Arc<Http>,
        places: Places<'_>,
        limits: Limits,
        stopping: &Stopping,
        tasks: &TaskTracker,
    ) -> Result<Self, ListenError> {
        let (mut main, address) = bind("http.addr", places.main).await?;
        let mut tls_address = None;
        let mut tls = None;
        if let Some(place) = places.tls {
            let refused = http.metrics.handshakes_refused.clone();
            let door = Door::new(place.tls, limits.handshake_time, refused);
            match place.address {
                None => {
                    tls_address = Some(address);
                    main = main.with_tls(door);
                }
                Some(own) => {
                    let (listener, address) = bind("http.tls.addr", own).await?;
                    tls_address = Some(address);
                    tls = Some(listener.with_tls(door));
                }
            }
        }
        let debug = match places.debug {
            Some(debug) => Some(bind("http.debug.addr", debug).await?),
            None => None,
        };
        let debug_address = debug.as_ref().map(|(_, address)| *address);
        let admin = places.admin.and_then(|path| {
            let bound = Listener::bind_owner_only(path);
            bound
                .inspect_err(
                    |error| tracing::warn!(path = %path.display(), %error, "no admin socket"),
                )
                .ok()
        });
        let listeners = TaskTracker::new();
        let all = [
            (Some(main), Face::Main),
            (tls, Face::Main),
            (debug.map(|(debug, _)| debug), Face::Debug),
            (admin, Face::Admin),
        ];
        for (listener, face) in all {
            if let Some(listener) = listener {
                let serving = serve(
                    listener,
                    face,
                    Arc::clone(&http),
                    limits,
                    stopping.clone(),
                    tasks.clone(),
                );
                tasks.spawn(listeners.track_future(serving));
            }
        }
        listeners.close();
        Ok(Self {
            address,
            debug_address,
            tls_address,
            listeners,
        })
    }

    /// The main address, with the port the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address on which TLS is spoken, with the port the system chose; it may be the main one.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// The debug address, with the port the system chose.
    pub fn debug_address(&self) -> Option<SocketAddr> {
        self.debug_address
    }

    /// Waits until all listeners are closed and all their connections have ended, which they do after `stopping`.
    pub async fn ended(&self) {
        self.listeners.wait().await;
    }
}

async fn bind(setting: &'static str, address: &str) -> Result<(Listener, SocketAddr), ListenError> {
    let bound = Listener::bind(address).await;
    bound.map_err(|source| ListenError {
        setting,
        address: address.to_owned(),
        source,
    })
}

/// Answers on one listener until `stopping`, then drains. Returns when every connection of this listener has ended.
async fn serve(
    listener: Listener,
    face: Face,
    http: Arc<Http>,
    limits: Limits,
    stopping: Stopping,
    tasks: TaskTracker,
) {
    let drain = http.settings.drain;
    let service = Arc::new(Service::new(http, face));
    let slots = Arc::new(Semaphore::new(limits.connections));
    let cut = stopping.at_once.child_token();
    while let Some((arrived, peer, slot)) = next(&listener, &slots, &stopping).await {
        let place = Place::new(slot, &service.metrics().connections);
        let service = Arc::clone(&service);
        let stopping = Stopping {
            gently: stopping.gently.clone(),
            at_once: cut.clone(),
        };
        tasks.spawn(async move {
            meet(arrived, peer, service, limits, stopping).await;
            drop(place);
        });
    }
    drop(listener);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    tokio::select! {
        _ = slots.acquire_many(all) => return,
        () = tokio::time::sleep(drain) => tracing::warn!("drain time is over: what still runs is cut"),
        () = stopping.at_once.cancelled() => {}
    }
    cut.cancel();
    let _ = tokio::time::timeout(GOODBYE, slots.acquire_many(all)).await;
}

/// One connection from its handshake, if it has one, to its end. One that has asked for nothing yet is not waited for at a stop.
async fn meet(
    arrived: Arrived,
    peer: Option<SocketAddr>,
    service: Arc<Service>,
    limits: Limits,
    stopping: Stopping,
) {
    let socket = match arrived {
        Arrived::Ready(socket) => socket,
        Arrived::BeforeTls(stream, door) => {
            let ready = tokio::select! {
                ready = Box::pin(door.open(stream, peer)) => ready,
                () = stopping.gently.cancelled() => None,
                () = stopping.at_once.cancelled() => None,
            };
            let Some(socket) = ready else { return };
            socket
        }
    };
    let caller = Arc::new(Caller {
        service,
        peer,
        handover: socket.handover(),
    });
    let answer = move |request| Service::answer(Arc::clone(&caller), request);
    connection::run(socket, answer, limits, stopping).await;
}

/// The next connection and its slot, or `None` when it is time to stop.
async fn next(
    listener: &Listener,
    slots: &Arc<Semaphore>,
    stopping: &Stopping,
) -> Option<(Arrived, Option<SocketAddr>, OwnedSemaphorePermit)> {
    let accepted = async {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((arrived, peer)) => return Some((arrived, peer, slot)),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(REST_AFTER_REFUSAL).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = stopping.gently.cancelled() => None,
        () = stopping.at_once.cancelled() => None,
        accepted = accepted => accepted,
    }
}

/// The place that a connection takes, given back when it is dropped.
struct Place {
    _slot: OwnedSemaphorePermit,
    open: Gauge,
}

// === impl Place ===

impl Place {
    fn new(slot: OwnedSemaphorePermit, open: &Gauge) -> Self {
        open.inc();
        Self {
            _slot: slot,
            open: open.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}
