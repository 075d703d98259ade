//! `proxy`: the upstream, how fresh its tags must be, and what happens when it is away.

use std::path::PathBuf;
use std::time::Duration;

use super::credentials::Credentials;
use super::remote_url::RemoteUrl;

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
    /// `proxy.checkdeadline`: how long the upstream may be silent before a known tag is served unconfirmed.
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
}

/// What happens to a cached tag that the upstream says it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenGone {
    /// Serve it as it was.
    Keep,
    /// Answer 404 too.
    Follow,
}
