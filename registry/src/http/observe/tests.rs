use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::line::{Escaped, asked_by, forwarded_for, milliseconds, user_offered};

fn trusted(nets: &[&str]) -> Vec<IpNet> {
    nets.iter().map(|net| net.parse().unwrap()).collect()
}

fn forwarded(lines: &[&str]) -> HeaderMap {
    lines
        .iter()
        .map(|line| ("x-forwarded-for".parse().unwrap(), line.parse().unwrap()))
        .collect()
}

#[test]
fn only_a_trusted_proxy_may_say_for_whom_it_asks() {
    let nets = trusted(&["10.0.0.0/8", "fd00::/8"]);
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        ("192.168.0.1", &["1.2.3.4"], None),
        ("10.0.0.1", &[], None),
        ("10.0.0.1", &["1.2.3.4"], Some("1.2.3.4")),
        ("10.0.0.1", &["6.6.6.6, 1.2.3.4"], Some("1.2.3.4")),
        ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"], Some("1.2.3.4")),
        (
            "10.0.0.1",
            &["6.6.6.6", "1.2.3.4", "10.0.0.2"],
            Some("1.2.3.4"),
        ),
        ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
        ("10.0.0.1", &["1.2.3.4:5678"], Some("1.2.3.4")),
        ("fd00::1", &["[2001:db8::1]:443"], Some("2001:db8::1")),
        ("fd00::1", &["[2001:db8::1]"], Some("2001:db8::1")),
        ("::ffff:10.0.0.1", &["1.2.3.4"], Some("1.2.3.4")),
        ("10.0.0.1", &["1.2.3.4, unknown"], None),
        (
            "10.0.0.1",
            &["1.2.3.4, unknown, 10.0.0.2"],
            Some("10.0.0.2"),
        ),
        ("10.0.0.1", &[""], None),
    ];
    for (peer, lines, expected) in cases {
        let found = forwarded_for(peer.parse().unwrap(), &forwarded(lines), &nets);
        assert_eq!(
            found,
            expected.map(|address| address.parse::<IpAddr>().unwrap()),
            "{peer} {lines:?}"
        );
    }
    assert_eq!(
        forwarded_for("10.0.0.1".parse().unwrap(), &forwarded(&["1.2.3.4"]), &[]),
        None
    );
}

#[test]
fn the_user_name_offered_is_read_and_never_the_password() {
    let offered =
        |authorization: &str| user_offered(&HeaderValue::from_str(authorization).unwrap());
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    assert_eq!(offered(&basic("child:secret")), Some("child".to_owned()));
    assert_eq!(offered(&basic("child:se:cr:et")), Some("child".to_owned()));
    assert_eq!(offered(&basic(":secret")), Some(String::new()));
    assert_eq!(
        offered(&basic("no colon, so all of it may be the password")),
        None
    );
    assert_eq!(offered("basic Y2hpbGQ6c2VjcmV0"), Some("child".to_owned()));
    assert_eq!(offered("Bearer eyJhbGciOi"), None);
    assert_eq!(offered("Basic !!!"), None);
    assert_eq!(offered("Basic"), None);
}

#[test]
fn text_of_a_caller_cannot_forge_a_line_or_move_the_cursor() {
    let shown = |text: &str| Escaped(text.to_owned()).to_string();
    assert_eq!(
        shown("docker/29 (linux) \u{e9}"),
        "docker/29 (linux) \u{e9}"
    );
    assert_eq!(
        shown("a\r\nb\t\u{1b}[31m\u{7f}\u{9b}"),
        "a\\r\\nb\\t\\u{1b}[31m\\u{7f}\\u{9b}"
    );
    assert_eq!(
        shown("a\u{202e}b\u{2028}c\u{2066}"),
        "a\\u{202e}b\\u{2028}c\\u{2066}"
    );
}

#[test]
fn a_caller_over_ipv4_is_shown_as_one_whatever_the_socket_listens_to() {
    let peer = Some("[::ffff:10.0.0.7]:4711".parse().unwrap());
    let shown = |address: Option<IpAddr>| address.map(|address| address.to_string());
    assert_eq!(shown(asked_by(None, peer)).as_deref(), Some("10.0.0.7"));
    let forwarded = Some("::ffff:10.0.0.8".parse().unwrap());
    assert_eq!(
        shown(asked_by(forwarded, peer)).as_deref(),
        Some("10.0.0.8")
    );
    assert_eq!(asked_by(None, None), None);
}

#[test]
fn a_hit_of_less_than_a_millisecond_has_a_duration() {
    let shown = milliseconds(Duration::from_nanos(412_600));
    assert_eq!(format!("{shown:?}"), "0.413");
    assert_eq!(
        format!("{:?}", milliseconds(Duration::from_secs(2))),
        "2000.0"
    );
}
