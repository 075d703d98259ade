//! `proxy.remoteurl`, read forgivingly: `host`, `host:443`, `https://host/`, `$upstream:443`, Docker Hub by any of its names.

use url::Url;

/// The upstream registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteUrl {
    /// `http` or `https`, host, and the path below which `/v2/` is found; no trailing slash beyond the root's, no credentials.
    pub url: Url,
    /// Names of this upstream that a caller may give as `ns`, the host as asked first; lower case, a port only where it was given.
    pub names: Vec<String>,
}
