//! `proxy`: the upstream, how fresh its tags must be, and what happens when it is away.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::LoadFrom;
use super::credentials::{self, Credentials};
use super::duration;
use super::reader::{Problem, Reader, Written, flag};
use super::remote_url::RemoteUrl;
use super::routes::{self, Route, UpstreamSettings};
use super::uplink::{self, Uplink};

/// The section `proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// `proxy.remoteurl`: the registry we are a cache of. None: every repository is hosted here.
    pub remote: Option<RemoteUrl>,
    /// `proxy.username` and `proxy.password`, or their files. None: anonymous.
    pub credentials: Option<Credentials>,
    /// `proxy.ttl`: drop what was not used for that long. None: keep.
    pub ttl: Option<Duration>,
    /// `proxy.checkevery`: a tag confirmed this recently is served without asking.
    pub check_every: Duration,
    /// The same while the upstream is a Cistern: shorter, unless `proxy.checkevery` is set.
    pub check_every_of_cistern: Duration,
    /// `proxy.checkdeadline`: how long the upstream may be silent before a known tag is served unconfirmed; never zero.
    pub check_deadline: Duration,
    /// `proxy.whengone`: what happens to a cached tag that the upstream no longer has.
    pub when_gone: WhenGone,
    /// `proxy.aliases`: further names of the upstream that callers may give as `ns`; lower case, `host` or `host:port`.
    pub aliases: Vec<String>,
    /// `proxy.realms`: further hosts that may be given our credentials as token server; lower case, `host` or `host:port`.
    pub realms: Vec<String>,
    /// `proxy.ca`: files with certificates that are trusted beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// `proxy.insecure`: certificates of the upstream are not checked.
    pub insecure: bool,
    /// How the link is used.
    pub uplink: Uplink,
    /// `proxy.routes`: names that are mirrored from other registries.
    pub routes: Vec<Route>,
}

/// A roll-out may be half a minute late, and a herd of children that ask by tag costs two questions a minute.
const EVERY: Duration = Duration::from_secs(30);
/// A question to a cache on the same site costs the local network only, and each cache on the way adds its own interval to the time
/// that a moved tag takes to reach the bottom.
const EVERY_OF_CISTERN: Duration = Duration::from_secs(5);

/// What happens to a cached tag that the upstream says it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenGone {
    /// Serve it as it was, and say that it is stale: an image withdrawn upstream must not stop a running plant.
    Keep,
    /// Forget it, and answer 404 as the upstream does.
    Follow,
}

impl Proxy {
    /// Whether anything is mirrored.
    pub fn is_cache(&self) -> bool {
        self.remote.is_some() || !self.routes.is_empty()
    }

    /// The upstream of what no route matches, with all that is configured of it.
    pub fn upstream(&self) -> Option<UpstreamSettings> {
        Some(UpstreamSettings {
            remote: self.remote.clone()?,
            credentials: self.credentials.clone(),
            ca_files: self.ca_files.clone(),
            insecure: self.insecure,
            realms: self.realms.clone(),
            alternates: self.uplink.alternates.clone(),
            exec: self.uplink.exec.clone(),
            client_identity: self.uplink.client_identity.clone(),
        })
    }

    /// Every registry that is mirrored, in the order of the configuration; one that several routes name comes several times.
    pub fn remotes(&self) -> impl Iterator<Item = &RemoteUrl> {
        let routes = self.routes.iter().map(|route| &route.upstream.remote);
        self.remote.iter().chain(routes)
    }

