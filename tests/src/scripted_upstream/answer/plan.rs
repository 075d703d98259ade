//! An answer worked out for one request: what goes over the wire, byte by byte, and where it stops.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;

use super::{Cut, Framing, Ranges, Twist, told};
use crate::scripted_upstream::gate::Gate;
use crate::scripted_upstream::held::Found;
use crate::scripted_upstream::record::Request;

/// What happens before the headers.
#[derive(Clone)]
pub(in crate::scripted_upstream) enum Before {
    Wait(Duration),
    Gate(Gate),
}

/// What happens after so many body bytes.
#[derive(Clone)]
pub(in crate::scripted_upstream) enum Point {
    Wait(Duration),
    Gate(Gate),
    Cut(Cut),
}

/// How fast the body goes.
#[derive(Clone)]
pub(in crate::scripted_upstream) struct Rate {
    pub(in crate::scripted_upstream) bytes_per_second: u64,
    /// It holds until this gate is opened.
    pub(in crate::scripted_upstream) until: Option<Gate>,
}

impl Rate {
    /// Whether it holds now.
    pub(in crate::scripted_upstream) fn holds(&self) -> bool {
        !self.until.as_ref().is_some_and(Gate::is_open)
    }

    /// Waits until `sent` bytes are due that began to be sent so long ago, or the gate is opened.
    pub(in crate::scripted_upstream) async fn wait(&self, sent: usize, for_long: Duration) {
        let due = Duration::from_micros(sent as u64 * 1_000_000 / self.bytes_per_second.max(1));
        let pause = tokio::time::sleep(due.saturating_sub(for_long));
        match &self.until {
            None => pause.await,
            Some(gate) => tokio::select! {
                () = pause => {}
                () = gate.opened() => {}
            },
        }
    }
}

/// Everything the wire must know.
pub(in crate::scripted_upstream) struct Plan {
    pub(in crate::scripted_upstream) before: Vec<Before>,
    pub(in crate::scripted_upstream) status: u16,
    pub(in crate::scripted_upstream) head: Bytes,
    pub(in crate::scripted_upstream) body: Bytes,
    pub(in crate::scripted_upstream) chunked: bool,
    pub(in crate::scripted_upstream) points: Vec<(usize, Point)>,
    pub(in crate::scripted_upstream) rate: Option<Rate>,
    pub(in crate::scripted_upstream) closes: bool,
    pub(in crate::scripted_upstream) silent: bool,
}

impl Plan {
    fn nothing() -> Self {
        Self {
            before: Vec::new(),
            status: 0,
            head: Bytes::new(),
            body: Bytes::new(),
            chunked: false,
            points: Vec::new(),
            rate: None,
            closes: true,
            silent: false,
        }
    }

    pub(super) fn silence() -> Self {
        Self {
            silent: true,
            ..Self::nothing()
        }
    }

    pub(super) fn hang_up(cut: Cut, twists: &[Twist]) -> Self {
        Self {
            before: before(twists),
            points: vec![(0, Point::Cut(cut))],
            ..Self::nothing()
        }
    }

    pub(super) fn raw(bytes: Bytes, twists: &[Twist]) -> Self {
        Self {
            before: before(twists),
            points: points(twists),
            body: bytes,
            ..Self::nothing()
        }
    }
}

fn before(twists: &[Twist]) -> Vec<Before> {
    let mut found = Vec::new();
    for twist in twists {
        if let Twist::Before(before) = twist {
            found.push(before.clone());
        }
    }
    found
}

fn points(twists: &[Twist]) -> Vec<(usize, Point)> {
    let mut found = Vec::new();
    for twist in twists {
        if let Twist::At(offset, point) = twist {
            found.push((*offset, point.clone()));
        }
    }
    found.sort_by_key(|(offset, _)| *offset);
    found
}

fn last_of<T>(twists: &[Twist], pick: impl Fn(&Twist) -> Option<T>) -> Option<T> {
    twists.iter().rev().find_map(pick)
}

