//! The wire: reads requests and writes planned answers, byte by byte.

use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::answer::{Before, Cut, Plan, Point};
use super::record::{Recorded, Request};
use super::{Shared, decide};

const HEAD_LIMIT: usize = 1 << 20;
const PIECE: usize = 64 * 1024;

/// A connection that can be reset.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    /// The socket below.
    fn socket(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Why a connection is over.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// Serves one connection until either side ends it.
pub(super) async fn serve<W: Wire>(shared: &Shared, mut wire: W, number: u64) {
    let mut buffer = BytesMut::new();
    while let Ok(request) = read_request(&mut wire, &mut buffer, number).await {
        let last = request
            .header("Connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let recorded = shared.records.add(request);
        if shared.black_hole.load(Ordering::SeqCst) {
            return wait_for_end(&mut wire).await;
        }
        let plan = decide(shared, &recorded);
        let closes = plan.closes || last;
        if answer(&mut wire, plan, &recorded).await.is_err() {
            return;
        }
        if closes {
            wire.shutdown().await.ok();
            return;
        }
    }
}

/// Says nothing more; ends when the other side does.
async fn wait_for_end<W: Wire>(wire: &mut W) {
    let mut sink = [0; 1024];
    while wire.read(&mut sink).await.is_ok_and(|count| count > 0) {}
}

async fn answer<W: Wire>(wire: &mut W, plan: Plan, recorded: &Recorded) -> Result<(), Over> {
    if plan.silent {
        wait_for_end(wire).await;
        return Err(Over);
    }
    for before in &plan.before {
        match before {
            Before::Wait(time) => tokio::time::sleep(*time).await,
            Before::Gate(gate) => gate.pass().await,
        }
    }
    let progress = &recorded.progress;
    wire.write_all(&plan.head).await?;
    wire.flush().await?;
    progress.status.store(plan.status.into(), Ordering::SeqCst);
    write_body(wire, plan, recorded).await?;
    progress.done.store(true, Ordering::SeqCst);
    Ok(())
}

async fn write_body<W: Wire>(wire: &mut W, plan: Plan, recorded: &Recorded) -> Result<(), Over> {
    let mut points = plan.points.into_iter().peekable();
    let mut sent = 0;
    let (mut body, began) = (plan.body, Instant::now());
    loop {
        while points
            .peek()
            .is_some_and(|(offset, _)| *offset <= sent || body.is_empty())
        {
            let Some((_, point)) = points.next() else {
                break;
            };
            pass(wire, point).await?;
        }
        if body.is_empty() {
            break;
        }
        let until_point = points
            .peek()
            .map_or(usize::MAX, |(offset, _)| offset - sent);
        let rate = plan.rate.as_ref().filter(|rate| rate.holds());
        let paced = rate.map_or(PIECE, |rate| {
            usize::try_from(rate.bytes_per_second / 20)
                .unwrap_or(PIECE)
                .max(1)
        });
        let piece = body.split_to(body.len().min(until_point).min(paced).min(PIECE));
        if plan.chunked {
            wire.write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                .await?;
        }
        wire.write_all(&piece).await?;
        if plan.chunked {
            wire.write_all(b"\r\n").await?;
        }
        wire.flush().await?;
        sent += piece.len();
        recorded
            .progress
            .bytes
            .fetch_add(piece.len() as u64, Ordering::SeqCst);
        if let Some(rate) = rate {
            rate.wait(sent, began.elapsed()).await;
        }
    }
    if plan.chunked {
        wire.write_all(b"0\r\n\r\n").await?;
    }
    wire.flush().await?;
    Ok(())
}

async fn pass<W: Wire>(wire: &mut W, point: Point) -> Result<(), Over> {
    match point {
        Point::Wait(time) => tokio::time::sleep(time).await,
        Point::Gate(gate) => gate.pass().await,
        Point::Cut(Cut::Fin) => {
            wire.shutdown().await.ok();
            return Err(Over);
        }
        Point::Cut(Cut::Reset) => {
            wire.flush().await.ok();
            wire.socket().set_zero_linger().ok();
            return Err(Over);
        }
    }
    Ok(())
}

async fn read_request<W: Wire>(
    wire: &mut W,
    buffer: &mut BytesMut,
    connection: u64,
) -> Result<Request, Over> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > HEAD_LIMIT || wire.read_buf(buffer).await? == 0 {
            return Err(Over);
        }
    };
    let head = String::from_utf8_lossy(&buffer.split_to(end)).into_owned();
    buffer.advance(4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (
        first.next().unwrap_or_default(),
        first.next().unwrap_or_default(),
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let split = |line: &str| {
        line.split_once(':')
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
    };
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: lines.filter_map(split).collect(),
        body: Vec::new(),
        connection,
        at: Instant::now(),
    };
    let length = request
        .header("Content-Length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    while buffer.len() < length {
        if wire.read_buf(buffer).await? == 0 {
            return Err(Over);
        }
    }
    request.body = buffer.split_to(length).to_vec();
    Ok(request)
}
