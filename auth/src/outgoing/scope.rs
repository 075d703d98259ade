//! What a token is asked for.

use std::fmt;
use std::sync::Arc;

use cistern_oci::RepositoryName;

/// One scope of the token protocol, such as `repository:library/alpine:pull`. Kept as the registry wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

impl Scope {
    /// Reading one repository, for challenges that name no scope.
    pub fn pull(repository: &RepositoryName) -> Self {
        Self(format!("repository:{}:pull", repository.as_str()).into())
    }

    /// The scopes of a challenge's `scope` value, which are separated by spaces.
    pub fn parse_all(value: &str) -> Vec<Self> {
        value
            .split_ascii_whitespace()
            .map(|scope| Self(scope.into()))
            .collect()
    }

    /// The scope as it goes into a token request.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
