//! Requests as they arrived, all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The query as sent, without `?`; empty when there is none.
    pub query: String,
    /// Header lines as sent, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Which connection it came on, counted from 1.
    pub connection: u64,
    /// When its head had arrived.
    pub at: Instant,
}

impl Request {
    /// The first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All headers of this name.
    pub fn headers_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The values of this query parameter, percent-decoded.
    pub fn parameters(&self, name: &str) -> Vec<String> {
        url::form_urlencoded::parse(self.query.as_bytes())
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    /// The first value of this query parameter.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name).into_iter().next()
    }

    /// The repository that a path below `/v2/` speaks of.
    pub fn repository(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("/v2/")?;
        let kinds = ["/blobs/", "/manifests/", "/tags/", "/referrers/"];
        kinds
            .iter()
            .filter_map(|kind| rest.rfind(kind))
            .max()
            .map(|end| &rest[..end])
    }
}

/// A request with what became of its answer. Derefs to the request.
#[derive(Clone, Debug)]
pub struct Recorded {
    request: Arc<Request>,
    pub(super) progress: Arc<Progress>,
}

/// How far the answer has got.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) status: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) done: AtomicBool,
}

impl std::ops::Deref for Recorded {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

impl Recorded {
    /// How many body bytes have gone to the socket.
    pub fn bytes_sent(&self) -> u64 {
        self.progress.bytes.load(Ordering::SeqCst)
    }

    /// The status that was answered; 0 before its headers were written.
    pub fn status(&self) -> u64 {
        self.progress.status.load(Ordering::SeqCst)
    }

    /// Whether the whole answer was written, as it was planned.
    pub fn is_done(&self) -> bool {
        self.progress.done.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
pub(super) struct Records(Mutex<Vec<Recorded>>);

impl Records {
    pub(super) fn add(&self, request: Request) -> Recorded {
        let recorded = Recorded {
            request: Arc::new(request),
            progress: Arc::default(),
        };
        self.0.lock().push(recorded.clone());
        recorded
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        self.0.lock().clone()
    }

    pub(super) fn of(&self, method: &str, path: &str) -> Vec<Recorded> {
        self.0
            .lock()
            .iter()
            .filter(|recorded| matches(recorded, method, path))
            .cloned()
            .collect()
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Whether a request has this method (`*`: any) and this path, in which `*` stands for anything.
pub fn matches(request: &Request, method: &str, path: &str) -> bool {
    let target = if path.contains('?') {
        format!("{}?{}", request.path, request.query)
    } else {
        request.path.clone()
    };
    (method == "*" || method == request.method) && glob(path.as_bytes(), target.as_bytes())
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|skipped| glob(rest, &text[skipped..])),
        (Some((wanted, rest)), Some((byte, text))) => wanted == byte && glob(rest, text),
        _ => false,
    }
}
