//! How a manifest is asked for: by tag or by digest. Must not know which manifest that is.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, DigestError, Tag, TagError};

#[cfg(test)]
mod tests;

/// What names a manifest within a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// By a name that may move.
    Tag(Tag),
    /// By the address of its bytes.
    Digest(Digest),
}

/// Why a text is neither a tag nor a digest. Which of the two it was meant to be is told by the
/// colon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// No colon, and not a tag.
    #[error(transparent)]
    Tag(TagError),
    /// A colon, and not a digest.
    #[error(transparent)]
    Digest(DigestError),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') {
            text.parse()
                .map(Self::Digest)
                .map_err(ReferenceError::Digest)
        } else {
            text.parse().map(Self::Tag).map_err(ReferenceError::Tag)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(formatter),
            Self::Digest(digest) => digest.fmt(formatter),
        }
    }
}

serde_as_text!(Reference);
