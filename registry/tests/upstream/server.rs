//! A scripted HTTP/1.1 server: writes exactly what it is told, true or not, and remembers what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// What was sent along; empty without a `Content-Length`.
    pub(crate) body: String,
    /// Which connection it came on, counted from 1.
    pub(crate) connection: usize,
}

/// An answer as it shall be written.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) manner: Manner,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// With a `Content-Length`, unless the headers have one.
    Plain,
    Chunked,
    /// Without any length; the end of the connection ends the body.
    UntilClose,
    /// As `Plain`, but the connection ends after so many bytes of the body.
    CutAfter(usize),
    /// As `Plain`, but nothing comes after so many bytes of the body.
    HangAfter(usize),
    /// Chunks without end.
    Endless,
    /// The connection ends before any byte of the answer.
    Close,
    /// Nothing is ever answered.
    Silent,
    /// The answer begins after a while.
    Late(Duration),
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A running server; stops when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }
}

pub(crate) fn reply(status: u16) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: Vec::new(),
        manner: Manner::Plain,
    }
}

/// 200 with a body.
pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Reply {
    reply(200).body(body)
}

impl Reply {
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", self.status);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        match self.manner {
            Manner::Chunked | Manner::Endless => head.push_str("Transfer-Encoding: chunked\r\n"),
            Manner::UntilClose => head.push_str("Connection: close\r\n"),
            _ if self.has("content-length") => {}
            _ => head.extend(["Content-Length: ", &self.body.len().to_string(), "\r\n"]),
        }
        head.push_str("\r\n");
        head
    }
}

impl Server {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1", None, script).await
    }

    /// A server that gives the listed answers one after the other, the last one for ever.
    pub(crate) async fn sequence(replies: impl Into<VecDeque<Reply>>) -> Self {
        let replies = Mutex::new(replies.into());
        Self::start(move |_| {
            let mut replies = replies.lock();
            if replies.len() > 1 {
                replies.pop_front()
            } else {
                replies.front().cloned()
            }
            .unwrap()
        })
        .await
    }

    pub(crate) async fn at(
        host: &str,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let log = Arc::clone(&seen);
        let accepting = async move {
            for connection in 1.. {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (tls, script, log) = (tls.clone(), Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, connection, &*script, &log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, connection, &*script, &log).await;
                            }
                        }
                    }
                });
            }
        };
        Self {
            address,
            scheme,
            seen,
            task: tokio::spawn(accepting).abort_handle(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }

    pub(crate) fn count(&self, is_it: impl Fn(&Seen) -> bool) -> usize {
        self.seen.lock().iter().filter(|seen| is_it(seen)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S>(mut stream: S, connection: usize, script: &Script, log: &Mutex<Vec<Seen>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(seen) = read_head(&mut stream, connection).await {
        log.lock().push(seen.clone());
        let reply = script(&seen);
        let is_head = seen.method == "HEAD";
        if write(&mut stream, &reply, is_head).await.is_none() {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S, connection: usize) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut seen = Seen {
        method,
        target,
        headers,
        body: String::new(),
        connection,
    };
    let length = seen.header("content-length").unwrap_or("0").parse();
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    seen.body = String::from_utf8(body).unwrap();
    Some(seen)
}

/// Writes an answer; `None` ends the connection.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, reply: &Reply, is_head: bool) -> Option<()> {
    match reply.manner {
        Manner::Close => return None,
        Manner::Silent => std::future::pending().await,
        Manner::Late(delay) => tokio::time::sleep(delay).await,
        _ => {}
    }
    stream.write_all(reply.head().as_bytes()).await.ok()?;
    if is_head {
        return stream.flush().await.ok();
    }
    match reply.manner {
        Manner::CutAfter(bytes) => {
            stream.write_all(&reply.body[..bytes]).await.ok()?;
            stream.flush().await.ok()?;
            return None;
        }
        Manner::HangAfter(bytes) => {
            stream.write_all(&reply.body[..bytes]).await.ok()?;
            stream.flush().await.ok()?;
            std::future::pending::<()>().await;
        }
        Manner::Chunked => {
            for piece in reply.body.chunks(1000) {
                write_chunk(stream, piece).await?;
            }
            stream.write_all(b"0\r\n\r\n").await.ok()?;
        }
        Manner::Endless => loop {
            write_chunk(stream, &[b' '; 16000]).await?;
        },
        Manner::UntilClose => {
            stream.write_all(&reply.body).await.ok()?;
            return None;
        }
        _ => stream.write_all(&reply.body).await.ok()?,
    }
    stream.flush().await.ok()
}

async fn write_chunk<S: AsyncWrite + Unpin>(stream: &mut S, piece: &[u8]) -> Option<()> {
    stream
        .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
        .await
        .ok()?;
    stream.write_all(piece).await.ok()?;
    stream.write_all(b"\r\n").await.ok()
}
