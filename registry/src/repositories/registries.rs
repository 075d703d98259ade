//! The registries that are mirrored, and what a name means among them.
//!
//! [`Registries::meaning`] is a function of the name alone, and [`Registries::stored`] answers only with names that mean, by this
//! function, what they are to keep. That is why no two repositories share a name in the store.

use std::borrow::Cow;

use cistern_oci::{Algorithm, Digest, RepositoryName};

use super::RepositoriesOptions;
use super::pattern::NamePattern;
use super::route::Route;
use crate::upstream::Upstream;

/// A registry that is mirrored, and what clients call it.
#[derive(Clone, Debug)]
pub struct Mirrored {
    /// The registry.
    pub upstream: Upstream,
    /// Every host, with and without port, that clients may mean it by; any case.
    pub names: Vec<String>,
}

/// What decides what a name means.
pub(super) struct Registries {
    known: Vec<Known>,
    /// The place of the one that is mirrored where no route says otherwise.
    otherwise: Option<usize>,
    /// Those that weigh most first.
    routes: Vec<(Route, String, usize)>,
    hosted: Vec<NamePattern>,
    own_names: Vec<String>,
}

/// One upstream.
struct Known {
    upstream: Upstream,
    names: Vec<String>,
    is_hub: bool,
    /// What the names in the store begin with that no other name here leads to.
    component: String,
}

/// A repository of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct There {
    /// The upstream's place.
    at: usize,
    /// The name there.
    pub(super) name: RepositoryName,
}

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It lives here, under this name.
    Hosted(RepositoryName),
    /// It is a copy of this.
    Mirror(There),
}

/// The host of Docker Hub's registry.
const DOCKER_HUB: &str = "registry-1.docker.io";

// === impl Mirrored ===

impl Mirrored {
    /// A registry that clients call by these names.
    pub fn new<'a>(upstream: Upstream, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            upstream,
            names: names.into_iter().map(str::to_owned).collect(),
        }
    }
}

// === impl Registries ===

impl Registries {
    pub(super) fn new(options: RepositoriesOptions) -> Self {
        let mut known = Vec::new();
        let otherwise = options.upstream.map(|first| place(&mut known, first));
        let mut routes: Vec<_> = options
            .routes
            .into_iter()
            .map(|route| {
                let at = place(&mut known, route.to.clone());
                let written = route.matching.to_string();
                (route, written, at)
            })
            .collect();
        // A stable order: of routes that weigh the same the first goes first.
        routes.sort_by_key(|(route, _, _)| std::cmp::Reverse(route.matching.weight()));
        Self {
            known,
            otherwise,
            routes,
            hosted: options.hosted,
            own_names: options.own_names,
        }
    }

