//! The name of a running push. Must not know how ids are made or where the bytes are kept.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest id, in bytes.
const LONGEST: usize = 128;

/// Names one running push of a blob: the last part of the `Location` an upload is continued at.
///
/// One to 128 letters, digits, underscores and dashes: it needs no escaping in a path and is safe
/// as the name of a file. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(Arc<str>);

/// Why a text is not the id of an upload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadIdError {
    /// No character at all, or more than 128; this many bytes.
    #[error("an upload id has 1 to 128 characters, not {0}")]
    Length(usize),
    /// Something else than letters, digits, underscores and dashes.
    #[error("an upload id is made of letters, digits, underscores and dashes")]
    Character,
}

impl UploadId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UploadId {
    type Err = UploadIdError;

    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(UploadIdError::Length(text.len()));
        }
        let safe =
            |character: u8| character.is_ascii_alphanumeric() || matches!(character, b'_' | b'-');
        if text.bytes().all(safe) {
            Ok(Self(text.into()))
        } else {
            Err(UploadIdError::Character)
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

serde_as_text!(UploadId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_id_needs_no_escaping_and_has_1_to_128_characters() {
        let longest = "a".repeat(128);
        for good in [
            "0",
            "b7a6f2a0-9f4e-4a57-9c59-0f3f3a1f2d11",
            "A_z-9",
            longest.as_str(),
        ] {
            assert_eq!(
                good.parse::<UploadId>().map(|id| id.to_string()).as_deref(),
                Ok(good)
            );
        }
        assert_eq!("".parse::<UploadId>(), Err(UploadIdError::Length(0)));
        assert_eq!(
            "a".repeat(129).parse::<UploadId>(),
            Err(UploadIdError::Length(129))
        );
        for bad in ["..", "a/b", "a.b", "a b", "a%20b", "ä", "a\0"] {
            assert_eq!(
                bad.parse::<UploadId>(),
                Err(UploadIdError::Character),
                "{bad:?}"
            );
        }
    }
}