    /// Every name a caller may give as `ns` to mean the upstream: its own, then the aliases, each once.
    pub fn names(&self) -> Vec<&str> {
        let own = self.remote.iter().flat_map(|remote| &remote.names);
        let mut names: Vec<&str> = Vec::new();
        for name in own.chain(&self.aliases) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

pub(super) fn read(reader: &mut Reader<'_>, from: &LoadFrom<'_>) -> Option<Proxy> {
    let remote = reader.value("proxy.remoteurl", |text| {
        RemoteUrl::parse(text, from.environment)
    });
    let credentials = credentials::read(reader, from, "proxy");
    let ttl = reader
        .value("proxy.ttl", duration::parse)
        .filter(|ttl| !ttl.is_zero());
    let check_every = reader.value("proxy.checkevery", duration::parse);
    let check_deadline = reader.value("proxy.checkdeadline", deadline);
    let when_gone = reader.value("proxy.whengone", when_gone);
    let aliases = hosts(reader, "proxy.aliases");
    let realms = hosts(reader, "proxy.realms");
    let ca_files = ca_files(reader, from, "proxy.ca");
    let insecure = reader.value("proxy.insecure", flag);
    let uplink = uplink::read(reader, from);
    let routes = routes::read(reader, from);
    let proxy = Proxy {
        remote,
        credentials,
        ttl,
        check_every: check_every.unwrap_or(EVERY),
        check_every_of_cistern: check_every.unwrap_or(EVERY_OF_CISTERN),
        check_deadline: check_deadline?,
        when_gone: when_gone?,
        aliases,
        realms,
        ca_files,
        insecure: insecure?,
        uplink: uplink?,
        routes,
    };
    doubts(reader, &proxy);
    Some(proxy)
}

/// Settings that are valid and still likely not meant.
fn doubts(reader: &mut Reader<'_>, proxy: &Proxy) {
    match proxy.upstream() {
        Some(upstream) => upstream_doubts(reader, "proxy", &upstream),
        None if !reader.says("proxy.remoteurl") => without_remote(reader, proxy),
        None => {}
    }
}

/// The same of one registry; `section` is where it is configured.
pub(super) fn upstream_doubts(reader: &mut Reader<'_>, section: &str, upstream: &UpstreamSettings) {
    let (remote, path) = (&upstream.remote, format!("{section}.remoteurl"));
    if let Some(written) = reader.set(&path) {
        let is_clear = remote.url.scheme() == "http";
        if is_clear && (upstream.credentials.is_some() || upstream.exec.is_some()) {
            let what = format!(
                "credentials are sent to {} in the clear",
                remote.authority()
            );
            let advice = "write https:// if it speaks TLS";
            reader.warn(written.place.clone(), &path, what, advice);
        }
        if !is_clear && !written.text.contains("://") && remote.url.port() == Some(80) {
            let what = format!("without a scheme this is https://{}", remote.authority());
            let advice = "write http:// if it speaks no TLS";
            reader.warn(written.place, &path, what, advice);
        }
    }
    let path = format!("{section}.insecure");
    if let (true, Some(written)) = (upstream.insecure, reader.set(&path)) {
        let what =
            "the upstream's certificate is not checked, so anybody on the way can pose as it";
        let advice = format!("name its certificate in {section}.ca instead");
        reader.warn(written.place, &path, what, advice);
    }
}

fn without_remote(reader: &mut Reader<'_>, proxy: &Proxy) {
    let (what, advice) = if proxy.is_cache() {
        let what = "it has no effect: each route has its own, and there is no proxy.remoteurl";
        (what, "set it in the route, or set proxy.remoteurl")
    } else {
        let advice = "set proxy.remoteurl to the registry this is to be a cache of";
        ("it has no effect: there is no upstream", advice)
    };
    for path in [
        "proxy.username",
        "proxy.password",
        "proxy.usernamefile",
        "proxy.passwordfile",
        "proxy.ttl",
        "proxy.exec.command",
        "proxy.clientcertificate",
    ] {
        if path == "proxy.ttl" && proxy.is_cache() {
            continue;
        }
        if let Some(written) = reader.set(path) {
            reader.warn(written.place, path, what, advice);
        }
    }
}

fn deadline(text: &str) -> Result<Duration, Problem> {
    match duration::parse(text)? {
        deadline if deadline.is_zero() => Err(Problem::new(
            "no upstream answers in no time",
            "write at least 100ms",
        )),
        deadline => Ok(deadline),
    }
}

fn when_gone(text: &str) -> Result<WhenGone, Problem> {
    match text {
        "keep" => Ok(WhenGone::Keep),
        "follow" => Ok(WhenGone::Follow),
        _ => Err(Problem::new(
            format!("there is no way `{text}`"),
            "write keep or follow",
        )),
    }
}

/// A list of hosts.
pub(super) fn hosts(reader: &mut Reader<'_>, path: &str) -> Vec<String> {
    let written: Vec<Written> = reader.list(path);
    let mut hosts: Vec<String> = written
        .iter()
        .filter_map(|written| reader.parse(path, written, host))
        .collect();
    hosts.dedup();
    hosts
}

/// `host` or `host:port`; a URL is cut down to that.
fn host(text: &str) -> Result<String, Problem> {
    let advice = "write a host such as registry.example.com or 10.0.0.7:5000";
    let wrong = || Problem::new(format!("`{text}` is no host"), advice);
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bare = bare.split_once('/').map_or(bare, |(bare, _)| bare);
    if bare.contains(['@', '?', '#', '*']) {
        return Err(wrong());
    }
    // A scheme without a default port keeps a port that was written, whichever it is.
    let url = url::Url::parse(&format!("https://{bare}")).map_err(|_| wrong())?;
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(wrong)?;
    Ok(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None if bare.ends_with(":443") => format!("{host}:443"),
        None => host.to_owned(),
    })
}

/// Files with certificates.
pub(super) fn ca_files(
    reader: &mut Reader<'_>,
    from: &LoadFrom<'_>,
    path_of_key: &str,
) -> Vec<PathBuf> {
    let written: Vec<Written> = reader.list(path_of_key);
    let mut files = Vec::new();
    for written in written {
        let path = Path::new(&written.text);
        match (from.read)(path) {
            Ok(_) => files.push(path.to_path_buf()),
            Err(error) => {
                let what = format!("{} cannot be read: {error}", path.display());
                reader.fail(
                    written.place,
                    path_of_key,
                    what,
                    "name a file with certificates in PEM form",
                );
            }
        }
    }
    files
}
