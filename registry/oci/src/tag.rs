//! The name of a tag. Must not know what the tag points to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The longest tag, in bytes: the distribution specification's limit.
const LONGEST: usize = 128;

/// A name for one manifest in a repository, such as `1.5` or `latest`; it may be moved to another
/// manifest.
///
/// At most 128 letters, digits, underscores, dots and dashes, the first one a letter, digit or
/// underscore: so it is safe as the name of a file. Cloning is cheap. Ordered by bytes, as tag
/// lists are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

/// Why a text is not a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// There is no tag at all.
    #[error("the tag is empty")]
    Empty,
    /// The tag has more than 128 bytes; this many.
    #[error("a tag has at most 128 characters, not {0}")]
    TooLong(usize),
    /// The tag begins with a dot or dash, or holds something else than letters, digits,
    /// underscores, dots and dashes.
    #[error(
        "a tag is made of letters, digits, underscores, dots and dashes, and does not begin with a dot or a dash"
    )]
    Character,
}

impl Tag {
    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        if text.len() > LONGEST {
            return Err(TagError::TooLong(text.len()));
        }
        let word = |character: &u8| character.is_ascii_alphanumeric() || *character == b'_';
        match text.as_bytes() {
            [] => Err(TagError::Empty),
            [first, rest @ ..]
                if word(first)
                    && rest
                        .iter()
                        .all(|next| word(next) || matches!(next, b'.' | b'-')) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(TagError::Character),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

serde_as_text!(Tag);
