//! Who may write from where, address by address. Logins are tested over real connections elsewhere.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::{Access, AccessOptions, Writers, origin};

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn takes(writers: &Writers, address: &str) -> bool {
    writers.take(address.parse::<IpAddr>().ok()).is_ok()
}

fn came_from(peer: &str, forwarded: &[&str], trusted: &[&str]) -> Option<String> {
    let mut headers = HeaderMap::new();
    for line in forwarded {
        headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
    }
    let address = origin(peer.parse().unwrap(), &headers, &nets(trusted));
    address.map(|address| address.to_string())
}

#[test]
fn without_a_login_a_cache_is_written_to_from_its_own_machine_only() {
    let access = Access::new(AccessOptions {
        is_cache: true,
        ..AccessOptions::default()
    });
    for here in ["127.0.0.1", "127.8.0.1", "::1"] {
        assert!(takes(&access.writers, here), "{here}");
    }
    for elsewhere in ["10.0.0.7", "fe80::1", "0.0.0.0", "unknown"] {
        assert!(!takes(&access.writers, elsewhere), "{elsewhere}");
    }
}

#[test]
fn without_a_login_a_plain_registry_is_written_to_from_everywhere() {
    let access = Access::new(AccessOptions::default());
    assert!(takes(&access.writers, "10.0.0.7") && takes(&access.writers, "unknown"));
}

#[test]
fn networks_that_are_named_count_and_no_others() {
    for is_cache in [false, true] {
        let access = Access::new(AccessOptions {
            is_cache,
            write_from: Some(nets(&["10.0.0.0/8", "fd00::/8"])),
            ..AccessOptions::default()
        });
        assert!(takes(&access.writers, "10.0.0.7") && takes(&access.writers, "fd00::1"));
        for other in ["127.0.0.1", "::1", "11.0.0.1", "unknown"] {
            assert!(!takes(&access.writers, other), "{other}");
        }
        let nobody = Access::new(AccessOptions {
            is_cache,
            write_from: Some(Vec::new()),
            ..AccessOptions::default()
        });
        assert!(!takes(&nobody.writers, "127.0.0.1"));
    }
}

#[test]
fn a_proxy_is_believed_only_if_it_is_trusted() {
    let own = |peer: &str, forwarded: &[&str], trusted: &[&str]| {
        assert_eq!(came_from(peer, forwarded, trusted).as_deref(), Some(peer));
    };
    own("10.0.0.7", &["127.0.0.1"], &[]);
    own("10.0.0.7", &["127.0.0.1"], &["172.16.0.0/12"]);
    own("127.0.0.1", &["10.0.0.7"], &[]);
    own("127.0.0.1", &[], &["127.0.0.0/8"]);
    let proxied = |forwarded| came_from("127.0.0.1", forwarded, &["127.0.0.0/8"]);
    assert_eq!(proxied(&["10.0.0.7"]).as_deref(), Some("10.0.0.7"));
    assert_eq!(
        proxied(&["127.0.0.1, 10.0.0.7"]).as_deref(),
        Some("10.0.0.7")
    );
    assert_eq!(
        proxied(&["127.0.0.1", "10.0.0.7"]).as_deref(),
        Some("10.0.0.7")
    );
}

#[test]
fn an_address_that_cannot_be_read_is_not_the_proxys_own() {
    for forwarded in ["", "unknown", "10.0.0.7, _hidden", "localhost"] {
        let address = came_from("127.0.0.1", &[forwarded], &["127.0.0.0/8"]);
        assert_eq!(address, None, "{forwarded}");
    }
}

#[test]
fn an_old_address_in_new_clothes_is_the_same() {
    assert_eq!(
        came_from("::ffff:127.0.0.1", &[], &[]).as_deref(),
        Some("127.0.0.1")
    );
    let forwarded = came_from("::ffff:127.0.0.1", &["::ffff:10.0.0.7"], &["127.0.0.1/32"]);
    assert_eq!(forwarded.as_deref(), Some("10.0.0.7"));
}

#[test]
fn an_address_behind_something_unreadable_is_nobodys() {
    for forwarded in [
        "unknown, 127.0.0.2",
        "unix:, 127.0.0.2",
        "10.0.0.7, , 127.0.0.2",
    ] {
        let address = came_from("127.0.0.1", &[forwarded], &["127.0.0.0/8"]);
        assert_eq!(address, None, "{forwarded}");
    }
}

#[test]
fn a_trusted_proxy_that_tells_the_address_in_other_words_is_not_taken_for_its_caller() {
    let trusted = nets(&["127.0.0.0/8"]);
    for (name, value) in [("forwarded", "for=10.0.0.7"), ("x-real-ip", "10.0.0.7")] {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(origin(peer, &headers, &trusted), None, "{name}");
        assert_eq!(origin(peer, &headers, &[]), Some(peer), "{name}");
    }
}
