//! Addresses to listen on, in the forms Distribution accepts: `:5000`, `0.0.0.0:5000`, `[::]:5000`, `localhost:5000`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reader::Problem;

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

impl ListenAddress {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let advice = "write host:port, such as :5000, 0.0.0.0:5000, [::]:5000 or localhost:5000";
        let wrong = |what: &str| Problem::new(format!("`{text}` {what}"), advice);
        if let Ok(port) = text.trim().parse::<u16>() {
            return Err(Problem::new(
                format!("`{port}` is a port alone, and this is host:port"),
                format!(
                    "write `:{port}` for every interface, or `127.0.0.1:{port}` for this machine alone"
                ),
            ));
        }
        let (host, port) = text
            .trim()
            .rsplit_once(':')
            .ok_or_else(|| wrong("has no port"))?;
        let port = port
            .parse()
            .map_err(|_| wrong("has no port between 0 and 65535"))?;
        let host = match host {
            "" => ListenHost::Every,
            host => match host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'))
            {
                Some(inside) => ListenHost::Ip(IpAddr::V6(
                    inside
                        .parse()
                        .map_err(|_| wrong("has no IPv6 address between its brackets"))?,
                )),
                None => Self::host(host).ok_or_else(|| wrong("has no host name or address"))?,
            },
        };
        Ok(Self { host, port })
    }

    fn host(host: &str) -> Option<ListenHost> {
        if let Ok(ip) = host.parse::<Ipv4Addr>() {
            return Some(ListenHost::Ip(IpAddr::V4(ip)));
        }
        let looks_like_an_address = host.chars().all(|c| c.is_ascii_digit() || c == '.');
        let is_name = !looks_like_an_address
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        is_name.then(|| ListenHost::Name(host.to_owned()))
    }

    /// The hosts at which a program on this machine reaches the address, most likely first; an IPv6 address without brackets.
    pub fn reached_at(&self) -> Vec<String> {
        let (v4, v6) = (
            Ipv4Addr::LOCALHOST.to_string(),
            Ipv6Addr::LOCALHOST.to_string(),
        );
        match &self.host {
            ListenHost::Every => vec![v4, v6],
            ListenHost::Ip(IpAddr::V4(ip)) if ip.is_unspecified() => vec![v4],
            ListenHost::Ip(IpAddr::V6(ip)) if ip.is_unspecified() => vec![v6, v4],
            ListenHost::Ip(ip) => vec![ip.to_string()],
            ListenHost::Name(name) => vec![name.clone()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_four_forms_are_read_and_written_back() {
        for text in [
            ":5000",
            "0.0.0.0:5000",
            "[::]:5000",
            "localhost:5000",
            "127.0.0.1:0",
            "[::1]:65535",
            "my-host.example:80",
        ] {
            assert_eq!(ListenAddress::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "5000",
            "localhost",
            ":",
            ":65536",
            ":-1",
            "::1:5000",
            "[::1]",
            "[x]:1",
            "1.2.3:5000",
            "a b:1",
            "http://x:1",
            ":http",
        ] {
            assert!(ListenAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_alone_is_told_how_it_becomes_an_address() {
        let problem = ListenAddress::parse("5000").unwrap_err();
        assert!(problem.advice.contains("write `:5000`"), "{problem:?}");
    }

    #[test]
    fn every_interface_is_reached_over_loopback() {
        assert_eq!(
            ListenAddress::parse(":1").unwrap().reached_at(),
            ["127.0.0.1", "::1"]
        );
        assert_eq!(
            ListenAddress::parse("0.0.0.0:1").unwrap().reached_at(),
            ["127.0.0.1"]
        );
        assert_eq!(
            ListenAddress::parse("[::]:1").unwrap().reached_at(),
            ["::1", "127.0.0.1"]
        );
        assert_eq!(
            ListenAddress::parse("10.0.0.1:1").unwrap().reached_at(),
            ["10.0.0.1"]
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = ListenAddress::parse(&text);
        }
    }
}
