//! Which part of the link failed. The HTTP client reports everything as one kind of error; what really happened is told by
//! the chain of its causes.

use std::error::Error;
use std::io;

use super::resolve::{NameNotResolved, NearerAddress};
use super::{Fault, LinkFault};

/// What an error of the HTTP client means. The text never contains an address's query: the client's own sentence, which
/// does, is left out, and only its causes are read.
pub(super) fn fault_of(error: &reqwest::Error) -> Fault {
    let causes: Vec<&(dyn Error + 'static)> = causes(error).collect();
    if let Some(nearer) = find::<NearerAddress>(&causes) {
        return Fault::Invalid(nearer.to_string());
    }
    if let Some(unresolved) = find::<NameNotResolved>(&causes) {
        return unreachable(LinkFault::Dns, unresolved.to_string());
    }
    if error.is_timeout() {
        let what = if error.is_connect() {
            "no connection in time"
        } else {
            "silence"
        };
        return unreachable(LinkFault::Timeout, what.to_owned());
    }
    if let Some(tls) = find::<rustls::Error>(&causes) {
        return unreachable(LinkFault::Tls, tls_detail(tls));
    }
    let last = causes
        .last()
        .map_or_else(|| "no cause given".to_owned(), ToString::to_string);
    if error.is_connect() {
        return connect_fault(&causes, last);
    }
    if error.is_builder() || find::<hyper::Error>(&causes).is_some_and(hyper::Error::is_parse) {
        return Fault::Invalid(format!("does not answer in HTTP: {last}"));
    }
    unreachable(LinkFault::Closed, last)
}

/// Before a connection stood: no TCP connection, no tunnel through the proxy, or a handshake that was cut short.
fn connect_fault(causes: &[&(dyn Error + 'static)], last: String) -> Fault {
    let says = |words: &str| {
        causes
            .iter()
            .any(|cause| cause.to_string().starts_with(words))
    };
    if says("tunnel error") {
        return unreachable(
            LinkFault::Connect,
            format!("the proxy opens no tunnel: {last}"),
        );
    }
    let cut = causes
        .iter()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| is_cut(error.kind()));
    if cut && !says("tcp connect error") {
        return unreachable(LinkFault::Closed, format!("in the TLS handshake: {last}"));
    }
    unreachable(LinkFault::Connect, last)
}

fn is_cut(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

fn tls_detail(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "its certificate is signed by nobody known; proxy.ca can name the authority".to_owned()
        }
        // An authority of the same name with another key: one that was made anew.
        rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature) => {
            "its certificate is signed by another authority of the same name; proxy.ca can name it"
                .to_owned()
        }
        rustls::Error::InvalidMessage(_) => format!("it does not speak TLS: {error}"),
        other => other.to_string(),
    }
}

fn unreachable(link: LinkFault, detail: String) -> Fault {
    Fault::Unreachable { link, detail }
}

fn find<'a, E: Error + 'static>(causes: &[&'a (dyn Error + 'static)]) -> Option<&'a E> {
    causes.iter().find_map(|cause| cause.downcast_ref())
}

/// The causes below an error, from the outermost to the first.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| cause_of(*cause))
}

/// What an error was caused by. An `io::Error` hides the error it was made of from `source`, so it is asked for it.
fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
