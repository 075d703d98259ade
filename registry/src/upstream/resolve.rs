//! Turning names into addresses: the system's way, with two additions. A failure is recognisable as such, and a name that
//! the upstream made us follow may not lead to an address nearer to us than the upstream itself.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use cistern_auth::outgoing::Reach;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

/// How near the upstream is, as far as is known: from its address as written, and from what its name resolved to last.
#[derive(Clone, Debug)]
pub(super) struct UpstreamReach(Arc<AtomicU8>);

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
        Self(Arc::new(AtomicU8::new(Reach::of_url(url) as u8)))
    }

    pub(super) fn get(&self) -> Reach {
        Reach::from_number(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, reach: Reach) {
        self.0.store(reach as u8, Ordering::Relaxed);
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
            let farthest = found
                .iter()
                .map(|address| Reach::of_address(address.ip()))
                .min();
            self.reach.set(farthest.unwrap_or(Reach::Public));
            return Ok(found);
        }
        if self.trusts(host) {
            return Ok(found);
        }
        let limit = self.reach.get();
        let admitted: Vec<_> = found
            .into_iter()
            .filter(|address| Reach::of_address(address.ip()) <= limit)
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
            "its name leads only to a private network or to this machine, where the upstream is not; proxy.realms can allow it",
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
}
