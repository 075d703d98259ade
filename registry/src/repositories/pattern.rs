//! Patterns of repository names, as operators write them: `local/*`.

use std::fmt;
use std::str::FromStr;

use cistern_oci::RepositoryName;

/// Names that have something in common. `*` stands for any run of characters, slashes and nothing at all among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

/// A text that no repository's name could ever match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` matches no repository's name: they are lower case, with slashes between their parts"
)]
pub struct NotAPattern(String);

impl NamePattern {
    /// Whether the name is one of these.
    pub fn matches(&self, name: &RepositoryName) -> bool {
        let (mut pattern, mut rest) = (self.0.as_bytes(), name.as_str().as_bytes());
        // What to try when the characters after the last star do not fit: let the star stand for one more.
        let mut again: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern.split_first(), rest.split_first()) {
                (Some((b'*', after)), _) => {
                    again = Some((after, rest));
                    pattern = after;
                }
                (Some((wanted, after)), Some((found, left))) if wanted == found => {
                    (pattern, rest) = (after, left);
                }
                (None, None) => return true,
                _ => match again.and_then(|(after, from)| Some((after, from.get(1..)?))) {
                    Some((after, from)) => {
                        again = Some((after, from));
                        (pattern, rest) = (after, from);
                    }
                    None => return false,
                },
            }
        }
    }
}

impl FromStr for NamePattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        // A star can always stand for a letter, so what is a pattern is a name then.
        match text.replace('*', "a").parse::<RepositoryName>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(NotAPattern(text.to_owned())),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
