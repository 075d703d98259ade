//! Which repository a name means: one that lives here, or a mirror of one elsewhere.
//!
//! Everything later in a request reads the answer of [`Repositories::find`] and never the name that was asked for: the name
//! in the store and the name at the upstream may differ from it (Docker Hub's `library/`).

use std::collections::HashSet;
use std::sync::Arc;

use cistern_oci::RepositoryName;
use parking_lot::Mutex;

use crate::chain::Asker;
use crate::upstream::Upstream;

mod image_pattern;
#[cfg(test)]
mod lives_here;
mod pattern;

pub use image_pattern::{ImagePattern, NotAnImagePattern};
pub use pattern::{NamePattern, NotAPattern};

/// A repository as a request may use it.
#[derive(Clone)]
pub enum Repository {
    /// It lives here and is never asked for upstream.
    Hosted(Hosted),
    /// It is a copy, filled as callers ask, of a repository of another registry.
    Mirror(Mirror),
}

impl Repository {
    /// The name under which it is kept in the store.
    pub fn name(&self) -> &RepositoryName {
        match self {
            Self::Hosted(hosted) => &hosted.name,
            Self::Mirror(mirror) => &mirror.name,
        }
    }

    /// The same for `asker`: what has to be asked upstream is asked in its name.
    #[must_use]
    pub fn asked_by(self, asker: &Asker) -> Self {
        match self {
            Self::Hosted(hosted) => Self::Hosted(hosted),
            Self::Mirror(mirror) => Self::Mirror(mirror.asked_by(asker)),
        }
    }
}

/// A repository whose only home is this registry.
#[derive(Clone)]
pub struct Hosted {
    /// Its name, here and in the store.
    pub name: RepositoryName,
}

/// A repository that is a copy of one at an upstream.
#[derive(Clone)]
pub struct Mirror {
    /// The name under which it is kept in the store.
    pub name: RepositoryName,
    /// Its name at the upstream.
    pub name_there: RepositoryName,
    /// The registry it mirrors.
    pub upstream: Upstream,
}

impl Mirror {
    /// The same for `asker`; for nobody in particular, [`Asker::default`].
    #[must_use]
    pub fn asked_by(self, asker: &Asker) -> Self {
        Self {
            upstream: self.upstream.asked_by(asker),
            ..self
        }
    }
}

/// The `ns` of a request names a registry that is not mirrored here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not a repository of this registry: it does not mirror {namespace}")]
pub struct NotMirrored {
    /// The repository asked for.
    pub name: RepositoryName,
    /// The registry host the client meant, as it was sent.
    pub namespace: String,
}

/// The host of Docker Hub's registry.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// Decides what a repository name means.
#[derive(Clone)]
pub struct Repositories {
    upstream: Option<Upstream>,
    /// Lower-case host names, with and without port, that mean our upstream or ourselves.
    names: Arc<[String]>,
    hosted: Arc<[NamePattern]>,
    docker_hub: bool,
    strangers: Arc<Strangers>,
}

/// The registries that callers meant and that are not mirrored here: each is told to the operator once.
#[derive(Default)]
struct Strangers(Mutex<HashSet<String>>);

/// More are not told, since callers can make names up.
const MOST_STRANGERS: usize = 32;
/// No host has a longer name.
const LONGEST_HOST: usize = 255;

impl Repositories {
    /// `upstream`: the one mirrored registry, or none, in which case every repository is hosted.
    /// `names`: every host name, with and without port, that clients may mean by `ns`: the upstream's, its aliases, our own.
    /// `hosted`: the repositories that live here although there is an upstream.
    pub fn new<'a>(
        upstream: Option<Upstream>,
        names: impl IntoIterator<Item = &'a str>,
        hosted: Vec<NamePattern>,
    ) -> Self {
        let docker_hub = upstream
            .as_ref()
            .is_some_and(|upstream| upstream.host() == DOCKER_HUB);
        Self {
            upstream,
            names: names.into_iter().map(str::to_ascii_lowercase).collect(),
            hosted: hosted.into(),
            docker_hub,
            strangers: Arc::default(),
        }
    }

    /// The repository that `name` means.
    ///
    /// `namespace` is the `ns` parameter (distribution-spec, "Registry Proxying"): the registry the client wanted when it was
    /// sent here by a mirror setting. It is a key to look up, never an address to dial. `own_host` is the `Host` the client
    /// used for us, which is a name of ours by definition.
    pub fn find(
        &self,
        name: &RepositoryName,
        namespace: Option<&str>,
        own_host: Option<&str>,
    ) -> Result<Repository, NotMirrored> {
        if let Some(namespace) = namespace
            && !self.knows(namespace, own_host)
        {
            if let Some(upstream) = &self.upstream
                && self.strangers.are_joined_by(namespace)
            {
                tracing::warn!(
                    ns = namespace.escape_debug().to_string(),
                    upstream = upstream.host(),
                    "a caller asks for a registry that is not mirrored here; if it means the upstream, add it to proxy.aliases"
                );
            }
            return Err(NotMirrored {
                name: name.clone(),
                namespace: namespace.to_owned(),
            });
        }
        // The name as it was sent: what lives here has no other, beside Docker Hub neither.
        let upstream = match &self.upstream {
            Some(upstream) if !self.hosts(name) => upstream,
            Some(_) | None => return Ok(Repository::Hosted(Hosted { name: name.clone() })),
        };
        let name = if self.docker_hub {
            with_library(name)
        } else {
            name.clone()
        };
        // One name in the store is one repository: `library/nginx` cannot live here while `nginx` is filled from there.
        if self.hosts(&name) {
            return Ok(Repository::Hosted(Hosted { name }));
        }
        Ok(Repository::Mirror(Mirror {
            name_there: name.clone(),
            name,
            upstream: upstream.clone(),
        }))
    }

    /// Whether the repository of this name lives here.
    pub fn hosts(&self, name: &RepositoryName) -> bool {
        self.upstream.is_none() || self.hosted.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether this host is a name of the upstream or of this registry.
    pub fn knows(&self, namespace: &str, own_host: Option<&str>) -> bool {
        own_host.is_some_and(|host| host.eq_ignore_ascii_case(namespace))
            || self
                .names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(namespace))
    }

    /// The mirrored registry, if there is one.
    pub fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_ref()
    }
}

impl Strangers {
    /// Whether this is a new one, and worth telling.
    fn are_joined_by(&self, namespace: &str) -> bool {
        let mut known = self.0.lock();
        namespace.len() <= LONGEST_HOST
            && known.len() < MOST_STRANGERS
            && known.insert(namespace.to_ascii_lowercase())
    }
}

/// Docker Hub keeps its official images below `library/`; some clients leave that out when they pull through a mirror.
fn with_library(name: &RepositoryName) -> RepositoryName {
    if name.as_str().contains('/') {
        return name.clone();
    }
    format!("library/{name}")
        .parse()
        .unwrap_or_else(|_| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_that_is_not_mirrored_is_told_once_and_made_up_names_end() {
        let strangers = Strangers::default();
        assert!(strangers.are_joined_by("quay.example"));
        assert!(!strangers.are_joined_by("QUAY.example"));
        assert!(!strangers.are_joined_by(&"x".repeat(300)));
        let told = (0..1000).filter(|name: &u32| strangers.are_joined_by(&name.to_string()));
        assert_eq!(told.count(), MOST_STRANGERS - 1);
    }
}
