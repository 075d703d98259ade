//! The environment's word on how other hosts are reached: `https_proxy`, `http_proxy`, `no_proxy`.

use std::fmt;

use url::Url;

/// The proxies for connections to the upstream; read as Go programs do: `HTTPS_PROXY` before `https_proxy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutgoingProxies {
    /// For `https://` upstreams.
    pub https: Option<OutgoingProxy>,
    /// For `http://` upstreams.
    pub http: Option<OutgoingProxy>,
    /// Hosts, domains and networks that are reached directly, as written: separated by commas.
    pub except: Option<String>,
}

/// The URL of a proxy. Its user name and password, if it has them, are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingProxy(Url);

impl OutgoingProxy {
    /// The URL with its credentials.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for OutgoingProxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0.scheme())
    }
}

impl fmt::Debug for OutgoingProxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
