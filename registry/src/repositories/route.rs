//! A route: which names it takes, and what they are called at its upstream. Pure; it knows no upstream's addresses.

use std::fmt;

use cistern_oci::RepositoryName;

use super::pattern::NamePattern;
use super::registries::Mirrored;

/// Names that are mirrored from another registry than the rest.
#[derive(Clone, Debug)]
pub struct Route {
    /// The names.
    pub matching: RouteMatch,
    /// What the matched prefix becomes at the upstream; of a pattern, what stands before its first star. None: names stay as they
    /// are.
    pub rewrite: Option<String>,
    /// The registry.
    pub to: Mirrored,
}

/// Which names a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteMatch {
    /// Those that begin so, letter by letter: `azureiotedge-`, `team/`.
    Prefix(String),
    /// Those that the pattern means: `*/base`.
    Pattern(NamePattern),
}

// === impl Route ===

impl Route {
    /// The name at the upstream, if the route takes this name. One that would become no repository's name is not taken.
    pub(super) fn take(&self, name: &RepositoryName) -> Option<RepositoryName> {
        if !self.matching.takes(name) {
            return None;
        }
        let Some(rewrite) = &self.rewrite else {
            return Some(name.clone());
        };
        let rest = name.as_str().strip_prefix(self.matching.start())?;
        format!("{rewrite}{rest}").parse().ok()
    }

    /// The name here that is called `there` at the upstream, if the route rewrites one to it.
    pub(super) fn back(&self, there: &RepositoryName) -> Option<RepositoryName> {
        let rest = there.as_str().strip_prefix(self.rewrite.as_deref()?)?;
        let name = format!("{}{rest}", self.matching.start()).parse().ok()?;
        self.matching.takes(&name).then_some(name)
    }
}

// === impl RouteMatch ===

impl RouteMatch {
    /// Whether the name is one of them.
    pub fn takes(&self, name: &RepositoryName) -> bool {
        match self {
            Self::Prefix(prefix) => name.as_str().starts_with(prefix.as_str()),
            Self::Pattern(pattern) => pattern.matches(name),
        }
    }

    /// How the order among routes is decided: more letters that are not stars go first, and of as many a prefix before a pattern.
    pub fn weight(&self) -> (usize, bool) {
        match self {
            Self::Prefix(prefix) => (prefix.len(), true),
            Self::Pattern(pattern) => (pattern.literals(), false),
        }
    }

    /// What all of these names begin with, and what a rewrite replaces.
    pub fn start(&self) -> &str {
        match self {
            Self::Prefix(prefix) => prefix,
            Self::Pattern(pattern) => pattern.start(),
        }
    }
}

impl fmt::Display for RouteMatch {
    /// As a pattern: `azureiotedge-*`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => write!(out, "{prefix}*"),
            Self::Pattern(pattern) => fmt::Display::fmt(pattern, out),
        }
    }
}
