//! The hash algorithms a digest may name. Must not know how to hash.

use std::fmt;
use std::str::FromStr;

use crate::DigestError;

/// A hash algorithm that content may be addressed by: the two the OCI image specification
/// registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, the one practically all content is addressed by.
    Sha256,
    /// SHA-512, which a push or an upstream may choose.
    Sha512,
}

impl Algorithm {
    /// The name as it stands before the colon of a digest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal characters a digest of this algorithm has after the colon.
    pub const fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            other => Err(DigestError::UnknownAlgorithm(
                other.chars().take(32).collect(),
            )),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

serde_as_text!(Algorithm);
