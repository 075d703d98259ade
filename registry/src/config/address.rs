//! Addresses to listen on, in the forms Distribution accepts: `:5000`, `0.0.0.0:5000`, `[::]:5000`, `localhost:5000`.

use std::fmt;
use std::net::IpAddr;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// Which interfaces.
    pub host: ListenHost,
    /// The port; zero lets the system choose.
    pub port: u16,
}

/// The host part of a [`ListenAddress`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenHost {
    /// `:5000`: every interface, IPv6 and IPv4; where IPv6 is switched off, `0.0.0.0`.
    Every,
    /// A literal address.
    Ip(IpAddr),
    /// A name that is resolved when listening begins.
    Name(String),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            ListenHost::Every => write!(out, ":{}", self.port),
            ListenHost::Ip(IpAddr::V4(ip)) => write!(out, "{ip}:{}", self.port),
            ListenHost::Ip(IpAddr::V6(ip)) => write!(out, "[{ip}]:{}", self.port),
            ListenHost::Name(name) => write!(out, "{name}:{}", self.port),
        }
    }
}
