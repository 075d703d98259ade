//! Certificates and keys as IoT Edge takes them: PEM texts, one after the other, and whether they belong together.
//!
//! Must not know where they were read from, nor what time it is.

mod chain;

#[cfg(test)]
mod tests;

use rustls_pki_types::pem::{PemObject as _, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::X509Certificate;

pub use chain::{Chain, judge};

/// One certificate, as far as it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// Whom it names, such as `CN=gateway.ca`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The common name alone; empty without one.
    pub common_name: String,
    /// Seconds since 1970 from which it counts.
    pub not_before: i64,
    /// Seconds since 1970 until which it counts.
    pub not_after: i64,
    /// Whether it may sign certificates.
    pub is_authority: bool,
}

/// A text that holds no certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificates {
    /// It has no PEM block of this kind at all.
    #[error("it holds no block that begins with -----BEGIN CERTIFICATE-----")]
    None,
    /// A block that is broken; counted from 1.
    #[error("its certificate {position} cannot be read")]
    Broken {
        /// Which block.
        position: usize,
    },
}

/// Why it cannot be said whether a key belongs to a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// No block that is a private key.
    #[error("it holds no private key in PEM")]
    None,
    /// It is sealed with a password that IoT Edge does not ask for.
    #[error("the key is encrypted with a password")]
    Encrypted,
    /// It is of a kind that is not known here, or damaged.
    #[error("the key is of a kind that is not known here, or damaged")]
    Unknown,
}

/// Reads all certificates of a PEM text, in their order. What is not a certificate is skipped.
///
/// # Errors
/// If there is none, or one cannot be read.
pub fn read(pem: &str) -> Result<Vec<Certificate>, BadCertificates> {
    let mut found = Vec::new();
    for section in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let position = found.len() + 1;
        let broken = BadCertificates::Broken { position };
        let der = section.map_err(|_| broken.clone())?;
        found.push(Certificate::read(&der).ok_or(broken)?);
    }
    if found.is_empty() {
        return Err(BadCertificates::None);
    }
    Ok(found)
}

/// Whether the private key in this PEM text is the one of the certificate.
///
/// # Errors
/// If that cannot be said.
pub fn key_matches(key_pem: &str, certificate: &Certificate) -> Result<bool, BadKey> {
    if key_pem.contains("ENCRYPTED") {
        return Err(BadKey::Encrypted);
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| BadKey::None)?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| BadKey::Unknown)?;
    let of_key = key.public_key().ok_or(BadKey::Unknown)?;
    let of_certificate = certificate
        .parsed()
        .map(|parsed| parsed.tbs_certificate.subject_pki.raw.to_vec())
        .ok_or(BadKey::Unknown)?;
    Ok(of_key.as_ref() == of_certificate)
}

/// Whether a PEM text holds a private key: one that lies where only certificates belong can be read by everybody.
pub fn holds_a_key(pem: &str) -> bool {
    <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes())
        .filter_map(Result::ok)
        .any(|(kind, _)| {
            matches!(
                kind,
                SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey
            )
        })
}

impl Certificate {
    fn read(der: &[u8]) -> Option<Self> {
        let (_, parsed) = parse_x509_certificate(der).ok()?;
        let common_name = parsed
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .unwrap_or_default()
            .to_owned();
        Some(Self {
            der: der.to_vec(),
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            common_name,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            is_authority: parsed.is_ca(),
        })
    }

    fn parsed(&self) -> Option<X509Certificate<'_>> {
        parse_x509_certificate(&self.der)
            .ok()
            .map(|(_, parsed)| parsed)
    }

    /// Whether it is its own issuer by name: a root, or made by the device for itself.
    pub fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether this one's signature was made with `issuer`'s key. A kind of signature that is not known here counts as right where
    /// the names agree: nobody is blamed for what cannot be computed.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        use x509_parser::error::X509Error::{InvalidSignatureValue, SignatureVerificationError};
        let (Some(mine), Some(theirs)) = (self.parsed(), issuer.parsed()) else {
            return false;
        };
        if mine.issuer() != theirs.subject() {
            return false;
        }
        !matches!(
            mine.verify_signature(Some(theirs.public_key())),
            Err(SignatureVerificationError | InvalidSignatureValue)
        )
    }
}
