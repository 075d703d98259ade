//! `proxy.routes`: names that are mirrored from other registries than the rest, each with all that is configured of its registry.
//!
//! A route inherits nothing of what stands directly below `proxy` about the registry itself, credentials least of all; what is said
//! there of the link and of freshness holds for all.

mod doubts;

use std::path::PathBuf;

use super::LoadFrom;
use super::credentials::{self, Credentials};
use super::finding::Place;
use super::proxy::{self, ca_files, hosts};
use super::reader::{Problem, Reader, Written, flag};
use super::remote_url::RemoteUrl;
use super::uplink::{self, ClientIdentity, Exec};
use crate::repositories::{NamePattern, NotAPattern, RouteMatch};

pub(super) use doubts::doubts;

/// Names that are mirrored from another registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `prefix` or `pattern`: which names.
    pub matching: RouteMatch,
    /// `rewrite`: what the matched prefix becomes at the registry. None: names stay as they are.
    pub rewrite: Option<String>,
    /// `aliases`: further names of the registry that callers may give as `ns`; lower case, `host` or `host:port`.
    pub aliases: Vec<String>,
    /// The registry.
    pub upstream: UpstreamSettings,
}

/// All that is configured of one registry. Where two are equal, they are one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// `remoteurl`: where it is, and what it is called.
    pub remote: RemoteUrl,
    /// `username` and `password`, or their files. None: anonymous.
    pub credentials: Option<Credentials>,
    /// `ca`: files with certificates that are trusted beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// `insecure`: its certificates are not checked.
    pub insecure: bool,
    /// `realms`: further hosts that may be given the credentials as token server.
    pub realms: Vec<String>,
    /// `alternates`: other addresses of it.
    pub alternates: Vec<RemoteUrl>,
    /// `exec`: a program that tells the credentials.
    pub exec: Option<Exec>,
    /// `clientcertificate` and `clientkey`.
    pub client_identity: Option<ClientIdentity>,
}

const ROUTES: &str = "proxy.routes";

impl Route {
    /// Every name a caller may give as `ns` to mean the registry.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.upstream.remote.names.iter().chain(&self.aliases);
        names.map(String::as_str)
    }
}

pub(super) fn read(reader: &mut Reader<'_>, from: &LoadFrom<'_>) -> Vec<Route> {
    let mut routes: Vec<(String, Route)> = Vec::new();
    for number in 0..reader.elements(ROUTES) {
        let section = format!("{ROUTES}.{number}");
        if !reader.says(&section) {
            continue;
        }
        let Some(route) = one(reader, from, &section) else {
            continue;
        };
        let twin = routes
            .iter()
            .find(|(_, other)| other.matching == route.matching);
        if let Some((twin, _)) = twin {
            let what = format!("{twin} takes the same names, `{}`", route.matching);
            let place = reader.place_of(&section).unwrap_or(Place::Default);
            reader.fail(place, &section, what, "keep one of the two");
            continue;
        }
        proxy::upstream_doubts(reader, &section, &route.upstream);
        routes.push((section, route));
    }
    routes.into_iter().map(|(_, route)| route).collect()
}

fn one(reader: &mut Reader<'_>, from: &LoadFrom<'_>, section: &str) -> Option<Route> {
    let matching = matching(reader, section);
    let path = format!("{section}.rewrite");
    let rewrite = reader.value(&path, rewrite);
    let aliases = hosts(reader, &format!("{section}.aliases"));
    let upstream = upstream(reader, from, section);
    Some(Route {
        matching: matching?,
        rewrite,
        aliases,
        upstream: upstream?,
    })
}

fn upstream(
    reader: &mut Reader<'_>,
    from: &LoadFrom<'_>,
    section: &str,
) -> Option<UpstreamSettings> {
    let key = |word: &str| format!("{section}.{word}");
    let path = key("remoteurl");
    let remote = reader.value(&path, |text| RemoteUrl::parse(text, from.environment));
    if !reader.says(&path) {
        let place = reader.place_of(section).unwrap_or(Place::Default);
        let advice = format!("set {path} to the registry that these names come from");
        reader.fail(
            place,
            section,
            "it does not say where these names come from",
            &advice,
        );
    }
    let credentials = credentials::read(reader, from, section);
    let ca_files = ca_files(reader, from, &key("ca"));
    let insecure = reader.value(&key("insecure"), flag);
    let realms = hosts(reader, &key("realms"));
    let alternates = uplink::alternates(reader, from, section);
    let exec = uplink::exec(reader, section);
    let client_identity = uplink::client_identity(reader, from, section);
    Some(UpstreamSettings {
        remote: remote?,
        credentials,
        ca_files,
        insecure: insecure?,
        realms,
        alternates,
        exec,
        client_identity,
    })
}

fn matching(reader: &mut Reader<'_>, section: &str) -> Option<RouteMatch> {
    let (prefix_key, pattern_key) = (format!("{section}.prefix"), format!("{section}.pattern"));
    let written: (Option<Written>, Option<Written>) =
        (reader.set(&prefix_key), reader.set(&pattern_key));
    match written {
        (Some(written), None) => reader.parse(&prefix_key, &written, prefix),
        (None, Some(written)) => reader.parse(&pattern_key, &written, pattern),
        (Some(_), Some(written)) => {
            let what = format!("{prefix_key} is set too");
            reader.fail(written.place, &pattern_key, what, "keep one of the two");
            None
        }
        (None, None) => {
            let place = reader.place_of(section).unwrap_or(Place::Default);
            let advice = format!("set {prefix_key}, such as azureiotedge-, or {pattern_key}");
            reader.fail(
                place,
                section,
                "it does not say which names it takes",
                &advice,
            );
            None
        }
    }
}

fn prefix(text: &str) -> Result<RouteMatch, Problem> {
    let text = text.trim();
    if text.contains('*') {
        return Err(Problem::new(
            format!("`{text}` has a star, which means nothing in a prefix"),
            "leave it out at the end, or write it as a pattern",
        ));
    }
    // What begins a name is one with a letter behind it.
    let is_one = format!("{text}a")
        .parse::<cistern_oci::RepositoryName>()
        .is_ok();
    if is_one {
        return Ok(RouteMatch::Prefix(text.to_owned()));
    }
    Err(Problem::new(
        format!("no repository's name begins with `{text}`"),
        "write what names begin with, in lower case and without a host, such as azureiotedge- or team/",
    ))
}

fn pattern(text: &str) -> Result<RouteMatch, Problem> {
    let pattern: Result<NamePattern, NotAPattern> = text.trim().parse();
    pattern.map(RouteMatch::Pattern).map_err(|error| {
        Problem::new(
            error.to_string(),
            "write a repository's name, with `*` for any part of it, such as */base",
        )
    })
}

/// A lone slash drops what was matched.
fn rewrite(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text == "/" {
        return Ok(String::new());
    }
    if format!("{text}a")
        .parse::<cistern_oci::RepositoryName>()
        .is_ok()
    {
        return Ok(text.to_owned());
    }
    Err(Problem::new(
        format!("no repository's name begins with `{text}`"),
        "write what names begin with at the registry, such as mirror/, or / to drop the prefix",
    ))
}
