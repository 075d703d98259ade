//! What an upstream is built from. Reads nothing by itself: neither the environment nor a configuration file.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cistern_auth::outgoing::CredentialSource;
use url::Url;

use super::{Budget, Contacts};
use crate::chain::Pseudonym;

/// Everything that is configured about one upstream.
#[derive(Clone)]
pub struct UpstreamOptions {
    /// `http(s)://host[:port][/prefix]`; the registry's API is expected at `…/prefix/v2/`. Without user and password.
    pub url: Url,
    /// What it is called where host and prefix do not tell it from another upstream ([`Upstream::host`](super::Upstream::host)).
    pub called: Option<String>,
    /// Other addresses of the same registry, asked in this order where the one before does not answer. Listing one is leave
    /// to show it the credentials.
    pub alternates: Vec<Url>,
    /// What to show when the upstream asks who we are.
    pub credentials: CredentialSource,
    /// Bundles of PEM certificates trusted beside the compiled-in and the system's roots; read again when they change.
    pub ca_files: Vec<PathBuf>,
    /// The certificate shown to whoever may see the credentials and asks for one; read again when it changes.
    pub client_identity: Option<ClientIdentity>,
    /// Skip every check of certificates. For test rigs.
    pub insecure: bool,
    /// Hosts (`host` or `host:port`) beside the upstream's own domain that may be given its credentials.
    pub realms: Vec<String>,
    /// The proxy for `https://` targets, as the environment gave it.
    pub https_proxy: Option<String>,
    /// The proxy for `http://` targets, as the environment gave it.
    pub http_proxy: Option<String>,
    /// The list of hosts and networks reached without a proxy, as the environment gave it.
    pub no_proxy: Option<String>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// The `User-Agent` of every request.
    pub user_agent: String,
    /// What every body read from this upstream has to pass.
    pub budget: Budget,
    /// The name of this process in the `Via` of every question.
    pub pseudonym: Pseudonym,
    /// Where it is written down which hosts are contacted.
    pub contacts: Option<Contacts>,
}

/// A client certificate, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate, and those between it and its root.
    pub certificate: PathBuf,
    /// Its private key, unencrypted.
    pub key: PathBuf,
}

/// How much silence is borne at each stage. There is no limit on the length of a whole body.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the first packet to an open, encrypted connection, name lookup included.
    pub connect: Duration,
    /// From a sent request to the head of its answer.
    pub header: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// 8 s, 16 s and 30 s: the first two together stay below the 30 s in which callers expect an answer from us.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(8),
            header: Duration::from_secs(16),
            idle: Duration::from_secs(30),
        }
    }
}

impl UpstreamOptions {
    /// An upstream without credentials, proxies or special trust, and with the default timeouts.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            called: None,
            alternates: Vec::new(),
            credentials: CredentialSource::None,
            ca_files: Vec::new(),
            client_identity: None,
            insecure: false,
            realms: Vec::new(),
            https_proxy: None,
            http_proxy: None,
            no_proxy: None,
            timeouts: Timeouts::default(),
            user_agent: concat!("cistern/", env!("CARGO_PKG_VERSION")).to_owned(),
            budget: Budget::unlimited(),
            pseudonym: Pseudonym::random(),
            contacts: None,
        }
    }
}

impl fmt::Debug for UpstreamOptions {
    /// Proxy addresses may carry passwords, so only their presence is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamOptions")
            .field("host", &self.url.host_str())
            .field("alternates", &self.alternates.len())
            .field("credentials", &self.credentials)
            .field("ca_files", &self.ca_files)
            .field("client_identity", &self.client_identity)
            .field("insecure", &self.insecure)
            .field("realms", &self.realms)
            .field("https_proxy", &self.https_proxy.is_some())
            .field("http_proxy", &self.http_proxy.is_some())
            .field("no_proxy", &self.no_proxy)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