    /// Every upstream, each once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Upstream> {
        self.known.iter().map(|known| &known.upstream)
    }

    /// What a name means that came without `ns`.
    pub(super) fn meaning(&self, name: &RepositoryName) -> Meaning {
        if let Some(there) = self.below_its_host(name) {
            return Meaning::Mirror(there);
        }
        // The name as it was sent: what lives here has no other, beside Docker Hub neither.
        if self.lives_here(name) {
            return Meaning::Hosted(name.clone());
        }
        let Some((at, there)) = self.led(name) else {
            return Meaning::Hosted(name.clone());
        };
        let full = self.official(at, &there).into_owned();
        // One name in the store is one repository: `library/nginx` cannot live here while `nginx` is filled from there.
        if full != there && there == *name && self.lives_here(&full) {
            return Meaning::Hosted(full);
        }
        Meaning::Mirror(There { at, name: full })
    }

    /// What a name means at a registry that is called so; none if there is no such one. Of several that are called alike it is
    /// the one that also this name here leads to.
    pub(super) fn meaning_at(&self, host: &str, name: &RepositoryName) -> Option<Meaning> {
        let called_so = |(_, known): &(usize, &Known)| known.is_called(host);
        let mut found = None;
        for (at, _) in self.known.iter().enumerate().filter(called_so) {
            // What lives here takes the place of what it has the name of at the upstream that it lives beside.
            if self.otherwise == Some(at)
                && let Meaning::Hosted(name) = self.meaning(name)
            {
                return Some(Meaning::Hosted(name));
            }
            let name = self.official(at, name).into_owned();
            let there = There { at, name };
            if self.name_here(&there).is_some() {
                return Some(Meaning::Mirror(there));
            }
            found.get_or_insert(there);
        }
        found.map(Meaning::Mirror)
    }

    /// The name in the store, and the upstream; the upstream's host if no name could hold it.
    pub(super) fn stored(&self, there: &There) -> Result<(RepositoryName, &Upstream), &str> {
        let known = self.known.get(there.at).ok_or("an unknown registry")?;
        let below_its_host = || format!("{}/{}", known.component, there.name).parse().ok();
        let name = self.name_here(there).or_else(below_its_host);
        Ok((name.ok_or(known.upstream.host())?, &known.upstream))
    }

    /// A name that leads to this when it is asked for without `ns`: its own before one that is rewritten.
    fn name_here(&self, there: &There) -> Option<RepositoryName> {
        let leads = |name: &RepositoryName| matches!(self.meaning(name), Meaning::Mirror(found) if found == *there);
        if leads(&there.name) {
            return Some(there.name.clone());
        }
        let routes = self.routes.iter().filter(|(_, _, at)| *at == there.at);
        let short = there.name.as_str().strip_prefix("library/");
        let short = short.and_then(|short| short.parse().ok());
        let mut names = routes.filter_map(|(route, _, _)| route.back(&there.name));
        names.find(leads).or(short.filter(leads))
    }

    /// Names that begin with an upstream's host mean what is there. With one upstream and nothing else none are needed, and the
    /// names that it has itself may begin so.
    fn below_its_host(&self, name: &RepositoryName) -> Option<There> {
        if self.routes.is_empty() {
            return None;
        }
        let (first, rest) = name.as_str().split_once('/')?;
        let at = self
            .known
            .iter()
            .position(|known| known.component == first)?;
        let rest = rest.parse().ok()?;
        let name = self.official(at, &rest).into_owned();
        Some(There { at, name })
    }

    /// Where a name leads that does not live here, and what it is called there.
    fn led(&self, name: &RepositoryName) -> Option<(usize, RepositoryName)> {
        let mut routes = self.routes.iter();
        routes
            .find_map(|(route, _, at)| Some((*at, route.take(name)?)))
            .or_else(|| Some((self.otherwise?, name.clone())))
    }

    /// The route that a name takes.
    pub(super) fn route_of(&self, name: &RepositoryName) -> Option<&str> {
        if self.below_its_host(name).is_some() || self.lives_here(name) {
            return None;
        }
        let mut routes = self.routes.iter();
        routes.find_map(|(route, written, _)| route.take(name).map(|_| written.as_str()))
    }

    /// What is mirrored from an upstream, in words; nothing where there are no routes.
    pub(super) fn mirrored_from(&self, upstream: &str) -> Vec<String> {
        let is_it = |at: usize| {
            let known = self.known.get(at);
            known.is_some_and(|known| known.upstream.host() == upstream)
        };
        let routes = self.routes.iter().filter(|(_, _, at)| is_it(*at));
        let mut names: Vec<_> = routes.map(|(_, written, _)| written.clone()).collect();
        if !self.routes.is_empty() && self.otherwise.is_some_and(is_it) {
            names.push("the rest".to_owned());
        }
        names
    }

    /// Whether a host is a name of an upstream.
    pub(super) fn is_a_name(&self, host: &str) -> bool {
        self.known.iter().any(|known| known.is_called(host))
    }

    /// Whether a host means us, whatever its port. The name of an upstream never does.
    pub(super) fn is_own_name(&self, host: &str) -> bool {
        let bare = host.rsplit_once(':').map_or(host, |(bare, port)| {
            if port.bytes().all(|byte| byte.is_ascii_digit()) {
                bare
            } else {
                host
            }
        });
        !self.is_a_name(host)
            && self
                .own_names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(bare))
    }

    fn lives_here(&self, name: &RepositoryName) -> bool {
        self.hosted.iter().any(|pattern| pattern.matches(name))
    }

    /// Docker Hub keeps its official images below `library/`; some clients leave that out when they pull through a mirror.
    fn official<'a>(&self, at: usize, name: &'a RepositoryName) -> Cow<'a, RepositoryName> {
        let is_hub = self.known.get(at).is_some_and(|known| known.is_hub);
        if !is_hub || name.as_str().contains('/') {
            return Cow::Borrowed(name);
        }
        match format!("library/{name}").parse() {
            Ok(full) => Cow::Owned(full),
            Err(_) => Cow::Borrowed(name),
        }
    }
}

// === impl Known ===

impl Known {
    fn is_called(&self, host: &str) -> bool {
        self.names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// The place of an upstream, which is added if it is a new one; its names are added to those it has.
fn place(known: &mut Vec<Known>, mirrored: Mirrored) -> usize {
    let host = mirrored.upstream.host();
    if let Some(at) = known.iter().position(|known| known.upstream.host() == host) {
        if let Some(known) = known.get_mut(at) {
            let new = |name: &String| !known.is_called(name);
            let new: Vec<_> = mirrored.names.into_iter().filter(new).collect();
            known.names.extend(new);
        }
        return at;
    }
    let component = component(host);
    let is_taken = known.iter().any(|known| known.component == component);
    known.push(Known {
        component: if is_taken { hashed(host) } else { component },
        is_hub: mirrored.upstream.authority() == DOCKER_HUB,
        names: mirrored.names,
        upstream: mirrored.upstream,
    });
    known.len() - 1
}

/// What names in the store begin with that are kept below an upstream's host: `quay.example`, `127.0.0.2_5001`. A host that has no
/// dot and no port gets one (`parent_443`), since a repository might be called like it; one that no part of a name can say (an IPv6
/// address) is hashed.
pub fn component(host: &str) -> String {
    let (bare, port) = match host.split_once(':') {
        Some((bare, port)) => (bare, Some(port)),
        None if host.contains('.') => (host, None),
        None => (host, Some("443")),
    };
    let is_plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte))
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let written = match port {
        Some(port) => format!("{bare}_{port}"),
        None => bare.to_owned(),
    };
    let is_name = written.parse::<RepositoryName>().is_ok();
    if is_plain(bare) && port.is_none_or(is_port) && is_name {
        written
    } else {
        hashed(host)
    }
}

fn hashed(host: &str) -> String {
    let digest = Digest::of(Algorithm::Sha256, host.as_bytes());
    let hex: String = digest.hex().chars().take(24).collect();
    format!("h-{hex}")
}
