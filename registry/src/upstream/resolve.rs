//! Turning names into addresses: the system's way, with two additions. A failure is recognisable as such, and a name that
//! the upstream made us follow may not lead to an address nearer to us than the upstream itself.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use cistern_auth::outgoing::Reach;
use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

/// How near the upstream is, as far as is known: from its address as written, and from all that its name has ever resolved
/// to. It never comes nearer: whoever answers for a public name may answer with a private address later, and what it sends
/// us over a connection that already stands would be followed there. Unknown until a name is resolved.
#[derive(Clone, Debug)]
pub(super) struct UpstreamReach(Arc<Mutex<Option<Reach>>>);

/// The resolver of one upstream's client.
#[derive(Debug)]
pub(super) struct Names {
    own: String,
    /// Names the operator chose: proxies and allowed realms. They may be anywhere.
    trusted: Vec<String>,
    reach: UpstreamReach,
}

/// The name has no address, or nobody could be asked.
#[derive(Debug)]
pub(super) struct NameNotResolved {
    host: String,
    reason: String,
}

/// The name leads only to addresses the upstream has no business to send us to.
#[derive(Debug)]
pub(super) struct NearerAddress;

impl UpstreamReach {
    pub(super) fn of(url: &Url) -> Self {
        let written = Some(Reach::of_url(url)).filter(|reach| *reach != Reach::Public);
        Self(Arc::new(Mutex::new(written)))
    }

    pub(super) fn get(&self) -> Reach {
        self.0.lock().unwrap_or(Reach::Public)
    }

    /// The name resolved to addresses of this reach.
    fn seen(&self, reach: Reach) {
        let mut known = self.0.lock();
        *known = Some(known.map_or(reach, |before| before.and(reach)));
    }
}

impl Names {
    pub(super) fn new(upstream: &Url, trusted: Vec<String>, reach: UpstreamReach) -> Self {
        Self {
            own: upstream.host_str().unwrap_or_default().to_owned(),
            trusted,
            reach,
        }
    }

    /// Whether the operator named this host.
    pub(super) fn trusts(&self, host: &str) -> bool {
        self.trusted
            .iter()
            .any(|name| name.eq_ignore_ascii_case(host))
    }

    /// The addresses of a name that may be dialled.
    fn admit(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NearerAddress> {
        if host.eq_ignore_ascii_case(&self.own) {
            // The farthest of its addresses counts: adding a near one to a name shall not open a door.
            let reaches = found.iter().map(|address| Reach::of_address(address.ip()));
            if let Some(reach) = reaches.reduce(Reach::and) {
                self.reach.seen(reach);
            }
            return Ok(found);
        }
        if self.trusts(host) {
            return Ok(found);
        }
        let limit = self.reach.get();
        let admitted: Vec<_> = found
            .into_iter()
            .filter(|address| limit.may_lead_to(Reach::of_address(address.ip())))
            .collect();
        if admitted.is_empty() {
            Err(NearerAddress)
        } else {
            Ok(admitted)
        }
    }
}

/// The client wants to own its resolver, and several clients of one upstream share this one.
#[derive(Clone, Debug)]
pub(super) struct SharedNames(pub(super) Arc<Names>);

impl Resolve for SharedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let names = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let unresolved = |reason: String| NameNotResolved {
                host: host.to_owned(),
                reason,
            };
            let found = tokio::net::lookup_host((host, 0))
                .await
                .map_err(|error| unresolved(error.to_string()))?;
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() {
                return Err(unresolved("it has no address".to_owned()).into());
            }
            let addresses: Addrs = Box::new(names.admit(host, found)?.into_iter());
            Ok(addresses)
        })
    }
}

impl fmt::Display for NameNotResolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the name {} does not resolve: {}",
            self.host, self.reason
        )
    }
}

impl std::error::Error for NameNotResolved {}

impl fmt::Display for NearerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "its name leads only to a private network, the local link or this machine, where the upstream is not; proxy.realms can allow it",
        )
    }
}

impl std::error::Error for NearerAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(upstream: &str) -> Names {
        let url = Url::parse(upstream).unwrap();
        Names::new(&url, vec!["proxy.lan".into()], UpstreamReach::of(&url))
    }

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter()
            .map(|address| SocketAddr::new(address.parse().unwrap(), 0))
            .collect()
    }

    #[test]
    fn a_public_upstream_leads_to_no_private_address() {
        let names = names("https://registry.example");
        assert!(
            names
                .admit("registry.example", addresses(&["203.0.113.7"]))
                .is_ok()
        );
        assert!(
            names
                .admit("cdn.example", addresses(&["10.0.0.1", "127.0.0.1"]))
                .is_err()
        );
        let mixed = names
            .admit("cdn.example", addresses(&["10.0.0.1", "203.0.113.8"]))
            .unwrap();
        assert_eq!(mixed, addresses(&["203.0.113.8"]));
        assert!(names.admit("PROXY.lan", addresses(&["10.0.0.1"])).is_ok());
    }

    #[test]
    fn an_upstream_that_is_also_near_is_taken_as_far() {
        let names = names("https://registry.example");
        let both = addresses(&["127.0.0.1", "203.0.113.7"]);
        assert_eq!(names.admit("registry.example", both).unwrap().len(), 2);
        assert!(
            names
                .admit("localhost.example", addresses(&["127.0.0.1"]))
                .is_err()
        );
    }

    #[test]
    fn an_upstream_on_a_private_network_may_lead_to_others_there() {
        let names = names("https://registry.corp");
        names
            .admit("registry.corp", addresses(&["10.0.0.1"]))
            .unwrap();
        assert!(
            names
                .admit("storage.corp", addresses(&["10.0.0.2"]))
                .is_ok()
        );
        assert!(
            names
                .admit("storage.corp", addresses(&["127.0.0.1"]))
                .is_err()
        );
        assert!(
            names
                .admit("storage.corp", addresses(&["169.254.169.254"]))
                .is_err()
        );
    }

    #[test]
    fn a_public_upstream_that_comes_to_resolve_to_a_near_address_leads_nowhere_nearer() {
        for near in ["10.0.0.1", "127.0.0.1", "169.254.7.7", "::ffff:127.0.0.1"] {
            let names = names("https://registry.example");
            let own = |address| {
                let admitted = names.admit("registry.example", addresses(&[address]));
                assert!(admitted.is_ok(), "{address}");
            };
            own("203.0.113.7");
            own(near);
            assert_eq!(names.reach.get(), Reach::Public);
            for host in ["cdn.example", "storage.example"] {
                assert!(names.admit(host, addresses(&[near])).is_err(), "{near}");
            }
        }
        // The other way round: nothing can have been sent by the far one before it was seen.
        let names = names("https://registry.example");
        for address in ["10.0.0.1", "203.0.113.7"] {
            assert!(
                names
                    .admit("registry.example", addresses(&[address]))
                    .is_ok()
            );
        }
        assert!(
            names
                .admit("cdn.example", addresses(&["10.0.0.2"]))
                .is_err()
        );
    }

    #[test]
    fn no_name_leads_an_upstream_on_this_machine_to_the_local_link() {
        let names = names("http://127.0.0.1:5000");
        for near in [
            "169.254.169.254",
            "fe80::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert!(
                names.admit("cdn.example", addresses(&[near])).is_err(),
                "{near}"
            );
            assert!(names.admit("proxy.lan", addresses(&[near])).is_ok());
        }
        let names = self::names("http://169.254.7.7:5000");
        assert!(
            names
                .admit("cdn.example", addresses(&["169.254.7.8"]))
                .is_ok()
        );
    }
}
