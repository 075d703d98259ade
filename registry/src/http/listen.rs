//! Sockets: binding, accepting, limits, and the way out.
//!
//! A listener is one of a closed set, so that TLS can be added as another variant. Accepting stops at a signal; connections that
//! idle are closed then, bodies that run may finish until the drain time is over.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::fs::Mode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Http;
use super::connection::{self, Caller};
use super::layers::{Face, Service};

/// How long accepting rests after the system refused a connection, as when descriptors run out.
const REST_AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// How long cut connections get to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// Who may read and write the admin socket: its owner.
const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// What one listener allows. The defaults are right for a gateway with some thousand children.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the backlog.
    pub connections: usize,
    /// How long the head of a request may take, and how long a kept-alive connection may idle.
    pub head_time: Duration,
    /// The longest head of a request, and how much of a body may wait for a slow caller, in bytes.
    pub buffer_bytes: usize,
    /// The most header lines of a request.
    pub header_lines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8192,
            head_time: Duration::from_secs(90),
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

/// A socket that accepts connections.
#[derive(Debug)]
pub enum Listener {
    /// TCP without TLS.
    Plain(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

// === impl Listener ===

impl Listener {
    /// Binds a TCP address, for example `:5000` (all addresses, IPv6 and IPv4), `127.0.0.1:0` or `localhost:5000`.
    ///
    /// # Errors
    /// What the system says: in use, not permitted, no such name.
    pub async fn bind(address: &str) -> io::Result<Self> {
        let listener = match address.strip_prefix(':') {
            Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
                Ok(listener) => listener,
                // A kernel without IPv6.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
                Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await?,
            },
            None => TcpListener::bind(address).await?,
        };
        Ok(Self::Plain(listener))
    }

    /// Binds a Unix socket that only its owner may use. A socket left behind by an earlier process is replaced: the caller holds
    /// the lock of the store it lies in.
    ///
    /// # Errors
    /// What the system says; a path beyond about a hundred bytes is refused by every Unix.
    pub fn bind_owner_only(path: &Path) -> io::Result<Self> {
        match rustix::fs::unlink(path) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = UnixSocket::new_stream()?;
        // Linux takes the mode of the new file from the socket, so that there is no moment in which others could connect.
        let _ = rustix::fs::fchmod(socket.as_fd(), OWNER_ONLY);
        socket.bind(path)?;
        rustix::fs::chmod(path, OWNER_ONLY)?;
        socket.listen(BACKLOG).map(Self::Unix)
    }

    /// The TCP address that was bound, with the port the system chose.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    async fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Self::Plain(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Heads and last pieces must not wait for an acknowledgement.
                stream.set_nodelay(true)?;
                Ok((Socket::Plain(stream), Some(peer)))
            }
            Self::Unix(listener) => listener
                .accept()
                .await
                .map(|(stream, _)| (Socket::Unix(stream), None)),
        }
    }
}

/// Answers on one listener until `stopping`, then drains. Returns when every connection of this listener has ended.
pub async fn serve(
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
    while let Some((socket, peer, slot)) = next(&listener, &slots, &stopping).await {
        let caller = Arc::new(Caller {
            service: Arc::clone(&service),
            peer,
        });
        let stopping = Stopping {
            gently: stopping.gently.clone(),
            at_once: cut.clone(),
        };
        tasks.spawn(async move {
            connection::run(socket, caller, limits, stopping).await;
            drop(slot);
        });
    }
    drop(listener);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    tokio::select! {
        _ = slots.acquire_many(all) => return,
        () = tokio::time::sleep(drain) => tracing::warn!(open = limits.connections - slots.available_permits(), "drain time is over: connections are cut"),
        () = stopping.at_once.cancelled() => {}
    }
    cut.cancel();
    let _ = tokio::time::timeout(GOODBYE, slots.acquire_many(all)).await;
}

/// The next connection and its slot, or `None` when it is time to stop.
async fn next(
    listener: &Listener,
    slots: &Arc<Semaphore>,
    stopping: &Stopping,
) -> Option<(Socket, Option<SocketAddr>, OwnedSemaphorePermit)> {
    let accepted = async {
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => return Some((socket, peer, slot)),
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

/// One connection, before HTTP.
#[derive(Debug)]
pub(super) enum Socket {
    /// TCP without TLS.
    Plain(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

/// Runs `$call` on whichever stream it is.
macro_rules! on_stream {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket.get_mut() {
            Socket::Plain($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Socket::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
        }
    };
}

// === impl Socket ===

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => stream.poll_write_vectored(context, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_shutdown(context))
    }
}
