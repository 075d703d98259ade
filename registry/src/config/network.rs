//! Networks: an address, or an address with the length of its prefix.

use std::net::IpAddr;

use ipnet::IpNet;

use super::reader::{Problem, Reader};

/// Every network of a list; what is none is noted.
pub(super) fn list(reader: &mut Reader<'_>, path: &str) -> Vec<IpNet> {
    let written = reader.list(path);
    written
        .iter()
        .filter_map(|written| reader.parse(path, written, network))
        .collect()
}

fn network(text: &str) -> Result<IpNet, Problem> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .map(|net| net.trunc())
        .or_else(|_| address())
        .map_err(|_| {
            Problem::new(
                format!("`{text}` is no network"),
                "write an address or a network, such as 10.0.0.7 or 172.16.0.0/12",
            )
        })
}
