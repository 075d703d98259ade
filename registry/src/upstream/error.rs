//! What can go wrong with an upstream, as facts. Which HTTP status a caller gets for one of them is decided in
//! `http/error.rs`, not here. No text here ever carries a secret, a query string or a user name.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A request to an upstream failed: who failed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError {
    /// The host that failed, with its port when it is not the scheme's own: the upstream, or the token server or the
    /// storage it sent us to.
    pub host: Arc<str>,
    /// How it failed.
    pub fault: Fault,
}

/// How a request to an upstream failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The upstream says that what was asked for is not there, or not for us to see.
    NotFound(Said),
    /// The upstream or its token server refused the credentials this cache is configured with.
    CredentialsRefused {
        /// The HTTP status of the refusal, 401 or 403.
        status: u16,
    },
    /// HTTP 429, now or a moment ago.
    RateLimited {
        /// How long the host is left alone: what its `Retry-After` said, or what is our own choice where it said nothing.
        retry_after: Option<Duration>,
    },
    /// HTTP 503 that named a time to wait, as a cache above us does whose own link is down.
    Unavailable {
        /// From `Retry-After`, given as seconds or as a date.
        retry_after: Duration,
    },
    /// Any other status that is no success.
    Status(u16),
    /// No answer, or not all of it: the link failed.
    Unreachable {
        /// Which part of the link failed.
        link: LinkFault,
        /// The cause in words, for the log and for the error's detail.
        detail: String,
    },
    /// The upstream answered something that cannot be used or must not be followed; the words say what.
    Invalid(String),
}

/// The ways in which an upstream says "not found".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// 404.
    NotFound,
    /// This status (401 or 403) although its token server had granted a token: Docker Hub's word for a missing repository.
    RefusedThoughTokenGranted(u16),
    /// The token server (or a registry that wants Basic) answered this status, and no credentials are configured:
    /// GHCR's word for a missing package.
    TokenRefusedWithoutCredentials(u16),
}

/// The part of the link that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkFault {
    /// The name did not resolve.
    Dns,
    /// No connection: refused, unreachable, or the proxy would not open a tunnel.
    Connect,
    /// The TLS handshake failed: certificate not trusted, or no TLS spoken there.
    Tls,
    /// Silence for longer than the timeout.
    Timeout,
    /// The connection broke or closed before the answer was complete.
    Closed,
}

/// An [`Upstream`](super::Upstream) cannot be built from its options; the text names the setting to change.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    /// The upstream's address cannot be used.
    #[error("proxy.remoteurl: {0}")]
    Url(String),
    /// One of the upstream's other addresses cannot be used.
    #[error("proxy.alternates: {0}")]
    Alternate(String),
    /// A bundle of certificates cannot be read.
    #[error("proxy.ca: {}: {reason}", path.display())]
    CaFile {
        /// The file named in the configuration.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The client certificate or its key cannot be used.
    #[error("proxy.clientcertificate and proxy.clientkey: {}: {reason}", path.display())]
    ClientIdentity {
        /// The file named in the configuration.
        path: PathBuf,
        /// What is wrong with it; nothing of its content.
        reason: String,
    },
    /// A proxy address from the environment cannot be used.
    #[error("{variable}: {reason}")]
    Proxy {
        /// The environment variable's usual name.
        variable: &'static str,
        /// What is wrong with it, without the address itself (it may carry a password).
        reason: String,
    },
    /// An entry of the list of allowed realms is no host.
    #[error("proxy.realms: {0:?} is neither a host nor host:port")]
    Realm(String),
    /// The HTTP client cannot be built.
    #[error("the upstream client cannot be set up: {0}")]
    Client(String),
}

impl Fault {
    pub(super) fn at(self, host: &Arc<str>) -> UpstreamError {
        UpstreamError {
            host: Arc::clone(host),
            fault: self,
        }
    }
}

impl LinkFault {
    /// One lower-case word, for labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(Said::NotFound) => f.write_str("not found (404)"),
            Self::NotFound(Said::RefusedThoughTokenGranted(status)) => {
                write!(
                    f,
                    "refused ({status}) although its token server granted a token"
                )
            }
            Self::NotFound(Said::TokenRefusedWithoutCredentials(status)) => {
                write!(
                    f,
                    "refused access ({status}) to a cache without credentials"
                )
            }
            Self::CredentialsRefused { status } => {
                write!(f, "refused this cache's credentials ({status})")
            }
            Self::RateLimited { retry_after: None } => f.write_str("too many requests (429)"),
            Self::RateLimited {
                retry_after: Some(wait),
            } => {
                write!(
                    f,
                    "too many requests (429), to be asked again in {} s",
                    wait.as_secs()
                )
            }
            Self::Unavailable { retry_after } => {
                write!(
                    f,
                    "unavailable (503), to be asked again in {} s",
                    retry_after.as_secs()
                )
            }
            Self::Status(status) => write!(f, "answered {status}"),
            Self::Unreachable { link, detail } => write!(f, "unreachable ({link}): {detail}"),
            Self::Invalid(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.host, self.fault)
    }
}

impl std::error::Error for UpstreamError {}
