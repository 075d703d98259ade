//! A caller that sees everything: how an answer was framed, when its first byte came, and how it ended.
//!
//! One connection per call, plain HTTP/1.1 by hand: a library would hide what is to be judged here.

mod connection;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use connection::{Connection, Way};

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As its framing promised.
    Complete,
    /// The connection was closed in order before that.
    Short,
    /// The connection was reset.
    Reset,
    /// Nothing more came in time.
    TimedOut,
}

/// A call to be made.
#[derive(Clone, Debug)]
pub struct Call {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    patience: Duration,
    way: Way,
}

/// An answer whose head has come.
#[derive(Debug)]
pub struct Opened {
    stream: Box<dyn Connection>,
    buffer: BytesMut,
    framing: Framed,
    patience: Duration,
    began: Instant,
    /// The status.
    pub status: u16,
    /// The header lines, in order.
    pub headers: Vec<(String, String)>,
    /// Time from the call to the end of the head.
    pub head_after: Duration,
    /// How the body ended, once it has.
    pub ended: Option<Ended>,
}

#[derive(Clone, Copy, Debug)]
enum Framed {
    Left(u64),
    Chunked,
    UntilClose,
}

/// An answer that has come to its end, good or bad.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The status; 0 when no head came.
    pub status: u16,
    /// The header lines, in order.
    pub headers: Vec<(String, String)>,
    /// What came of the body.
    pub body: Bytes,
    /// How it ended.
    pub ended: Ended,
    /// Time from the call to the first byte of the body, if one came.
    pub first_byte_after: Option<Duration>,
    /// Time from the call to the end.
    pub whole_after: Duration,
}

/// A GET of a path that begins with `/`.
pub fn get(target: &str) -> Call {
    call("GET", target)
}

/// A HEAD.
pub fn head(target: &str) -> Call {
    call("HEAD", target)
}

/// Any method.
pub fn call(method: &str, target: &str) -> Call {
    Call {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: Bytes::new(),
        patience: Duration::from_secs(30),
        way: Way::default(),
    }
}

impl Call {
    /// One more header line.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A `Range`.
    #[must_use]
    pub fn range(self, range: &str) -> Self {
        self.header("Range", range)
    }

    /// Basic credentials.
    #[must_use]
    pub fn basic(self, user: &str, password: &str) -> Self {
        let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.header("Authorization", &format!("Basic {both}"))
    }

    /// A body with its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.headers
            .push(("Content-Length".to_owned(), self.body.len().to_string()));
        self
    }

    /// Bytes after the head, whatever the headers promise about them.
    #[must_use]
    pub fn raw(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = bytes.into();
        self
    }

    /// A body in these chunks, without a length.
    #[must_use]
    pub fn chunked<'a>(self, chunks: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut body = BytesMut::new();
        for chunk in chunks.into_iter().filter(|chunk| !chunk.is_empty()) {
            body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(chunk);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        self.header("Transfer-Encoding", "chunked").raw(body)
    }

    /// Waits this long for each piece instead of 30 s.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Calls `host` (`address:port`) and reads to the end.
    pub async fn send(&self, host: &str) -> Answered {
        let began = Instant::now();
        match self.open(host).await {
            Ok(opened) => opened.finish().await,
            Err(ended) => Answered {
                status: 0,
                headers: Vec::new(),
                body: Bytes::new(),
                ended,
                first_byte_after: None,
                whole_after: began.elapsed(),
            },
        }
    }

    /// Calls `host` and reads the head only.
    pub async fn open(&self, host: &str) -> Result<Opened, Ended> {
        let began = Instant::now();
        let connecting = tokio::time::timeout(self.patience, self.way.connect(host));
        let mut stream = connecting
            .await
            .map_err(|_| Ended::TimedOut)?
            .map_err(|_| Ended::Reset)?;
        let mut request = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            write!(request, "Host: {host}\r\n").unwrap();
        }
        for (name, value) in &self.headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        request.push_str("Connection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .map_err(|_| Ended::Reset)?;
        stream.write_all(&self.body).await.ok();
        let mut opened = Opened {
            stream,
            buffer: BytesMut::new(),
            framing: Framed::UntilClose,
            patience: self.patience,
            began,
            status: 0,
            headers: Vec::new(),
            head_after: Duration::ZERO,
            ended: None,
        };
        opened.read_head(self.method == "HEAD").await?;
        Ok(opened)
    }
}

