//! Which token server may be asked, and whether our credentials may be shown to it. A registry's challenge names any address
//! it likes; whoever follows it blindly hands its password to a stranger, or asks the neighbours on its own network in the
//! stranger's name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// How far an address reaches. An upstream may send us to addresses that reach at least as far as its own, see
/// [`Reach::may_lead_to`]; to nearer ones it could not get by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Reachable from everywhere, as far as one can tell (names count as public until they are resolved).
    Public,
    /// A private network (RFC 1918, RFC 6598, unique local IPv6).
    Private,
    /// The local link, where cloud metadata services live.
    LinkLocal,
    /// This machine.
    Loopback,
}

/// The rules for one upstream.
#[derive(Clone, Debug)]
pub struct RealmRules {
    upstream: Url,
    allowed: Vec<Named>,
}

/// One entry of `proxy.realms`.
#[derive(Clone, Debug)]
struct Named {
    host: String,
    port: Option<u16>,
}

/// A token server is not asked. The text names it and the setting that would allow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmRefused {
    realm: String,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    NotHttp,
    Unencrypted,
    Stranger,
    Nearer(Reach),
}

impl Reach {
    /// The reach of a host as it stands in an address. Names other than `localhost` count as public.
    pub fn of_host(host: &Host<&str>) -> Self {
        match host {
            Host::Ipv4(address) => Self::of_v4(*address),
            Host::Ipv6(address) => Self::of_v6(*address),
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                let last = name.rsplit('.').next().unwrap_or(name);
                if last.eq_ignore_ascii_case("localhost") {
                    Self::Loopback
                } else {
                    Self::Public
                }
            }
        }
    }

    /// The reach of a URL's host.
    pub fn of_url(url: &Url) -> Self {
        url.host().map_or(Self::Public, |host| Self::of_host(&host))
    }

    /// The reach of an address.
    pub fn of_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    /// Whether an upstream of this reach may send us to an address of that one. The local link is a world of its own: what
    /// answers there answers for the machine itself, and not even a neighbour on this machine has business there.
    pub fn may_lead_to(self, there: Self) -> bool {
        match there {
            Self::Public => true,
            Self::Private => self != Self::Public,
            Self::LinkLocal | Self::Loopback => self == there,
        }
    }

    /// The reach of something found at both: it may lead only to where each of them may.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == other {
            self
        } else if self == Self::Public || other == Self::Public {
            Self::Public
        } else {
            Self::Private
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [first, second, ..] = address.octets();
        if address.is_loopback() || first == 0 {
            Self::Loopback
        } else if address.is_link_local() {
            Self::LinkLocal
        } else if address.is_private() || (first == 100 && second & 0xc0 == 64) {
            Self::Private
        } else {
            Self::Public
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if let Some(inner) = embedded_v4(address) {
            Self::of_v4(inner)
        } else if address.is_loopback() || address.is_unspecified() {
            Self::Loopback
        } else if address.is_unicast_link_local() {
            Self::LinkLocal
        } else if address.is_unique_local() {
            Self::Private
        } else {
            Self::Public
        }
    }
}

/// The IPv4 address inside a mapped (`::ffff:…`) or translated (`64:ff9b::…`, RFC 6052) one.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let mapped = address.to_ipv4_mapped();
    let translated = || {
        let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else {
            return None;
        };
        Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
    };
    mapped.or_else(translated)
}

impl RealmRules {
    /// The rules for an upstream and the list `proxy.realms`; an entry that is no host comes back as the error.
    pub fn new(upstream: &Url, realms: &[String]) -> Result<Self, String> {
        let allowed = realms
            .iter()
            .map(|entry| Named::parse(entry).ok_or_else(|| entry.clone()));
        Ok(Self {
            upstream: upstream.clone(),
            allowed: allowed.collect::<Result<_, _>>()?,
        })
    }

    /// The hosts named in `proxy.realms`.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.allowed.iter().map(|named| named.host.as_str())
    }

    /// Whether a token server may be asked, with our credentials or without. `reach` is the upstream's own.
    pub fn check(
        &self,
        realm: &Url,
        with_credentials: bool,
        reach: Reach,
    ) -> Result<(), RealmRefused> {
        let refused = |reason| {
            Err(RealmRefused {
                realm: shown(realm),
                reason,
            })
        };
        match (self.upstream.scheme(), realm.scheme()) {
            (_, "https") | ("http", "http") => {}
            (_, "http") => return refused(Reason::Unencrypted),
            _ => return refused(Reason::NotHttp),
        }
        if realm.host() == self.upstream.host() || self.allowed.iter().any(|named| named.is(realm))
        {
            return Ok(());
        }
        let there = Reach::of_url(realm);
        if !reach.may_lead_to(there) {
            return refused(Reason::Nearer(there));
        }
        if with_credentials && !self.same_domain(realm) {
            return refused(Reason::Stranger);
        }
        Ok(())
    }

    /// Two names under one registrable domain, such as `registry-1.docker.io` and `auth.docker.io`.
    fn same_domain(&self, realm: &Url) -> bool {
        match (registrable(&self.upstream), registrable(realm)) {
            (Some(ours), Some(theirs)) => ours.eq_ignore_ascii_case(theirs),
            _ => false,
        }
    }
}

fn registrable(url: &Url) -> Option<&str> {
    match url.host()? {
        Host::Domain(name) => psl::domain_str(name.trim_end_matches('.')),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// The address without what may be secret in it.
fn shown(realm: &Url) -> String {
    let port = realm
        .port()
        .map_or(String::new(), |port| format!(":{port}"));
    format!(
        "{}://{}{port}{}",
        realm.scheme(),
        realm.host_str().unwrap_or_default(),
        realm.path()
    )
}

impl Named {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim();
        let address = if entry.contains("://") {
            entry.to_owned()
        } else {
            format!("https://{entry}")
        };
        let url = Url::parse(&address).ok()?;
        // A port that is the scheme's own is dropped by the parser; somebody who wrote it meant it.
        let port = url
            .port()
            .or_else(|| entry.trim_end_matches('/').ends_with(":443").then_some(443));
        Some(Self {
            host: url.host_str().filter(|host| !host.is_empty())?.to_owned(),
            port,
        })
    }

    fn is(&self, realm: &Url) -> bool {
        let same_host = realm
            .host_str()
            .is_some_and(|host| host.eq_ignore_ascii_case(&self.host));
        same_host
            && self
                .port
                .is_none_or(|port| realm.port_or_known_default() == Some(port))
    }
}

impl fmt::Display for RealmRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let realm = &self.realm;
        match self.reason {
            Reason::NotHttp => write!(f, "its token server {realm} is no http(s) address"),
            Reason::Unencrypted => write!(
                f,
                "its token server {realm} is not asked over http, since the upstream itself is https"
            ),
            Reason::Stranger => write!(
                f,
                "its token server {realm} belongs to another domain and is not shown this cache's credentials; proxy.realms can allow it"
            ),
            Reason::Nearer(reach) => {
                let place = match reach {
                    Reach::Public => "elsewhere",
                    Reach::Private => "on a private network",
                    Reach::LinkLocal => "on the local link",
                    Reach::Loopback => "on this machine",
                };
                write!(
                    f,
                    "its token server {realm} is {place}, the upstream is not; proxy.realms can allow it"
                )
            }
        }
    }
}

impl std::error::Error for RealmRefused {}

#[cfg(test)]
mod tests;
