//! Which repository a name means: one that lives here, or a mirror of one elsewhere.
//!
//! Everything later in a request reads the answer of [`Repositories::find`] and never the name that was asked for: the name
//! in the store and the name at the upstream may differ from it (Docker Hub's `library/`).

use std::sync::Arc;

use cistern_oci::RepositoryName;

use crate::upstream::Upstream;

mod pattern;

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
}

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

    fn knows(&self, namespace: &str, own_host: Option<&str>) -> bool {
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
    use crate::upstream::UpstreamOptions;

    fn repositories(upstream: Option<&str>, hosted: &[&str]) -> Repositories {
        let upstream =
            upstream.map(|url| Upstream::new(UpstreamOptions::new(url.parse().unwrap())).unwrap());
        let hosted = hosted.iter().map(|text| text.parse().unwrap()).collect();
        Repositories::new(upstream, ["up.example"], hosted)
    }

    /// Whether it lives here, and its name in the store.
    fn found(repositories: &Repositories, name: &str, namespace: Option<&str>) -> (bool, String) {
        let found = repositories.find(&name.parse().unwrap(), namespace, None);
        match found.unwrap() {
            Repository::Hosted(hosted) => (true, hosted.name.to_string()),
            Repository::Mirror(mirror) => (false, mirror.name.to_string()),
        }
    }

    #[test]
    fn what_lives_here_is_no_mirror_and_the_rest_is() {
        let cache = repositories(Some("https://up.example"), &["local/*", "edge"]);
        for (name, lives_here) in [("local/a/b", true), ("edge", true), ("edge/a", false)] {
            for namespace in [None, Some("up.example")] {
                let expected = (lives_here, name.to_owned());
                assert_eq!(found(&cache, name, namespace), expected);
            }
        }
        assert!(
            cache
                .find(&"edge".parse().unwrap(), Some("other.example"), None)
                .is_err()
        );
        assert_eq!(
            found(&repositories(None, &[]), "a", None),
            (true, "a".to_owned())
        );
    }

    #[test]
    fn a_name_that_lives_here_beside_docker_hub_is_not_looked_for_among_its_official_images() {
        let hub = repositories(
            Some("https://registry-1.docker.io"),
            &["edge", "library/own*"],
        );
        assert_eq!(found(&hub, "edge", None), (true, "edge".to_owned()));
        assert_eq!(
            found(&hub, "nginx", None),
            (false, "library/nginx".to_owned())
        );
        for name in ["own", "library/own"] {
            assert_eq!(found(&hub, name, None), (true, "library/own".to_owned()));
        }
        assert_eq!(
            found(&hub, "library/edge", None),
            (false, "library/edge".to_owned())
        );
    }
}
