//! How the link is used.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use super::{Given, assert_one};

#[test]
fn every_key_of_the_link_has_its_effect() {
    let uplink = Given::keys(
        "
proxy:
  remoteurl: https://a.example
  alternates: [b.example, 'http://10.0.0.7:5000']
  hold: 2m
  holdlimit: 7
  rate: 2MB
  ratewindows: [Mon-Fri 06:00-18:00 500kB, 22:00-05:00 unlimited]
  timezone: Europe/Berlin
  downloads: 3
  strict: ['plant/*:latest']
  readahead: true
  exec: {command: docker-credential-acr, lifetime: 6h}
",
    )
    .config()
    .proxy
    .uplink;
    let others: Vec<_> = uplink
        .alternates
        .iter()
        .map(|other| other.url.as_str())
        .collect();
    assert_eq!(others, ["https://b.example/", "http://10.0.0.7:5000/"]);
    assert_eq!(
        (uplink.hold, uplink.hold_limit),
        (Duration::from_secs(120), 7)
    );
    assert_eq!(uplink.rate, NonZeroU64::new(2_000_000));
    let rates: Vec<_> = uplink
        .rate_windows
        .iter()
        .map(|window| window.rate)
        .collect();
    assert_eq!(rates, [NonZeroU64::new(500_000), None]);
    assert_eq!(uplink.time_zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!((uplink.downloads, uplink.read_ahead), (3, true));
    let latest = "latest".parse().unwrap();
    assert!(
        uplink
            .strict
            .iter()
            .any(|tags| tags.matches(&"plant/a".parse().unwrap(), &latest))
    );
    let exec = uplink.exec.unwrap();
    assert_eq!(exec.command, Path::new("docker-credential-acr"));
    assert_eq!(exec.lifetime, Some(Duration::from_hours(6)));
}

#[test]
fn what_makes_no_sense_of_the_link_is_named() {
    for (text, key) in [
        ("rate: fast", "proxy.rate"),
        ("ratewindows: [Mo 06:00-18:00 1MB]", "proxy.ratewindows"),
        ("timezone: Mars/Olympus", "proxy.timezone"),
        ("downloads: 0", "proxy.downloads"),
        ("holdlimit: many", "proxy.holdlimit"),
        ("strict: ['Plant/*']", "proxy.strict"),
        ("clientcertificate: /c.yml", "proxy.clientcertificate"),
        (
            "username: me, password: p, exec: {command: x}",
            "proxy.exec.command",
        ),
    ] {
        let given = Given::keys(&format!("proxy: {{remoteurl: a.example, {text}}}"));
        assert_one(&given.errors(), &["/c.yml:2", key]);
    }
}
