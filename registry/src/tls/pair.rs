//! A certificate with its key, from PEM texts, and what is wrong or doubtful about it. Nothing of a key is in any message.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::described::{Described, written};

/// A certificate that can be shown, with those between it and its root.
#[derive(Clone, Debug)]
pub struct Pair {
    /// For the TLS library.
    pub certified: Arc<CertifiedKey>,
    /// For people; the first is the server's own.
    pub chain: Vec<Described>,
}

/// Why two texts are no certificate with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// The first text is something else.
    #[error("it holds no certificate in PEM form")]
    NoCertificate,
    /// The first text is the second.
    #[error(
        "it holds a private key and no certificate; are http.tls.certificate and http.tls.key swapped?"
    )]
    Swapped,
    /// A part of the first text is damaged.
    #[error("a certificate in it is damaged")]
    DamagedCertificate,
    /// The second text is something else.
    #[error("it holds no private key in PEM form")]
    NoKey,
    /// The key needs a password, which nobody could type at a start.
    #[error(
        "its private key is encrypted; write it without a password, as `openssl pkey -in FILE -out PLAIN` does"
    )]
    EncryptedKey,
    /// The key belongs to another certificate.
    #[error("its private key is not the key of the first certificate")]
    OtherKey,
    /// The key is of a kind that nobody signs with any more.
    #[error(
        "its private key is of a kind or length that cannot be used; RSA from 2048 bits, P-256, P-384 and Ed25519 can"
    )]
    UnusableKey,
}

// === impl PairError ===

impl PairError {
    /// Whether it is the key that is wrong.
    pub fn is_about_key(self) -> bool {
        match self {
            Self::NoCertificate | Self::Swapped | Self::DamagedCertificate => false,
            Self::NoKey | Self::EncryptedKey | Self::OtherKey | Self::UnusableKey => true,
        }
    }
}

// === impl Pair ===

impl Pair {
    /// Reads both texts and sees that they belong together.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn read(
        certificate: &[u8],
        key: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Self, PairError> {
        let chain = chain(certificate)?;
        let key = private_key(key)?;
        let described: Vec<Described> = chain
            .iter()
            .map(|certificate| Described::of(certificate).ok_or(PairError::DamagedCertificate))
            .collect::<Result<_, _>>()?;
        let certified =
            CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => PairError::OtherKey,
                rustls::Error::InvalidCertificate(_) => PairError::DamagedCertificate,
                _ => PairError::UnusableKey,
            })?;
        Ok(Self {
            certified: Arc::new(certified),
            chain: described,
        })
    }

    /// The server's own certificate.
    pub fn own(&self) -> Option<&Described> {
        self.chain.first()
    }

    /// What callers may stumble over, each a sentence for the log. `known` are roots that callers are likely to have.
    pub fn doubts(&self, now: SystemTime, known: &rustls::RootCertStore) -> Vec<String> {
        let mut doubts = Vec::new();
        for certificate in &self.chain {
            let subject = &certificate.subject;
            if certificate.not_after < now {
                doubts.push(format!(
                    "the certificate of {subject} is over since {}, and callers refuse it",
                    certificate.until()
                ));
            }
            if certificate.not_before > now {
                doubts.push(format!(
                    "the certificate of {subject} holds only from {}: is this machine's clock right?",
                    written(certificate.not_before)
                ));
            }
        }
        doubts.extend(self.own().filter(|own| own.names.is_empty()).map(|own| {
            format!(
                "the certificate of {} has no subject alternative name, and callers refuse it",
                own.subject
            )
        }));
        doubts.extend(self.gap(known));
        doubts
    }

    /// What is missing between the server's certificate and a root.
    fn gap(&self, known: &rustls::RootCertStore) -> Option<String> {
        for (one, next) in self.chain.iter().zip(self.chain.iter().skip(1)) {
            if one.is_self_issued() {
                return None;
            }
            if !one.is_issued_by(next) {
                return Some(format!(
                    "the certificate of {} is issued by {}, but is followed by that of {}: callers may not find the way to their root",
                    one.subject, one.issuer, next.subject
                ));
            }
        }
        let [own] = self.chain.as_slice() else {
            return None;
        };
        let is_whole = own.is_self_issued() || own.is_issued_by_one_of(known);
        (!is_whole).then(|| {
            format!(
                "only the certificate of {} is in it, and not that of its issuer {}: callers that do not have {} among their roots refuse \
                 it; append it, if it is not itself the root",
                own.subject, own.issuer, own.issuer
            )
        })
    }
}

fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PairError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|_| PairError::DamagedCertificate)?;
    match chain.is_empty() {
        false => Ok(chain),
        true if holds(text, "PRIVATE KEY-----") => Err(PairError::Swapped),
        true => Err(PairError::NoCertificate),
    }
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PairError> {
    // Both forms: the header of PKCS #8, and the line that OpenSSL once wrote below the header.
    if holds(text, "BEGIN ENCRYPTED PRIVATE KEY") || holds(text, "Proc-Type: 4,ENCRYPTED") {
        return Err(PairError::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(text).map_err(|_| PairError::NoKey)
}

fn holds(text: &[u8], words: &str) -> bool {
    text.windows(words.len())
        .any(|window| window == words.as_bytes())
}

#[cfg(test)]
mod tests;
