//! One connection: HTTP/1.1 by hyper, and an end that the other side can read.
//!
//! A connection never ends with a reset of ours: a client that sees RST may throw away what it has received, and resumes only
//! after a plain early end. So our side is closed first, then what still comes in is read and dropped for a moment.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::handover::Handover;
use super::layers::Service;
use super::listen::{Limits, Stopping};
use super::socket::Socket;

/// How long bytes of a body that nobody wants are read and dropped after our side was closed.
const LINGER: Duration = Duration::from_secs(2);

/// The same when the process must end: docker kills it two seconds after the drain time.
const LAST_LINGER: Duration = Duration::from_millis(200);

/// Who is at the other end, and what answers. One per connection, so that counting its references stays on one core.
pub(super) struct Caller {
    pub(super) service: Arc<Service>,
    /// `None` on a Unix socket.
    pub(super) peer: Option<SocketAddr>,
    /// Where pieces of files go, if the socket can send them.
    pub(super) handover: Option<Arc<Handover>>,
}

/// How a connection ended.
enum End {
    /// Both sides said what they had to say, or the other side went away.
    Closed,
    /// Our side must go: a body broke, the head was late or malformed, or shutdown would not wait.
    Cut,
}

/// Serves one connection to its end. `answer` never fails: whatever goes wrong is an answer, or a body that breaks.
pub(super) async fn run<A, F, B>(socket: Socket, answer: A, limits: Limits, stopping: Stopping)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.buffer_bytes)
        .max_headers(limits.header_lines)
        // Bytes that stand for pieces of files must come to the socket as they are, not copied together.
        .writev(true)
        .serve_connection(TokioIo::new(socket), service_fn(answer));
    let mut draining = false;
    let end = loop {
        tokio::select! {
            biased;
            ended = &mut connection => break if ended.is_ok() { End::Closed } else { End::Cut },
            () = stopping.at_once.cancelled() => break End::Cut,
            () = stopping.gently.cancelled(), if !draining => {
                draining = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let mut socket = connection.into_parts().io.into_inner();
    if matches!(end, End::Cut) {
        // An error here means the other side is gone already. With TLS there may be bytes to write first, which a caller that has
        // stopped reading would never take.
        let _ = tokio::time::timeout(LAST_LINGER, socket.shutdown()).await;
    }
    let linger = if stopping.at_once.is_cancelled() {
        LAST_LINGER
    } else {
        LINGER
    };
    let _ = tokio::time::timeout(linger, drop_what_comes(&mut socket)).await;
}

/// Reads until the other side has closed too.
async fn drop_what_comes(socket: &mut Socket) {
    // On the heap: an array here would be part of every connection's task.
    let mut unwanted = vec![0; 16 * 1024];
    while let Ok(1..) = socket.read(&mut unwanted).await {}
}
