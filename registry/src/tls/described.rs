//! What a certificate says of itself, for people: whose it is, for which names, until when. Decides nothing about trust.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Name};

/// A certificate in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its common name, or all of its name where it has none.
    pub subject: String,
    /// The same of whoever issued it.
    pub issuer: String,
    /// The host names and addresses it is for, as clients check them.
    pub names: Vec<String>,
    /// From when it holds.
    pub not_before: SystemTime,
    /// Until when it holds.
    pub not_after: SystemTime,
    /// The two names as they stand in it, which tell who issued whom.
    raw: (Vec<u8>, Vec<u8>),
}

// === impl Described ===

impl Described {
    /// Reads one certificate; none if it cannot be read, which a TLS library decides about by itself.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let validity = parsed.validity();
        Some(Self {
            subject: name(parsed.subject()),
            issuer: name(parsed.issuer()),
            names: names(&parsed),
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
            raw: (
                parsed.subject().as_raw().to_vec(),
                parsed.issuer().as_raw().to_vec(),
            ),
        })
    }

    /// Every certificate of a PEM text that can be read.
    pub fn all_of(pem: &[u8]) -> Vec<Self> {
        CertificateDer::pem_slice_iter(pem)
            .filter_map(|certificate| Self::of(&certificate.ok()?))
            .collect()
    }

    /// Whether it names itself as its issuer, as roots do.
    pub fn is_self_issued(&self) -> bool {
        self.raw.0 == self.raw.1
    }

    /// Whether `other` is named as its issuer.
    pub fn is_issued_by(&self, other: &Self) -> bool {
        self.raw.1 == other.raw.0
    }

    /// Whether its issuer has this name, as it stands in a root's certificate without its outer frame.
    pub(super) fn is_issued_by_one_of(&self, roots: &rustls::RootCertStore) -> bool {
        roots
            .roots
            .iter()
            .any(|root| self.raw.1.ends_with(root.subject.as_ref()) && !root.subject.is_empty())
    }

    /// How long it still holds; nothing when it is over.
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        self.not_after.duration_since(now).ok()
    }

    /// Its end as RFC 3339 writes it.
    pub fn until(&self) -> String {
        written(self.not_after)
    }

    /// One line for people: whose, for which names, until when.
    pub fn line(&self) -> String {
        let names = if self.names.is_empty() {
            String::new()
        } else {
            format!(" for {}", self.names.join(", "))
        };
        format!("{}{names}, until {}", self.subject, self.until())
    }
}

/// A time as RFC 3339 writes it, in whole seconds.
pub fn written(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .ok()
        .and_then(|time| jiff::Timestamp::from_second(time.as_second()).ok())
        .map_or_else(
            || "a time without a date".to_owned(),
            |time| time.to_string(),
        )
}

fn name(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().find_map(|part| part.as_str().ok());
    let text = common.map_or_else(|| name.to_string(), str::to_owned);
    if text.is_empty() {
        "(no name)".to_owned()
    } else {
        text
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names.filter_map(general_name).collect()
}

fn general_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let sixteen = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            Some(four.or(sixteen).ok()?.to_string())
        }
        _ => None,
    }
}

fn time(seconds: i64) -> SystemTime {
    let length = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        UNIX_EPOCH.checked_sub(length)
    } else {
        UNIX_EPOCH.checked_add(length)
    };
    time.unwrap_or(UNIX_EPOCH)
}
