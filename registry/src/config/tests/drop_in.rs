//! Configurations of Distribution that are in use, and the values they come to.

use std::path::Path;
use std::time::Duration;

use super::super::{ListenHost, LogFormat, LogLevel, MetricsAt, Reserve, WhenGone};
use super::{Given, assert_one};

/// What the images of Distribution 2 and 3 carry, in our order.
const STOCK: &str = "\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: true
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";

#[test]
fn with_nothing_at_all_the_defaults_serve() {
    let config = Given::nothing().config();
    assert_eq!(config.http.address.to_string(), ":5000");
    assert_eq!(config.http.address.host, ListenHost::Every);
    assert_eq!(config.http.drain_timeout, Duration::from_secs(8));
    assert_eq!(config.http.metrics, MetricsAt::Nowhere);
    assert_eq!(
        config.storage.root_directory,
        Path::new("/var/lib/registry")
    );
    assert_eq!(config.storage.reserve, Reserve::Default);
    assert!(!config.storage.read_only);
    assert_eq!(
        (config.log.level, config.log.format, config.log.access_log),
        (LogLevel::Info, LogFormat::Text, true)
    );
    assert_eq!(config.proxy.remote, None);
    assert_eq!(config.proxy.check_every, Duration::from_secs(30));
    assert_eq!(config.proxy.check_every_of_cistern, Duration::from_secs(5));
    assert_eq!(config.proxy.check_deadline, Duration::from_secs(3));
    assert_eq!(
        (config.proxy.ttl, config.proxy.when_gone),
        (None, WhenGone::Keep)
    );
}

#[test]
fn the_file_of_the_stock_image_loads_with_one_warning() {
    let given = Given::file(STOCK).with("REGISTRY_PROXY_REMOTEURL", "https://mcr.microsoft.com");
    assert_one(&given.warnings(), &["/c.yml:2", "log.fields"][1..]);
    let config = given.load().unwrap().config;
    assert_eq!(config.http.headers.len(), 1);
    assert_eq!(
        config.proxy.remote.unwrap().authority(),
        "mcr.microsoft.com"
    );
}

#[test]
fn the_file_of_debians_package_is_refused_for_its_missing_users_alone() {
    let debian = STOCK.replace(
        "health:",
        "auth:\n  htpasswd:\n    realm: basic-realm\n    path: /etc/docker/registry\nhealth:",
    );
    let errors = Given::file(&debian).errors();
    assert_one(
        &errors,
        &["/c.yml:19", "auth.htpasswd.path", "cannot be read"],
    );
}

const EVERY_KEY: &str = "
log: {level: Debug, formatter: json, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /data}, maintenance: {readonly: {enabled: yes}}, cache: {reserve: 10%}}
http:
  addr: 127.0.0.1:5001
  relativeurls: true
  host: https://registry.example.com
  secret: asecret
  draintimeout: 1m30s
  headers: {X-One: [a, b], X-Two: c}
  debug: {addr: 'localhost:5002', prometheus: {enabled: true, path: /prom}}
  trustedproxies: [172.16.0.0/12, 10.0.0.7, 'fd00::/8']
proxy:
  remoteurl: https://registry.example.com
  ttl: 168h
  checkevery: 0
  checkdeadline: 500ms
  whengone: follow
  aliases: [One.example.com, 'two.example.com:5000']
  realms: auth.example.com
";

#[test]
fn every_supported_key_of_log_and_storage_has_its_effect() {
    let config = Given::keys(EVERY_KEY).config();
    assert_eq!(
        (config.log.level, config.log.format, config.log.access_log),
        (LogLevel::Debug, LogFormat::Json, false)
    );
    assert_eq!(config.storage.root_directory, Path::new("/data"));
    assert!(config.storage.read_only);
    assert_eq!(config.storage.reserve, Reserve::Percent(10));
}

#[test]
fn every_supported_key_of_http_has_its_effect() {
    let http = Given::keys(EVERY_KEY).config().http;
    assert_eq!(http.address.to_string(), "127.0.0.1:5001");
    assert_eq!(http.drain_timeout, Duration::from_secs(90));
    let headers: Vec<_> = http
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(headers, [("x-one", "a"), ("x-one", "b"), ("x-two", "c")]);
    assert_eq!(http.debug_address.unwrap().to_string(), "localhost:5002");
    assert_eq!(http.metrics, MetricsAt::DebugAddress("/prom".to_owned()));
    let networks: Vec<_> = http
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["172.16.0.0/12", "10.0.0.7/32", "fd00::/8"]);
}

#[test]
fn every_supported_key_of_proxy_has_its_effect() {
    let proxy = Given::keys(EVERY_KEY).config().proxy;
    assert_eq!(proxy.ttl, Some(Duration::from_hours(168)));
    assert_eq!(proxy.check_every, Duration::ZERO);
    assert_eq!(proxy.check_every_of_cistern, Duration::ZERO);
    assert_eq!(proxy.check_deadline, Duration::from_millis(500));
    assert_eq!(proxy.when_gone, WhenGone::Follow);
    assert_eq!(proxy.aliases, ["one.example.com", "two.example.com:5000"]);
    assert_eq!(proxy.realms, ["auth.example.com"]);
}

#[test]
fn metrics_are_served_where_they_were_asked_for() {
    let metrics = |text: &str| {
        Given::keys(&format!("http: {{debug: {text}}}"))
            .config()
            .http
            .metrics
    };
    assert_eq!(
        metrics("{addr: ':5001'}"),
        MetricsAt::DebugAddress("/metrics".to_owned())
    );
    assert_eq!(
        metrics("{addr: ':5001', prometheus: {enabled: false}}"),
        MetricsAt::Nowhere
    );
    assert_eq!(
        metrics("{prometheus: {enabled: true}}"),
        MetricsAt::MainAddress("/metrics".to_owned())
    );
    assert_eq!(metrics("{prometheus: {path: /m}}"), MetricsAt::Nowhere);
}

#[test]
fn a_ttl_of_zero_keeps_everything() {
    assert_eq!(
        Given::keys("proxy: {remoteurl: a.example, ttl: 0}")
            .config()
            .proxy
            .ttl,
        None
    );
}

#[test]
fn the_old_name_of_the_level_counts_where_the_new_one_is_not_set() {
    assert_eq!(
        Given::keys("loglevel: error").config().log.level,
        LogLevel::Error
    );
    assert_eq!(
        Given::keys("loglevel: error\nlog: {level: debug}")
            .config()
            .log
            .level,
        LogLevel::Debug
    );
}

#[test]
fn logstash_is_json_with_a_warning() {
    let given = Given::keys("log: {formatter: logstash}");
    assert_one(&given.warnings(), &["log.formatter", "json"]);
    assert_eq!(given.load().unwrap().config.log.format, LogFormat::Json);
}

#[test]
fn storage_may_be_the_name_of_its_driver_alone() {
    assert_eq!(
        Given::keys("storage: filesystem")
            .config()
            .storage
            .root_directory,
        Path::new("/var/lib/registry")
    );
}

#[test]
fn headers_that_would_break_answers_stay_ours() {
    let given = Given::keys("http: {headers: {Content-Length: ['7'], X-Ok: [yes]}}");
    assert_one(&given.warnings(), &["Content-Length"]);
    assert_eq!(given.load().unwrap().config.http.headers.len(), 1);
}
