//! The address of content: an algorithm and the hash of the bytes. Must not know where the bytes
//! are.

use std::fmt;
use std::str::FromStr;

use crate::{Algorithm, Hasher};

#[cfg(test)]
mod tests;

/// The address of a piece of content, `sha256:…` or `sha512:…`.
///
/// Its text form has exactly one spelling (lower-case hexadecimal, as the OCI image specification
/// demands), so equal digests are equal texts and the other way round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Digest {
    /// A SHA-256 hash.
    Sha256([u8; 32]),
    /// A SHA-512 hash.
    Sha512([u8; 64]),
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no colon that would end an algorithm's name.
    #[error("a digest is an algorithm, a colon and a hash, such as sha256:…")]
    NoAlgorithm,
    /// The algorithm is none that content is addressed by here. Holds at most 32 characters of its
    /// name.
    #[error("the digest algorithm {0:?} is not supported, only sha256 and sha512 are")]
    UnknownAlgorithm(String),
    /// The hash is too short or too long for its algorithm.
    #[error("a {algorithm} digest has {} characters after the colon, not {found}", algorithm.hex_length())]
    Length {
        /// The algorithm the text names.
        algorithm: Algorithm,
        /// How many bytes stand after the colon.
        found: usize,
    },
    /// The hash holds something else than the characters 0 to 9 and a to f.
    #[error("a digest is written in lower-case hexadecimal")]
    NotHexadecimal,
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The algorithm that made this digest.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The part after the colon: lower-case hexadecimal, 64 or 128 characters.
    pub fn hex(&self) -> String {
        let mut text = String::with_capacity(self.algorithm().hex_length());
        // Writing to a String cannot fail.
        let _ = self.write_hex(&mut text);
        text
    }

    /// The hash itself, as bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(hash) => hash,
            Self::Sha512(hash) => hash,
        }
    }

    fn write_hex(&self, to: &mut impl fmt::Write) -> fmt::Result {
        // One write of the whole text: a digest is printed on every answer.
        let mut buffer = [0; 128];
        let (pairs, _) = buffer.as_chunks_mut::<2>();
        let mut length = 0;
        for (pair, byte) in pairs.iter_mut().zip(self.as_bytes()) {
            *pair = [character(byte >> 4), character(byte & 0xf)];
            length += pair.len();
        }
        let text = buffer
            .get(..length)
            .and_then(|text| std::str::from_utf8(text).ok());
        to.write_str(text.ok_or(fmt::Error)?)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::NoAlgorithm)?;
        let algorithm = algorithm.parse()?;
        match algorithm {
            Algorithm::Sha256 => decode(algorithm, hex).map(Self::Sha256),
            Algorithm::Sha512 => decode(algorithm, hex).map(Self::Sha512),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.algorithm().as_str())?;
        formatter.write_str(":")?;
        self.write_hex(formatter)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

serde_as_text!(Digest);

fn decode<const LENGTH: usize>(
    algorithm: Algorithm,
    hex: &str,
) -> Result<[u8; LENGTH], DigestError> {
    let (pairs, odd) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != LENGTH || !odd.is_empty() {
        return Err(DigestError::Length {
            algorithm,
            found: hex.len(),
        });
    }
    let mut hash = [0; LENGTH];
    for (byte, &[high, low]) in hash.iter_mut().zip(pairs) {
        let value = |character| value(character).ok_or(DigestError::NotHexadecimal);
        *byte = (value(high)? << 4) | value(low)?;
    }
    Ok(hash)
}

const fn value(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

const fn character(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + value - 10,
    }
}
