//! `http`: where we listen, what is added to answers, who may speak for a caller's address.

use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::address::ListenAddress;

/// The section `http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `http.addr`: where callers come in.
    pub address: ListenAddress,
    /// `http.headers`: added to every answer, unless the answer has that header already.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `http.draintimeout`: how long requests in flight may go on after a stop signal.
    pub drain_timeout: Duration,
    /// `http.debug.addr`: a second address for `/metrics`, `/healthz` and `/readyz`.
    pub debug_address: Option<ListenAddress>,
    /// Where `/metrics` is answered, and under which path.
    pub metrics: MetricsAt,
    /// `http.trustedproxies`: peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// Where metrics are served; the text is the path, `/metrics` unless `http.debug.prometheus.path` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAt {
    /// Nowhere: nobody asked for them.
    Nowhere,
    /// On `http.debug.addr`.
    DebugAddress(String),
    /// On `http.addr`: they were asked for, and there is no debug address.
    MainAddress(String),
}
