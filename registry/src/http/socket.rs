//! Sockets before HTTP: a closed set of kinds, plain, with TLS, and of Unix.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::fs::Mode;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream};
use tokio_rustls::server::TlsStream;

use super::handover::{self, Handover};
use super::handshake::Door;

/// Who may read and write the admin socket: its owner.
const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// A socket that accepts connections.
pub(super) enum Listener {
    /// TCP without TLS.
    Plain(TcpListener),
    /// TCP with TLS.
    Tls(TcpListener, Arc<Door>),
    /// A Unix socket.
    Unix(UnixListener),
}

// === impl Listener ===

impl Listener {
    /// Binds a TCP address, for example `:5000` (every address, IPv6 and IPv4), `127.0.0.1:0` or `localhost:5000`; says which
    /// address it became.
    ///
    /// # Errors
    /// What the system says: in use, not permitted, no such name.
    pub(super) async fn bind(address: &str) -> io::Result<(Self, SocketAddr)> {
        let bound = match address.strip_prefix(':') {
            None => TcpListener::bind(address).await,
            Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
                Err(error) if lacks_ipv6(&error) => {
                    TcpListener::bind(format!("0.0.0.0:{port}")).await
                }
                bound => bound,
            },
        };
        let listener = bound?;
        let address = listener.local_addr()?;
        Ok((Self::Plain(listener), address))
    }

    /// Binds a Unix socket that only its owner may use. A socket left behind by an earlier process is replaced: the caller holds
    /// the lock of the store it lies in.
    ///
    /// # Errors
    /// What the system says; a path beyond about a hundred bytes is refused by every Unix.
    pub(super) fn bind_owner_only(path: &Path) -> io::Result<Self> {
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

    /// The same socket, on which TLS is spoken.
    pub(super) fn with_tls(self, door: Door) -> Self {
        match self {
            Self::Plain(listener) | Self::Tls(listener, _) => Self::Tls(listener, Arc::new(door)),
            Self::Unix(_) => self,
        }
    }

    /// The next connection, and who is at its other end. Waits for nothing that the other end has to say.
    pub(super) async fn accept(&self) -> io::Result<(Arrived, Option<SocketAddr>)> {
        match self {
            Self::Plain(listener) => {
                let (stream, peer) = accept_tcp(listener).await?;
                let socket = Socket::Plain(stream, Arc::default());
                Ok((Arrived::Ready(socket), Some(peer)))
            }
            Self::Tls(listener, door) => {
                let (stream, peer) = accept_tcp(listener).await?;
                Ok((Arrived::BeforeTls(stream, Arc::clone(door)), Some(peer)))
            }
            Self::Unix(listener) => listener
                .accept()
                .await
                .map(|(stream, _)| (Arrived::Ready(Socket::Unix(stream)), None)),
        }
    }
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    // Heads and last pieces must not wait for an acknowledgement.
    stream.set_nodelay(true)?;
    Ok((stream, peer))
}

/// A connection that was accepted.
pub(super) enum Arrived {
    /// HTTP can be spoken on it.
    Ready(Socket),
    /// The handshake comes first.
    BeforeTls(TcpStream, Arc<Door>),
}

/// A kernel that was started without IPv6.
fn lacks_ipv6(error: &io::Error) -> bool {
    let number = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    matches!(
        number,
        Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL)
    )
}

/// One connection, before HTTP.
#[derive(Debug)]
pub(super) enum Socket {
    /// TCP without TLS.
    Plain(TcpStream, Arc<Handover>),
    /// TCP with TLS: every byte goes through the cipher, so that nothing can be sent from where it lies.
    Tls(Box<TlsStream<TcpStream>>),
    /// A Unix socket.
    Unix(UnixStream),
}

/// Runs `$call` on whichever stream it is.
macro_rules! on_stream {
    ($socket:expr, $stream:ident => $call:expr) => {
        match $socket.get_mut() {
            Socket::Plain($stream, _) => {
                let $stream = Pin::new($stream);
                $call
            }
            Socket::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
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

impl Socket {
    /// Where pieces of files go, if this kind of socket can send them.
    pub(super) fn handover(&self) -> Option<Arc<Handover>> {
        match self {
            Self::Plain(_, handover) => Some(Arc::clone(handover)),
            Self::Tls(_) | Self::Unix(_) => None,
        }
    }
}

/// Sends from a file what `length` stand-in bytes stand for.
fn poll_send(
    stream: &TcpStream,
    handover: &Handover,
    length: usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(context))?;
        match stream.try_io(Interest::WRITABLE, || handover.send(stream, length)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
}

/// Writes what a piece of a file follows at once, so that the system sends both together.
fn poll_write_before_more(
    stream: &TcpStream,
    pieces: &[io::IoSlice<'_>],
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut control = SendAncillaryBuffer::default();
    loop {
        ready!(stream.poll_write_ready(context))?;
        let write = || Ok(sendmsg(stream, pieces, &mut control, SendFlags::MORE)?);
        match stream.try_io(Interest::WRITABLE, write) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
}

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
        if handover::is_stand_in(bytes) {
            return Poll::Ready(Err(handover::out_of_step()));
        }
        on_stream!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let is_stand_in = |piece: &io::IoSlice<'_>| handover::is_stand_in(piece);
        match (&*self, pieces.iter().position(is_stand_in)) {
            (_, None) => on_stream!(self, stream => stream.poll_write_vectored(context, pieces)),
            (Self::Plain(stream, handover), Some(0)) => {
                let length = pieces.first().map_or(0, |piece| piece.len());
                poll_send(stream, handover, length, context)
            }
            (Self::Plain(stream, _), Some(before)) => {
                let pieces = pieces.get(..before).unwrap_or_default();
                poll_write_before_more(stream, pieces, context)
            }
            (Self::Tls(_) | Self::Unix(_), Some(before)) => {
                let pieces = pieces.get(..before).unwrap_or_default();
                on_stream!(self, stream => stream.poll_write_vectored(context, pieces))
            }
        }
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
