//! Which repository a name means: one that lives here, or a mirror of one elsewhere, and at which of several upstreams.
//!
//! Everything later in a request reads the answer of [`Repositories::find`] and never the name that was asked for: the name
//! in the store and the name at the upstream may differ from it (Docker Hub's `library/`, a route's `rewrite`, an `ns`).
//!
//! **A name in the store means one repository of one registry.** Whatever is asked for, under which name and with which `ns`: the
//! store's name that is answered means, asked for by itself, the same repository again. So no two share one, and what is kept
//! in order by its name in the store is judged by the right upstream.

use std::borrow::Cow;
use std::sync::Arc;

use cistern_oci::RepositoryName;

use crate::chain::Asker;
use crate::upstream::Upstream;

mod image_pattern;
#[cfg(test)]
mod lives_here;
mod pattern;
mod registries;
mod route;
mod strangers;
#[cfg(test)]
mod tests;

pub use image_pattern::{ImagePattern, NotAnImagePattern};
pub use pattern::{NamePattern, NotAPattern};
pub use registries::{Mirrored, component};
pub use route::{Route, RouteMatch};

use registries::{Meaning, Registries};
use strangers::Strangers;

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
    /// Who vouches for its tags: the upstream, with the name there where that is another than the one in the store. A tag that
    /// was confirmed by anybody else, as before a route was changed, counts as stale.
    pub fn source(&self) -> Cow<'_, str> {
        let host = self.upstream.host();
        if self.name_there == self.name {
            return Cow::Borrowed(host);
        }
        Cow::Owned(format!("{host}/{}", self.name_there))
    }

    /// The same for `asker`; for nobody in particular, [`Asker::default`].
    #[must_use]
    pub fn asked_by(self, asker: &Asker) -> Self {
        Self {
            upstream: self.upstream.asked_by(asker),
            ..self
        }
    }
}

/// The registry that was meant is not mirrored here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not a repository of this registry: it does not mirror {namespace}")]
pub struct NotMirrored {
    /// The repository asked for.
    pub name: RepositoryName,
    /// The registry host the client meant, as it was sent.
    pub namespace: String,
}

/// What decides which repository a name means.
#[derive(Default)]
pub struct RepositoriesOptions {
    /// The registry that is mirrored where no route says otherwise. None: what no route matches is hosted.
    pub upstream: Option<Mirrored>,
    /// Names that are mirrored from other registries, in the order of the configuration. Upstreams are told apart by
    /// [`Upstream::host`]: equal ones are one.
    pub routes: Vec<Route>,
    /// The repositories that live here although there is an upstream.
    pub hosted: Vec<NamePattern>,
    /// Hosts that mean this registry itself, beside the one a caller used: `host`, with any port.
    pub own_names: Vec<String>,
}

/// Decides what a repository name means.
#[derive(Clone)]
pub struct Repositories {
    registries: Arc<Registries>,
    strangers: Arc<Strangers>,
}

// === impl RepositoriesOptions ===

impl RepositoriesOptions {
    /// Everything mirrors this registry, which clients call by these names.
    pub fn mirror_of<'a>(upstream: Upstream, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            upstream: Some(Mirrored::new(upstream, names)),
            ..Self::default()
        }
    }
}

// === impl Repositories ===

impl Repositories {
    /// Without an upstream and without routes every repository is hosted.
    pub fn new(options: RepositoriesOptions) -> Self {
        Self {
            registries: Arc::new(Registries::new(options)),
            strangers: Arc::default(),
        }
    }

    /// The repository that `name` means.
    ///
    /// `namespace` is the `ns` parameter (distribution-spec, "Registry Proxying"): the registry the client wanted when it was
    /// sent here by a mirror setting. It is a key to look up, never an address to dial; then `name` is the name there. `own_host`
    /// is the `Host` the client used for us, which is a name of ours by definition.
    pub fn find(
        &self,
        name: &RepositoryName,
        namespace: Option<&str>,
        own_host: Option<&str>,
    ) -> Result<Repository, NotMirrored> {
        match namespace {
            Some(namespace) if !self.is_ours(namespace, own_host) => self.find_at(name, namespace),
            Some(_) | None => self.repository(self.registries.meaning(name)),
        }
    }

    /// The repository that an image of a deployment manifest means. `host` is the registry it names, with its port: `$upstream:443`
    /// and every other placeholder, our own names and none at all mean us, as children ask us; the name of an upstream means
    /// that one.
    pub fn of_image(
        &self,
        host: Option<&str>,
        name: &RepositoryName,
    ) -> Result<Repository, NotMirrored> {
        match host {
            Some(host) if !host.starts_with(['$', '{']) => self.find(name, Some(host), None),
            Some(_) | None => self.find(name, None, None),
        }
    }

    fn find_at(&self, name: &RepositoryName, namespace: &str) -> Result<Repository, NotMirrored> {
        if let Some(meaning) = self.registries.meaning_at(namespace, name) {
            return self.repository(meaning);
        }
        if self.is_cache() && self.strangers.are_joined_by(namespace) {
            let upstreams: Vec<_> = self.registries.all().map(Upstream::host).collect();
            tracing::warn!(
                ns = namespace.escape_debug().to_string(),
                upstream = upstreams.join(", "),
                "a caller asks for a registry that is not mirrored here; if it means the upstream, add it to proxy.aliases"
            );
        }
        Err(NotMirrored {
            name: name.clone(),
            namespace: namespace.to_owned(),
        })
    }

    fn repository(&self, meaning: Meaning) -> Result<Repository, NotMirrored> {
        let there = match meaning {
            Meaning::Hosted(name) => return Ok(Repository::Hosted(Hosted { name })),
            Meaning::Mirror(there) => there,
        };
        match self.registries.stored(&there) {
            Ok((name, upstream)) => Ok(Repository::Mirror(Mirror {
                name,
                name_there: there.name,
                upstream: upstream.clone(),
            })),
            // So long a name that its host does not fit before it.
            Err(host) => Err(NotMirrored {
                name: there.name,
                namespace: host.to_owned(),
            }),
        }
    }

    /// Whether the repository of this name lives here.
    pub fn hosts(&self, name: &RepositoryName) -> bool {
        matches!(self.registries.meaning(name), Meaning::Hosted(_))
    }

    /// Whether this host is a name of an upstream or of this registry.
    pub fn knows(&self, namespace: &str, own_host: Option<&str>) -> bool {
        self.is_ours(namespace, own_host) || self.registries.is_a_name(namespace)
    }

    /// Whether anything is mirrored at all.
    pub fn is_cache(&self) -> bool {
        self.registries.all().next().is_some()
    }

    /// The mirrored registries, each once: the one of `proxy.remoteurl` first, then those of the routes.
    pub fn upstreams(&self) -> Vec<Upstream> {
        self.registries.all().cloned().collect()
    }

    /// The route that a name takes when it is asked for without `ns`, as it was written: `azureiotedge-*`. None: it takes none.
    pub fn route_of(&self, name: &RepositoryName) -> Option<&str> {
        self.registries.route_of(name)
    }

    /// What is mirrored from an upstream, as the routes were written, those that count first before the others; `the rest` for what
    /// no route takes. Nothing where there are no routes.
    pub fn mirrored_from(&self, upstream: &str) -> Vec<String> {
        self.registries.mirrored_from(upstream)
    }

    fn is_ours(&self, namespace: &str, own_host: Option<&str>) -> bool {
        own_host.is_some_and(|host| host.eq_ignore_ascii_case(namespace))
            || self.registries.is_own_name(namespace)
    }
}
