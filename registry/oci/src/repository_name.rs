//! The name of a repository. Must not know where a repository lives or who may see it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The longest name, in bytes: the limit clients keep, and short enough for every file system below
/// a store.
const LONGEST: usize = 255;

/// The name of a repository, such as `library/debian`: what stands between `/v2/` and the kind of
/// resource.
///
/// Follows the grammar of the OCI distribution specification, at most 255 bytes. So it is ASCII,
/// has no empty component, none that begins or ends with a dot, and is safe as a relative path.
/// Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(Arc<str>);

/// Why a text is not the name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is no name at all.
    #[error("the repository name is empty")]
    Empty,
    /// The name has more than 255 bytes; this many.
    #[error("a repository name has at most 255 bytes, not {0}")]
    TooLong(usize),
    /// One of the parts between slashes does not follow the grammar; this one.
    #[error(
        "the part {0:?} of the repository name is not allowed: lower-case letters and digits, separated by one dot, \
         one or two underscores, or dashes"
    )]
    Component(String),
}

impl RepositoryName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > LONGEST {
            return Err(NameError::TooLong(text.len()));
        }
        match text
            .split('/')
            .find(|component| !is_component(component.as_bytes()))
        {
            Some(component) => Err(NameError::Component(component.to_owned())),
            None => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

serde_as_text!(RepositoryName);

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, read in one pass.
fn is_component(text: &[u8]) -> bool {
    // The separator that is being read: which character, and how often. None after a letter or
    // digit.
    let mut separator: Option<(u8, usize)> = None;
    let mut begun = false;
    for &character in text {
        separator = match (character, separator) {
            (b'a'..=b'z' | b'0'..=b'9', _) => {
                begun = true;
                None
            }
            _ if !begun => return false,
            (b'.' | b'_' | b'-', None) => Some((character, 1)),
            (b'-', Some((b'-', count))) => Some((b'-', count + 1)),
            (b'_', Some((b'_', 1))) => Some((b'_', 2)),
            _ => return false,
        };
    }
    begun && separator.is_none()
}
