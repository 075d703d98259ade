//! Who may ask, and who may write: the first thing a request for the registry meets after it was read.
//!
//! Two questions at two moments. [`admit`]: who is it, and may it come in at all; before anything is looked up. [`may_write`]: may
//! it change something; after it is known that the repository takes writes, before the body is read.

use std::net::IpAddr;

use cistern_auth::incoming::{Admitted, Challenge, Htpasswd, basic};
use cistern_oci::Resource;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};
use ipnet::IpNet;

use super::Http;
use super::connection::Caller;
use super::error::ApiError;
use super::observe::{certainly_forwarded_for, is_forwarded};
use super::request::{Asked, Target};
use super::response::text;

/// Who may ask, and who may write, as the configuration says.
#[derive(Debug)]
pub struct Access {
    login: Option<Login>,
    anonymous_pull: bool,
    writers: Writers,
}

/// What the configuration says about access.
#[derive(Debug, Default)]
pub struct AccessOptions {
    /// `auth.htpasswd`: the users, and the realm they are told of.
    pub htpasswd: Option<(Htpasswd, String)>,
    /// `http.anonymouspull`: whoever shows no credentials may still read.
    pub anonymous_pull: bool,
    /// `hosted.writefrom`: where writers must be.
    pub write_from: Option<Vec<IpNet>>,
    /// Whether there is an upstream (`proxy.remoteurl`).
    pub is_cache: bool,
}

#[derive(Debug)]
struct Login {
    users: Htpasswd,
    challenge: HeaderValue,
}

/// Where writers must be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Writers {
    /// Nowhere in particular.
    Anywhere,
    /// On this machine.
    Here,
    /// In one of these networks (`hosted.writefrom`).
    In(Vec<IpNet>),
}

// === impl Access ===

impl Access {
    /// Nobody is asked for anything unless the options say so. Without a login a cache is written to from its own machine only; a
    /// plain registry from everywhere, as Distribution.
    pub fn new(options: AccessOptions) -> Self {
        let login = options.htpasswd.map(|(users, realm)| Login {
            users,
            challenge: text(&Challenge::new(realm).to_string())
                .unwrap_or(HeaderValue::from_static("Basic realm=\"Cistern\"")),
        });
        let writers = match options.write_from {
            Some(networks) => Writers::In(networks),
            None if options.is_cache && login.is_none() => Writers::Here,
            None => Writers::Anywhere,
        };
        Self {
            login,
            anonymous_pull: options.anonymous_pull,
            writers,
        }
    }
}

/// Lets the request pass, or says why not. Reads what the path was parsed to, never the path. Pages pass, and what cannot be
/// read at all: it is refused without looking at anything.
pub(super) async fn admit(http: &Http, head: &Parts, asked: &Asked) -> Result<Admitted, ApiError> {
    let Some(login) = &http.access.login else {
        return Ok(Admitted::Anonymous);
    };
    if matches!(asked.target, Target::Page | Target::Unreadable(_)) {
        return Ok(Admitted::Anonymous);
    }
    let ask = || login.refuse("log in with a user name and a password");
    let Some(shown) = head.headers.get(header::AUTHORIZATION) else {
        return match (http.access.anonymous_pull, only_reads(&head.method, asked)) {
            (true, true) => Ok(Admitted::Anonymous),
            (true, false) => Err(login.refuse(
                "log in to write; docker, podman and skopeo never show their login here (http.anonymouspull): push with another client",
            )),
            (false, _) => Err(ask()),
        };
    };
    match shown.to_str().ok().and_then(basic) {
        // Some clients without a login show an empty one.
        Some((user, _)) if user.is_empty() => Err(ask()),
        Some((user, password)) if login.users.verify(&user, &password).await => {
            Ok(Admitted::User(user))
        }
        Some(_) => Err(login.refuse("the user or the password is wrong")),
        None => Err(ask()),
    }
}

/// Whether the request changes nothing and is not about a push under way.
fn only_reads(method: &Method, asked: &Asked) -> bool {
    let reads = *method == Method::GET || *method == Method::HEAD;
    let is_of_a_push = asked.endpoint().is_some_and(|endpoint| {
        matches!(endpoint.resource, Resource::Uploads | Resource::Upload(_))
    });
    reads && !is_of_a_push
}

/// Where the caller is: at the other end of the connection, or where a trusted proxy says. None if nobody can tell.
pub(super) fn address_of(http: &Http, caller: &Caller, head: &Parts) -> Option<IpAddr> {
    origin(
        caller.peer?.ip(),
        &head.headers,
        &http.settings.trusted_proxies,
    )
}

/// An address that a trusted proxy forwards and nobody can read is not the proxy's own, which may be allowed more.
fn origin(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if is_forwarded(headers) && trusted.iter().any(|net| net.contains(&peer)) {
        return certainly_forwarded_for(peer, headers, trusted)
            .map(|address| address.to_canonical());
    }
    Some(peer)
}

/// Lets a write to a hosted repository pass, or says why not: 403, and which setting to look at. `address` is [`address_of`] the
/// caller.
pub(super) fn may_write(
    http: &Http,
    address: Option<IpAddr>,
    admitted: &Admitted,
) -> Result<(), ApiError> {
    let access = &http.access;
    if let (Some(login), Admitted::Anonymous) = (&access.login, admitted) {
        return Err(login.refuse("log in to push"));
    }
    access.writers.take(address).map_err(|why| {
        let caller = address.map_or("unknown".to_owned(), |address| address.to_string());
        ApiError::denied(format!("{why}; your address is {caller}"))
    })
}

// === impl Login ===

impl Login {
    fn refuse(&self, why: &str) -> ApiError {
        ApiError::unauthorized(why, self.challenge.clone())
    }
}

// === impl Writers ===

impl Writers {
    fn take(&self, address: Option<IpAddr>) -> Result<(), &'static str> {
        let (may, why) = match self {
            Self::Anywhere => (true, ""),
            Self::Here => (
                address.is_some_and(|address| address.is_loopback()),
                "writes are taken from this machine only, because there is no login; hosted.writefrom names networks for others",
            ),
            Self::In(networks) => (
                address.is_some_and(|address| networks.iter().any(|net| net.contains(&address))),
                "writes are taken from the networks in hosted.writefrom only",
            ),
        };
        if may { Ok(()) } else { Err(why) }
    }
}

#[cfg(test)]
mod tests;
