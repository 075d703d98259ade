//! How we prove who we are to the upstream. A secret is never printed; a file's path is kept, so that its reader can look again.

use std::fmt;
use std::path::PathBuf;

/// A text that is never printed.
// SEAM: `cistern_auth` has a `Secret` too; one of the two goes when both are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(secret)")
    }
}

/// A user name or a password: written down, or kept in a file that is read again whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialText {
    /// Given in the configuration itself.
    Inline(Secret),
    /// The whole content of this file without its last line break.
    File(PathBuf),
}

/// What the upstream is told when it asks who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `proxy.username` or `proxy.usernamefile`.
    pub username: CredentialText,
    /// `proxy.password` or `proxy.passwordfile`.
    pub password: CredentialText,
}
