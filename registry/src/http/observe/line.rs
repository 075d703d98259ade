//! The line of one request in the access log.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cistern_oci::{Digest, Endpoint, Resource};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use ipnet::IpNet;

use super::BodyEnd;
use crate::http::ACCESS;
use crate::http::request::{Asked, parameter_of};
use crate::http::request_id::RequestId;
use crate::metrics::{Action, Label};
use crate::pull::Served;

/// No host has a longer name.
const LONGEST_NAMESPACE: usize = 255;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// What the line will say. Shares what it can with the request; formats nothing before it is written.
pub(super) struct Line {
    method: Method,
    uri: Uri,
    action: Action,
    endpoint: Option<Endpoint>,
    request_id: RequestId,
    peer: Option<SocketAddr>,
    forwarded: Option<IpAddr>,
    user_agent: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
    status: Option<StatusCode>,
    digest: Option<Digest>,
    served: Option<Served>,
    failure: Option<String>,
}

// === impl Line ===

impl Line {
    pub(super) fn of(
        head: &Parts,
        asked: &Asked,
        request_id: &RequestId,
        peer: Option<SocketAddr>,
        trusted: &[IpNet],
    ) -> Self {
        let headers = &head.headers;
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            action: asked.action,
            endpoint: asked.endpoint().cloned(),
            request_id: request_id.clone(),
            peer,
            forwarded: peer.and_then(|peer| forwarded_for(peer.ip(), headers, trusted)),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            authorization: headers.get(header::AUTHORIZATION).cloned(),
            status: None,
            digest: None,
            served: None,
            failure: None,
        }
    }

    pub(super) fn answered(
        &mut self,
        status: StatusCode,
        digest: Option<Digest>,
        served: Option<Served>,
    ) {
        self.status = Some(status);
        self.digest = digest;
        self.served = served;
    }

    pub(super) fn failed(&mut self, why: String) {
        self.failure = Some(why);
    }

    /// Writes the line. Pages are asked every few seconds by whoever watches over us: theirs are for debugging only.
    pub(super) fn write(self, bytes: u64, end: BodyEnd, lasted: Duration) {
        /// One set of fields for both levels: a level must be constant.
        macro_rules! write_at {
            ($level:expr) => {
                tracing::event!(
                    target: ACCESS,
                    $level,
                    action = self.action.text(),
                    repository = self.endpoint.as_ref().map(|endpoint| tracing::field::display(&endpoint.repository)),
                    reference = self.endpoint.as_ref().and_then(reference).map(tracing::field::display),
                    digest = self.digest.map(tracing::field::display),
                    status = self.status.map(|status| status.as_u16()),
                    bytes,
                    duration_ms = milliseconds(lasted),
                    served = self.served.map(Label::text),
                    end = end.text(),
                    failure = self.failure,
                    caller = asked_by(self.forwarded, self.peer).map(tracing::field::display),
                    user = self.authorization.as_ref().and_then(user_offered).map(|user| tracing::field::display(Escaped(user))),
                    user_agent = self.user_agent.as_ref().map(|agent| tracing::field::display(Escaped(text(agent)))),
                    ns = self.namespace().map(|namespace| tracing::field::display(Escaped(namespace))),
                    request_id = self.request_id.text(),
                    "{} {} {}",
                    self.method,
                    Escaped(self.uri.path().to_owned()),
                    self.status.as_ref().map_or("-", StatusCode::as_str),
                )
            };
        }
        if self.action == Action::Admin {
            write_at!(tracing::Level::DEBUG);
        } else {
            write_at!(tracing::Level::INFO);
        }
    }
}

impl Line {
    /// The registry that a request which found nothing was meant for: the name may be why.
    fn namespace(&self) -> Option<String> {
        let query = self
            .uri
            .query()
            .filter(|_| self.status == Some(StatusCode::NOT_FOUND))?;
        let namespace = parameter_of(query, "ns")?;
        Some(namespace.chars().take(LONGEST_NAMESPACE).collect())
    }
}

/// Who asked. A socket that listens to IPv6 too shows an IPv4 address in IPv6's clothes, by which nobody would look for it.
pub(super) fn asked_by(forwarded: Option<IpAddr>, peer: Option<SocketAddr>) -> Option<IpAddr> {
    let address = forwarded.or(peer.map(|peer| peer.ip()));
    address.map(|address| address.to_canonical())
}

/// Milliseconds to the microsecond: most hits take less than one.
pub(super) fn milliseconds(lasted: Duration) -> f64 {
    (lasted.as_secs_f64() * 1e6).round() / 1e3
}

/// A header as text, whatever bytes it holds.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// What was asked for inside the repository, as the path names it.
fn reference(endpoint: &Endpoint) -> Option<String> {
    match &endpoint.resource {
        Resource::Blob(digest) | Resource::Referrers(digest) => Some(digest.to_string()),
        Resource::Manifest(reference) => Some(reference.to_string()),
        Resource::Upload(upload) => Some(upload.to_string()),
        Resource::Uploads | Resource::Tags => None,
    }
}

/// The user name of a Basic `Authorization`. The password is dropped before anything can print it.
pub(super) fn user_offered(authorization: &HeaderValue) -> Option<String> {
    let (scheme, credentials) = authorization.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut pair = STANDARD.decode(credentials.trim()).ok()?;
    let end = pair.iter().position(|byte| *byte == b':')?;
    pair.truncate(end);
    Some(String::from_utf8_lossy(&pair).into_owned())
}

/// Whether a proxy says whom it speaks for.
pub(in crate::http) fn is_forwarded(headers: &HeaderMap) -> bool {
    [FORWARDED_FOR, header::FORWARDED, REAL_IP]
        .iter()
        .any(|name| headers.contains_key(name))
}

/// The caller behind proxies we trust: the last address, read from the right, that is not one of theirs.
pub(in crate::http) fn forwarded_for(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    walk(peer, headers, trusted).0
}

/// The same for who decides by it: none if the way there leads over something that is no address.
pub(in crate::http) fn certainly_forwarded_for(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let (farthest, is_certain) = walk(peer, headers, trusted);
    farthest.filter(|_| is_certain)
}

/// The last address, read from the right, that is not a trusted proxy's, and whether all on the way could be read.
fn walk(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> (Option<IpAddr>, bool) {
    let is_trusted = |address: &IpAddr| {
        let address = address.to_canonical();
        trusted.iter().any(|net| net.contains(&address))
    };
    if trusted.is_empty() || !is_trusted(&peer) {
        return (None, false);
    }
    let mut farthest = None;
    for line in headers.get_all(FORWARDED_FOR).iter().rev() {
        for entry in line.to_str().unwrap_or_default().rsplit(',') {
            let Some(address) = address(entry.trim()) else {
                return (farthest, false);
            };
            farthest = Some(address);
            if !is_trusted(&address) {
                return (farthest, true);
            }
        }
    }
    (farthest, true)
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().map(|address| address.ip());
    entry
        .parse()
        .or_else(|_| with_port())
        .ok()
        .or_else(|| entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// Text of a caller, with everything that could move a terminal's cursor or forge a line made visible.
pub(super) struct Escaped(pub(super) String);

impl fmt::Display for Escaped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character.is_control() || is_direction(character) {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                fmt::Write::write_char(formatter, character)?;
            }
        }
        Ok(())
    }
}

/// Marks that reorder or break text: bidirectional controls, line and paragraph separators.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
