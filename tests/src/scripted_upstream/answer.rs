//! What an answer is made of: something to answer, and everything that can go wrong with it on the way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::gate::Gate;
use super::held::{Found, Held};
use super::record::Request;
use crate::images::gzip;

mod plan;

pub(super) use plan::{Before, Plan, Point, Rate};

/// How a connection ends in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Closed in order: the reader sees a short body.
    Fin,
    /// Reset: the reader sees `ECONNRESET`.
    Reset,
}

/// How the reader learns where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `Content-Length`, and it is true.
    Length,
    /// `Content-Length` says this, whatever is sent.
    Declared(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Nothing but the end of the connection.
    UntilClose,
    /// As an HTTP/1.0 server: no length, the connection ends.
    Http10,
}

/// How a `Range` of a held blob or file is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// 206 as asked.
    Honour,
    /// 200 with everything.
    Ignore,
    /// This status.
    Refuse(u16),
    /// 206 whose `Content-Range` and bytes begin one byte later than asked.
    WrongStart,
    /// 206 with `/*` for the total.
    NoTotal,
    /// 206 without `Content-Range`.
    NoHeader,
}

type Decision = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

#[derive(Clone)]
enum Base {
    Held,
    Fixed { status: u16, body: Bytes },
    Silence,
    HangUp(Cut),
    Raw(Bytes),
    By(Decision),
}

#[derive(Clone)]
enum Twist {
    SetHeader(String, String),
    AddHeader(String, String),
    RemoveHeader(String),
    Before(Before),
    At(usize, Point),
    Rate(Rate),
    Flip(usize),
    Shorten(usize),
    Lengthen(Bytes),
    Framing(Framing),
    Ranges(Ranges),
    Gzip { only_if_asked: bool },
    Close,
}

/// One answer, built from a beginning ([`Answer::held`], [`Answer::status`], …) and changes to it, in any number.
#[derive(Clone)]
pub struct Answer {
    base: Base,
    twists: Vec<Twist>,
}

impl Answer {
    fn new(base: Base) -> Self {
        Self {
            base,
            twists: Vec::new(),
        }
    }

    fn and(mut self, twist: Twist) -> Self {
        self.twists.push(twist);
        self
    }

    /// What a correct registry answers from what the upstream holds.
    pub fn held() -> Self {
        Self::new(Base::Held)
    }

    /// This status, from 400 up with an error body in the specification's form.
    pub fn status(status: u16) -> Self {
        let body = if status < 400 {
            Bytes::new()
        } else {
            error_body(status)
        };
        let answer = Self::new(Base::Fixed { status, body });
        if status < 400 {
            answer
        } else {
            answer.header("Content-Type", "application/json")
        }
    }

    /// This status, type and body.
    pub fn body(status: u16, media_type: &str, body: impl Into<Bytes>) -> Self {
        Self::new(Base::Fixed {
            status,
            body: body.into(),
        })
        .header("Content-Type", media_type)
    }