pub(super) fn make(mut found: Found, twists: &[Twist], request: &Request) -> Plan {
    told(&mut found, twists, request);
    let ranges = last_of(twists, |twist| {
        if let Twist::Ranges(ranges) = twist {
            Some(*ranges)
        } else {
            None
        }
    });
    cut_range(&mut found, request, ranges.unwrap_or(Ranges::Honour));
    let framing = last_of(twists, |twist| {
        if let Twist::Framing(framing) = twist {
            Some(*framing)
        } else {
            None
        }
    });
    let framing = framing.unwrap_or(Framing::Length);
    let bodiless = found.status == 304 || found.status == 204;
    frame(&mut found, framing, bodiless);
    let said_close = twists.iter().any(|twist| matches!(twist, Twist::Close));
    let closes = said_close
        || matches!(
            framing,
            Framing::UntilClose | Framing::Http10 | Framing::Declared(_)
        );
    if closes {
        found.set("Connection", "close");
    }
    for twist in twists {
        match twist {
            Twist::SetHeader(name, value) => found.set(name, value),
            Twist::AddHeader(name, value) => found.headers.push((name.clone(), value.clone())),
            Twist::RemoveHeader(name) => found.remove(name),
            _ => {}
        }
    }
    let silent_body = request.method == "HEAD" || bodiless;
    Plan {
        before: before(twists),
        status: found.status,
        head: head(&found, framing),
        body: if silent_body {
            Bytes::new()
        } else {
            found.body
        },
        chunked: framing == Framing::Chunked && !silent_body,
        points: points(twists),
        rate: last_of(twists, |twist| {
            if let Twist::Rate(rate) = twist {
                Some(rate.clone())
            } else {
                None
            }
        }),
        closes,
        silent: false,
    }
}

fn frame(found: &mut Found, framing: Framing, bodiless: bool) {
    match framing {
        Framing::Length if bodiless => {}
        Framing::Length => found.set("Content-Length", &found.body.len().to_string()),
        Framing::Declared(length) => found.set("Content-Length", &length.to_string()),
        Framing::Chunked => found.set("Transfer-Encoding", "chunked"),
        Framing::UntilClose | Framing::Http10 => {}
    }
}

fn head(found: &Found, framing: Framing) -> Bytes {
    let version = if framing == Framing::Http10 {
        "1.0"
    } else {
        "1.1"
    };
    let mut head = format!(
        "HTTP/{version} {} {}\r\n",
        found.status,
        reason(found.status)
    );
    for (name, value) in &found.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    head.into()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Scripted",
    }
}

/// Applies the request's `Range` to content that allows it.
fn cut_range(found: &mut Found, request: &Request, ranges: Ranges) {
    let size = found.body.len();
    let asked = request
        .header("Range")
        .filter(|_| found.ranged && found.status == 200 && request.method == "GET");
    let Some(range) = asked.and_then(|range| range.strip_prefix("bytes=")) else {
        return;
    };
    if let Ranges::Refuse(status) = ranges {
        *found = Found::fixed(status, Bytes::from_static(b"no such range\n"));
        return;
    }
    if ranges == Ranges::Ignore || range.contains(',') {
        return;
    }
    let Some((mut first, last)) = read_range(range, size) else {
        *found = Found::fixed(416, Bytes::new());
        found.set("Content-Range", &format!("bytes */{size}"));
        return;
    };
    if ranges == Ranges::WrongStart && first < last {
        first += 1;
    }
    found.status = 206;
    found.body = found.body.slice(first..=last);
    let total = if ranges == Ranges::NoTotal {
        "*".to_owned()
    } else {
        size.to_string()
    };
    if ranges != Ranges::NoHeader {
        found.set("Content-Range", &format!("bytes {first}-{last}/{total}"));
    }
}

/// First and last byte, or nothing when there is nothing to send.
fn read_range(range: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = range.split_once('-')?;
    let end = size.checked_sub(1)?;
    if first.is_empty() {
        let length: usize = last.parse().ok().filter(|length| *length > 0)?;
        return Some((size.saturating_sub(length), end));
    }
    let first: usize = first.parse().ok()?;
    let last = if last.is_empty() {
        end
    } else {
        last.parse().ok()?
    };
    (first <= end && first <= last).then_some((first, last.min(end)))
}
