//! A network of modules in which Cistern has an address that never changes.
//!
//! The API proxy remembers an address for up to ten minutes, and a Cistern that was created anew may have another one. Docker gives out
//! addresses from one half of the subnet and leaves the other half, where Cistern's is, to those that name theirs.

use std::net::IpAddr;

use ipnet::IpNet;

/// A subnet, and Cistern's address in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    subnet: IpNet,
    registry: IpAddr,
    gateway: IpAddr,
    dynamic: IpNet,
}

/// Why there can be no such network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotANetwork {
    /// It is no subnet.
    #[error("`{0}` is no subnet; write it as 172.30.0.0/24")]
    Subnet(String),
    /// There is too little room in it.
    #[error("{0} has no room for the modules of a device; take a /28 or a larger one")]
    Small(IpNet),
    /// It is no address.
    #[error("`{0}` is no address; write it as 172.30.0.10")]
    Address(String),
    /// It is somewhere else.
    #[error("{address} is not in {subnet}")]
    Outside {
        /// The address.
        address: IpAddr,
        /// The subnet.
        subnet: IpNet,
    },
    /// It is somebody else's.
    #[error("{address} is {whose} of the network; take another one")]
    Taken {
        /// The address.
        address: IpAddr,
        /// Whose it is.
        whose: &'static str,
    },
}

impl Network {
    /// A network of that subnet; Cistern's address is the second one unless it is named.
    ///
    /// # Errors
    ///
    /// Texts that are no subnet or address, and addresses that cannot be Cistern's.
    pub fn parse(subnet: &str, registry: Option<&str>) -> Result<Self, NotANetwork> {
        let network: IpNet = subnet
            .trim()
            .parse()
            .map_err(|_| NotANetwork::Subnet(subnet.to_owned()))?;
        let subnet = network.trunc();
        let room = subnet.max_prefix_len() - subnet.prefix_len();
        let halves: Vec<_> = subnet
            .subnets(subnet.prefix_len() + 1)
            .map(Iterator::collect)
            .unwrap_or_default();
        let mut hosts = subnet.hosts();
        // The address of an IPv6 network itself is the routers' (RFC 4291, 2.6.1).
        if subnet.addr().is_ipv6() {
            hosts.next();
        }
        let (Some(gateway), Some(second), [lower, upper], 4..) =
            (hosts.next(), hosts.next(), halves.as_slice(), room)
        else {
            return Err(NotANetwork::Small(subnet));
        };
        let registry = match registry {
            None => second,
            Some(text) => text
                .trim()
                .parse()
                .map_err(|_| NotANetwork::Address(text.to_owned()))?,
        };
        if !subnet.contains(&registry) {
            return Err(NotANetwork::Outside {
                address: registry,
                subnet,
            });
        }
        for (address, whose) in [
            (gateway, "the gateway"),
            (subnet.network(), "the name"),
            (subnet.broadcast(), "the broadcast address"),
        ] {
            if address == registry {
                return Err(NotANetwork::Taken { address, whose });
            }
        }
        let dynamic = if lower.contains(&registry) {
            *upper
        } else {
            *lower
        };
        Ok(Self {
            subnet,
            registry,
            gateway,
            dynamic,
        })
    }

    /// The subnet.
    pub const fn subnet(&self) -> IpNet {
        self.subnet
    }

    /// Cistern's address.
    pub const fn registry(&self) -> IpAddr {
        self.registry
    }

    /// The address of the host in the network.
    pub const fn gateway(&self) -> IpAddr {
        self.gateway
    }

    /// From where docker gives out addresses; Cistern's is outside.
    pub const fn dynamic(&self) -> IpNet {
        self.dynamic
    }

    /// What docker calls an address of this kind.
    pub(super) const fn address_key(&self) -> &'static str {
        match self.registry {
            IpAddr::V4(_) => "IPv4Address",
            IpAddr::V6(_) => "IPv6Address",
        }
    }
}
