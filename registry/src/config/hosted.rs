//! `hosted`: which repositories live here beside the mirrored ones, and who may write to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::network;
use super::reader::{Problem, Reader, Written, flag};
use super::{HtpasswdFile, Http, Proxy};
use crate::repositories::{NamePattern, NotAPattern};

/// The section `hosted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosted {
    /// `hosted.repositories`: which repositories live here. Without `proxy.remoteurl` all of them do that no route takes, whatever is here.
    pub repositories: Vec<NamePattern>,
    /// `hosted.writefrom`: where writers must be. None: nothing was said; an empty list: nobody writes.
    pub write_from: Option<Vec<IpNet>>,
    /// `hosted.incomplete`: manifests whose blobs are not here are taken too.
    pub incomplete: bool,
}

const REPOSITORIES: &str = "hosted.repositories";
const WRITE_FROM: &str = "hosted.writefrom";

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Hosted> {
    let written: Vec<Written> = reader.list(REPOSITORIES);
    let repositories = written
        .iter()
        .filter_map(|written| reader.parse(REPOSITORIES, written, pattern))
        .collect();
    let write_from = reader
        .says(WRITE_FROM)
        .then(|| network::list(reader, WRITE_FROM));
    let incomplete = reader.value("hosted.incomplete", flag);
    Some(Hosted {
        repositories,
        write_from,
        incomplete: incomplete?,
    })
}

fn pattern(text: &str) -> Result<NamePattern, Problem> {
    text.parse().map_err(|error: NotAPattern| {
        Problem::new(
            error.to_string(),
            "write a repository's name, with `*` for any part of it, such as local/*",
        )
    })
}

/// Settings that are valid and still likely not meant, seen together with who may come in and where the rest comes from.
pub(super) fn doubts(
    reader: &mut Reader<'_>,
    hosted: &Hosted,
    proxy: &Proxy,
    http: &Http,
    auth: Option<&HtpasswdFile>,
) {
    let is_some = !hosted.repositories.is_empty();
    match (&proxy.remote, proxy.is_cache()) {
        (None, false) if is_some => warn(
            reader,
            REPOSITORIES,
            "every repository is hosted here, whatever it says: there is no upstream",
            "set proxy.remoteurl, or remove it",
        ),
        (Some(_), _) if !is_some => {
            for path in [WRITE_FROM, "hosted.incomplete"] {
                let what = "it has no effect: every repository mirrors the upstream";
                warn(
                    reader,
                    path,
                    what,
                    "name those that live here in hosted.repositories",
                );
            }
        }
        (_, true) if hosted.repositories.iter().any(NamePattern::is_every_name) => warn(
            reader,
            REPOSITORIES,
            "it matches every name, so the upstream is never asked",
            "name only those that live here, such as local/*",
        ),
        _ => {}
    }
    if hosted.lets_this_machine_write() && auth.is_none() && !forwards_from_here(http) {
        let what =
            "a proxy on this machine counts as this machine, so whoever reaches the proxy may push";
        let advice = "if there is one, name it in http.trustedproxies, so that the address it forwards counts";
        warn(reader, WRITE_FROM, what, advice);
    }
    anonymous_pull(reader, http, auth);
}

impl Hosted {
    /// An address of this machine is named, and not just every address there is.
    fn lets_this_machine_write(&self) -> bool {
        let networks = self.write_from.iter().flatten();
        networks.clone().all(|net| net.prefix_len() > 0) && networks.clone().any(has_loopback)
    }
}

/// Whether proxies on this machine are trusted to say whom they speak for.
fn forwards_from_here(http: &Http) -> bool {
    http.trusted_proxies.iter().any(has_loopback)
}

fn has_loopback(net: &IpNet) -> bool {
    net.network().is_loopback()
        || net.contains(&IpAddr::from(Ipv4Addr::LOCALHOST))
        || net.contains(&IpAddr::from(Ipv6Addr::LOCALHOST))
}

fn anonymous_pull(reader: &mut Reader<'_>, http: &Http, auth: Option<&HtpasswdFile>) {
    const PATH: &str = "http.anonymouspull";
    if !http.anonymous_pull {
        return;
    }
    match auth {
        Some(_) => warn(
            reader,
            PATH,
            "/v2/ asks for no login, so clients that look only there (docker, podman, skopeo) can pull and cannot push",
            "push with clients that answer a 401 of any request, such as containerd, or remove it",
        ),
        None => warn(
            reader,
            PATH,
            "it has no effect: nobody is asked for a login",
            "set auth.htpasswd, or remove it",
        ),
    }
}

/// Says something about a key if somebody set it.
fn warn(reader: &mut Reader<'_>, path: &str, what: &str, advice: &str) {
    if let (true, Some(place)) = (reader.says(path), reader.place_of(path)) {
        reader.warn(place, path, what, advice);
    }
}
