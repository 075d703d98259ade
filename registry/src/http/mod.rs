//! HTTP: the only room that knows axum and hyper, statuses and header names.
//!
//! It turns a request into a question to `pull` or `push` and the answer into bytes on a socket. It never sees an upstream client, the
//! index, or a path in the store.
//!
//! Never to be added here: a layer that compresses or decompresses (digests and lengths would no longer hold, and clients
//! decode what they did not ask to have decoded), one that rewrites paths (`Endpoint::parse` is the only splitter), one that
//! limits how long a body may take (a layer over a bad link takes hours), or a route whose HEAD runs its GET.

mod access;
pub mod admin;
mod api;
mod body;
mod connection;
mod error;
mod failures;
mod handover;
mod handshake;
mod layers;
mod listen;
mod observe;
mod request;
mod request_body;
mod request_id;
mod response;
mod router;
mod socket;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

pub use access::{Access, AccessOptions};
pub use failures::Failures;
pub use listen::{Limits, ListenError, Listening, Places, Stopping, TlsPlace};

use crate::chain::Pseudonym;
use crate::metrics::Metrics;
use crate::pull::Pull;
use crate::push::Push;
use crate::repositories::Repositories;
use crate::warm::Warm;

/// The target of the access log's lines, by which whoever formats the log knows them.
pub(crate) const ACCESS: &str = "cistern::access";

/// Everything an answer can need. Built once by the app, shared by all listeners.
pub struct Http {
    /// Which repository a name means.
    pub repositories: Repositories,
    /// Reading: what the store holds, and what an upstream can add.
    pub pull: Pull,
    /// Writing to what is hosted here.
    pub push: Push,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether this process and its store are well.
    pub health: admin::Health,
    /// Who may ask, and who may write.
    pub access: Access,
    /// What the configuration says about answers.
    pub settings: Settings,
    /// What this server can tell of itself.
    pub about: admin::About,
    /// The requests that failed of late.
    pub failures: Failures,
    /// What is fetched before anybody asks.
    pub warm: Warm,
}

/// What `config.yml` says about answers and sockets (`http.*` and `log.accesslog`).
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http.headers`: added to every answer, unless the answer has that header already.
    pub headers: HeaderMap<HeaderValue>,
    /// `http.trustedproxies`: whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// One line per request, or none (`log.accesslog.disabled`).
    pub access_log: bool,
    /// Serve the metrics on the main address too.
    pub metrics_on_main: bool,
    /// Serve them on the debug address, where there is one.
    pub metrics_on_debug: bool,
    /// Where the metrics are (`http.debug.prometheus.path`), `/metrics` unless set.
    pub metrics_path: String,
    /// `http.draintimeout`: how long running bodies may go on after the first signal.
    pub drain: Duration,
    /// The name of this process in `Via`.
    pub pseudonym: Pseudonym,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            trusted_proxies: Vec::new(),
            access_log: true,
            metrics_on_main: false,
            metrics_on_debug: true,
            metrics_path: "/metrics".to_owned(),
            drain: Duration::from_secs(8),
            pseudonym: Pseudonym::random(),
        }
    }
}