fn header_of<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

impl Opened {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header_of(&self.headers, name)
    }

    async fn fill(&mut self) -> Result<(), Ended> {
        match tokio::time::timeout(self.patience, self.stream.read_buf(&mut self.buffer)).await {
            Err(_) => Err(Ended::TimedOut),
            Ok(Err(_)) => Err(Ended::Reset),
            Ok(Ok(0)) => Err(Ended::Short),
            Ok(Ok(_)) => Ok(()),
        }
    }

    async fn read_line(&mut self) -> Result<String, Ended> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer.split_to(end)).into_owned();
                self.buffer.advance(2);
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    async fn read_head(&mut self, bodiless: bool) -> Result<(), Ended> {
        let first = self.read_line().await?;
        self.status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        loop {
            let line = self.read_line().await?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                self.headers
                    .push((name.to_owned(), value.trim().to_owned()));
            }
        }
        self.head_after = self.began.elapsed();
        let chunked = self
            .header("Transfer-Encoding")
            .is_some_and(|value| value.contains("chunked"));
        let length = self
            .header("Content-Length")
            .and_then(|length| length.parse().ok());
        self.framing = match length {
            _ if bodiless || matches!(self.status, 204 | 304) => Framed::Left(0),
            _ if chunked => Framed::Chunked,
            Some(length) => Framed::Left(length),
            None => Framed::UntilClose,
        };
        Ok(())
    }

    /// The next piece of the body; nothing when it has ended, and [`Opened::ended`] says how.
    pub async fn piece(&mut self) -> Option<Bytes> {
        if self.ended.is_some() {
            return None;
        }
        match self.next_piece().await {
            Ok(piece) => Some(piece),
            Err(ended) => {
                self.ended = Some(ended);
                None
            }
        }
    }

    async fn next_piece(&mut self) -> Result<Bytes, Ended> {
        match self.framing {
            Framed::Left(0) => Err(Ended::Complete),
            Framed::Left(left) => {
                if self.buffer.is_empty() {
                    self.fill().await?;
                }
                let count = self
                    .buffer
                    .len()
                    .min(usize::try_from(left).unwrap_or(usize::MAX));
                self.framing = Framed::Left(left - count as u64);
                Ok(self.buffer.split_to(count).freeze())
            }
            Framed::UntilClose => {
                if self.buffer.is_empty() {
                    self.fill().await.map_err(|ended| {
                        if ended == Ended::Short {
                            Ended::Complete
                        } else {
                            ended
                        }
                    })?;
                }
                Ok(self.buffer.split().freeze())
            }
            Framed::Chunked => self.next_chunk().await,
        }
    }

    async fn next_chunk(&mut self) -> Result<Bytes, Ended> {
        let line = self.read_line().await?;
        let size = line
            .split(';')
            .next()
            .and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let size = size.ok_or(Ended::Short)?;
        while self.buffer.len() < size + 2 {
            self.fill().await?;
        }
        let chunk = self.buffer.split_to(size).freeze();
        self.buffer.advance(2);
        if size == 0 {
            Err(Ended::Complete)
        } else {
            Ok(chunk)
        }
    }

    /// Reads on until at least `count` body bytes have come, or the end.
    pub async fn read(&mut self, count: usize) -> Bytes {
        let mut body = BytesMut::new();
        while body.len() < count {
            let Some(piece) = self.piece().await else {
                break;
            };
            body.extend_from_slice(&piece);
        }
        body.freeze()
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> Answered {
        let mut body = BytesMut::new();
        let mut first = None;
        while let Some(piece) = self.piece().await {
            first = first.or_else(|| Some(self.began.elapsed()));
            body.extend_from_slice(&piece);
        }
        Answered {
            status: self.status,
            headers: self.headers,
            body: body.freeze(),
            ended: self.ended.unwrap_or(Ended::Complete),
            first_byte_after: first,
            whole_after: self.began.elapsed(),
        }
    }
}

impl Answered {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header_of(&self.headers, name)
    }

    /// Whether the body is complete, as its framing tells.
    pub fn is_complete(&self) -> bool {
        self.ended == Ended::Complete && self.status != 0
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    /// The code of the first error in the specification's error body; empty when it is no such body.
    pub fn error_code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["errors"][0]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}
