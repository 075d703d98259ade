//! Which part of the link failed. The HTTP client reports everything as one kind of error; what really happened is told by
//! the chain of its causes.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};
use rustls_pki_types::UnixTime;

use super::resolve::{NameNotResolved, NearerAddress};
use super::{Fault, LinkFault};

/// The beginning of 2026 in seconds since 1970: no clock that is right says less while this program runs.
const WRITTEN: u64 = 1_767_225_600;

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
        return unreachable(LinkFault::Tls, tls_detail(tls, UnixTime::now()));
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

/// Why there is no trust, and whether this machine's clock may be the reason: a device that has just started may live in
/// the past until somebody tells it the time.
fn tls_detail(error: &rustls::Error, now: UnixTime) -> String {
    let words = tls_words(error, now);
    if now.as_secs() >= WRITTEN {
        return words;
    }
    format!(
        "{words}; this machine's clock says {}, which is before this program was written: set the clock",
        date(now)
    )
}

fn tls_words(error: &rustls::Error, now: UnixTime) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            time,
            not_before,
        }) => format!(
            "its certificate is valid from {} on, and this machine's clock says {}: one of the two is wrong",
            date(*not_before),
            date(*time)
        ),
        rustls::Error::InvalidCertificate(CertificateError::NotValidYet) => format!(
            "its certificate is not valid yet, and this machine's clock says {}: one of the two is wrong",
            date(now)
        ),
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
            format!(
                "its certificate was valid until {}, and this machine's clock says {}",
                date(*not_after),
                date(*time)
            )
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired) => format!(
            "its certificate has expired, and this machine's clock says {}",
            date(now)
        ),
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => format!(
            "it does not accept the client certificate it was shown, or wants one: it sent the alert {alert:?}; see proxy.clientcertificate"
        ),
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is signed by nobody known; proxy.ca can name the authority".to_owned()
        }
        // An authority of the same name with another key: one that was made anew.
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
            "its certificate is signed by another authority of the same name; proxy.ca can name it"
                .to_owned()
        }
        rustls::Error::InvalidMessage(_) => format!("it does not speak TLS: {error}"),
        other => other.to_string(),
    }
}

/// The alerts by which a server refuses whom it does not know. Any of them may mean something else in a server that knows
/// nothing of client certificates, which then would not have got so far.
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA
            // An authority of the same name with another key: one that was made anew.
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied
    )
}

/// `2026-11-24 14:05 UTC`.
fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| "a time beyond all calendars".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_clock_that_lives_in_the_past_is_named_whatever_tls_complains_of() {
        let stranger = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let in_the_past = tls_detail(&stranger, at(86_400));
        assert!(
            in_the_past.contains("this machine's clock says 1970-01-02 00:00 UTC")
                && in_the_past.contains("proxy.ca"),
            "{in_the_past}"
        );
        let now = tls_detail(&stranger, at(WRITTEN + 1));
        assert!(!now.contains("clock"), "{now}");
    }

    #[test]
    fn a_certificate_out_of_its_time_is_told_with_both_times() {
        let early = CertificateError::NotValidYetContext {
            time: at(WRITTEN),
            not_before: at(WRITTEN + 86_400),
        };
        let late = CertificateError::ExpiredContext {
            time: at(WRITTEN + 86_400),
            not_after: at(WRITTEN),
        };
        for (error, ours, theirs) in [
            (early, "2026-01-01", "2026-01-02"),
            (late, "2026-01-02", "2026-01-01"),
        ] {
            let error = rustls::Error::InvalidCertificate(error);
            let words = tls_detail(&error, at(WRITTEN));
            let clock = format!("this machine's clock says {ours} 00:00 UTC");
            assert!(words.contains(&clock) && words.contains(theirs), "{words}");
        }
    }
}