    /// A redirect, to whatever the location says; with the HTML body that web servers like to add.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::body(status, "text/html", "<html>Look elsewhere</html>\n")
            .header("Location", location)
    }

    /// Reads the request and never answers.
    pub fn silence() -> Self {
        Self::new(Base::Silence)
    }

    /// Closes the connection instead of answering.
    pub fn hang_up(cut: Cut) -> Self {
        Self::new(Base::HangUp(cut))
    }

    /// These bytes on the wire, then the end.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::new(Base::Raw(bytes.into()))
    }

    /// Decided anew for each request.
    pub fn by(decide: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::new(Base::By(Arc::new(decide)))
    }

    /// Sets a header, in place of any that the answer has of that name.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.and(Twist::SetHeader(name.to_owned(), value.to_owned()))
    }

    /// Adds a header line beside those of that name.
    #[must_use]
    pub fn also_header(self, name: &str, value: &str) -> Self {
        self.and(Twist::AddHeader(name.to_owned(), value.to_owned()))
    }

    /// Leaves a header out.
    #[must_use]
    pub fn without_header(self, name: &str) -> Self {
        self.and(Twist::RemoveHeader(name.to_owned()))
    }

    /// Says that the content has this digest.
    #[must_use]
    pub fn claims_digest(self, digest: &str) -> Self {
        self.header("Docker-Content-Digest", digest)
    }

    /// Waits before the headers.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        self.and(Twist::Before(Before::Wait(delay)))
    }

    /// Stops before the headers until the gate is open.
    #[must_use]
    pub fn behind(self, gate: &Gate) -> Self {
        self.and(Twist::Before(Before::Gate(gate.clone())))
    }

    /// Stops after `offset` body bytes until the gate is open.
    #[must_use]
    pub fn stops_at(self, offset: usize, gate: &Gate) -> Self {
        self.and(Twist::At(offset, Point::Gate(gate.clone())))
    }

    /// Pauses after `offset` body bytes.
    #[must_use]
    pub fn pauses_at(self, offset: usize, pause: Duration) -> Self {
        self.and(Twist::At(offset, Point::Wait(pause)))
    }

    /// Ends the connection after `offset` body bytes.
    #[must_use]
    pub fn cut_at(self, offset: usize, cut: Cut) -> Self {
        self.and(Twist::At(offset, Point::Cut(cut)))
    }

    /// Sends the body at about this many bytes per second.
    #[must_use]
    pub fn at_rate(self, bytes_per_second: u64) -> Self {
        self.and(Twist::Rate(Rate {
            bytes_per_second,
            until: None,
        }))
    }

    /// Sends the body at about this many bytes per second, and as fast as it can from when the gate is opened.
    #[must_use]
    pub fn at_rate_until(self, bytes_per_second: u64, gate: &Gate) -> Self {
        self.and(Twist::Rate(Rate {
            bytes_per_second,
            until: Some(gate.clone()),
        }))
    }

    /// Inverts one byte of the content (counted in the whole content, whatever range is asked for).
    #[must_use]
    pub fn flips(self, offset: usize) -> Self {
        self.and(Twist::Flip(offset))
    }

    /// Serves only the first `length` bytes as if they were all.
    #[must_use]
    pub fn shortened_to(self, length: usize) -> Self {
        self.and(Twist::Shorten(length))
    }

    /// Serves the content with these bytes after it as if they belonged to it.
    #[must_use]
    pub fn lengthened_by(self, more: impl Into<Bytes>) -> Self {
        self.and(Twist::Lengthen(more.into()))
    }

    /// How the end of the body is told.
    #[must_use]
    pub fn framed(self, framing: Framing) -> Self {
        self.and(Twist::Framing(framing))
    }

    /// How a range is answered.
    #[must_use]
    pub fn ranges(self, ranges: Ranges) -> Self {
        self.and(Twist::Ranges(ranges))
    }

    /// Compresses the body and says so, if the request allows gzip.
    #[must_use]
    pub fn gzipped_if_asked(self) -> Self {
        self.and(Twist::Gzip {
            only_if_asked: true,
        })
    }

    /// Compresses the body and says so, whatever the request allows.
    #[must_use]
    pub fn gzipped(self) -> Self {
        self.and(Twist::Gzip {
            only_if_asked: false,
        })
    }

    /// Closes the connection after the answer, and says so.
    #[must_use]
    pub fn closes(self) -> Self {
        self.and(Twist::Close)
    }

    /// Lets the deciding functions decide, while nothing of the upstream is locked.
    pub(super) fn settle(mut self, request: &Request) -> Self {
        while let Base::By(decide) = self.base {
            let mut inner = decide(request);
            inner.twists.append(&mut self.twists);
            self = inner;
        }
        self
    }

    /// What goes over the wire, given what is held.
    pub(super) fn plan(self, request: &Request, held: &Held) -> Plan {
        let found = match self.base {
            Base::Held | Base::By(_) => held.find(request),
            Base::Fixed { status, body } => Found::fixed(status, body),
            Base::Silence => return Plan::silence(),
            Base::HangUp(cut) => return Plan::hang_up(cut, &self.twists),
            Base::Raw(bytes) => return Plan::raw(bytes, &self.twists),
        };
        plan::make(found, &self.twists, request)
    }
}

/// An error body in the specification's form, with a code that fits the status.
fn error_body(status: u16) -> Bytes {
    let code = match status {
        401 => "UNAUTHORIZED",
        403 => "DENIED",
        404 => "NAME_UNKNOWN",
        405 => "UNSUPPORTED",
        429 => "TOOMANYREQUESTS",
        _ => "UNKNOWN",
    };
    let error =
        serde_json::json!({ "code": code, "message": "as the script says", "detail": null });
    serde_json::json!({ "errors": [error] }).to_string().into()
}

/// The content as it is told: flipped, shortened, lengthened, compressed.
fn told(found: &mut Found, twists: &[Twist], request: &Request) {
    for twist in twists {
        match twist {
            Twist::Flip(offset) => {
                let mut bytes = found.body.to_vec();
                if let Some(byte) = bytes.get_mut(*offset) {
                    *byte = !*byte;
                }
                found.body = bytes.into();
            }
            Twist::Shorten(length) => found.body.truncate(*length),
            Twist::Lengthen(more) => found.body = [&found.body[..], more].concat().into(),
            Twist::Gzip { only_if_asked } => {
                let asked = request
                    .headers_of("Accept-Encoding")
                    .any(|value| value.contains("gzip"));
                if asked || !only_if_asked {
                    found.body = gzip(&found.body);
                    found
                        .headers
                        .push(("Content-Encoding".to_owned(), "gzip".to_owned()));
                }
            }
            _ => {}
        }
    }
}
