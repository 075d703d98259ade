//! What is said about mistakes: all at once, with place, matter and advice.

use super::super::{FileChoice, Severity};
use super::{Given, assert_one};

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let errors = Given::file(
        "version: 0.1
http:
  addr: nowhere
  tls: {certificate: /c.pem}
  draintimeout: soon
storage:
  cache: {reserve: 5000}
proxy:
  remoteurl: ftp://a.example
  checkevery: -1s
  whengone: delete
log: {level: loud}
",
    )
    .with("REGISTRY_PROXY_CHECKDEADLINE", "0")
    .errors();
    let starts = [
        "error: /c.yml:3: http.addr: `nowhere` has no port; write host:port",
        "error: /c.yml:4: http.tls.certificate: the other half is missing",
        "error: /c.yml:5: http.draintimeout: `soon` is no duration; write a number with a unit",
        "error: /c.yml:7: storage.cache.reserve: `5000` has no unit",
        "error: /c.yml:9: proxy.remoteurl: registries are not asked over `ftp`; write https:// or http://",
        "error: /c.yml:10: proxy.checkevery: `-1s` is negative",
        "error: /c.yml:11: proxy.whengone: there is no way `delete`; write keep or follow",
        "error: /c.yml:12: log.level: there is no level `loud`",
        "error: REGISTRY_PROXY_CHECKDEADLINE: proxy.checkdeadline: no upstream answers in no time",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn an_unknown_key_in_our_sections_is_an_error_with_the_nearest_name() {
    assert_one(
        &Given::keys("proxy:\n  checkevry: 1s").errors(),
        &[
            "/c.yml:3",
            "proxy.checkevry",
            "did you mean proxy.checkevery?",
        ],
    );
    assert_one(
        &Given::keys("storage: {cache: {reserved: 5%}}").errors(),
        &["did you mean storage.cache.reserve?"],
    );
    assert_one(
        &Given::keys("storage: {filesytem: {rootdirectory: /x}}").errors(),
        &["did you mean storage.filesystem?"],
    );
}

#[test]
fn a_shortened_key_finds_the_whole_one() {
    for (written, meant) in [
        ("remote", "remoteurl"),
        ("url", "remoteurl"),
        ("user", "username"),
        ("pass", "password"),
    ] {
        let advice = format!("did you mean proxy.{meant}?");
        assert_one(
            &Given::keys(&format!("proxy: {{{written}: x}}")).errors(),
            &[&advice],
        );
    }
}

#[test]
fn an_unknown_key_elsewhere_is_a_warning() {
    assert_one(
        &Given::keys("http: {adr: ':1'}").warnings(),
        &["http.adr", "did you mean http.addr?"],
    );
    assert_one(
        &Given::keys("colour: blue").warnings(),
        &["colour", "no such key"],
    );
    assert_one(
        &Given::keys("remoteurl: a.example").warnings(),
        &["did you mean proxy.remoteurl?"],
    );
    assert_one(
        &Given::keys("http.addr: ':1'").warnings(),
        &["http.addr: there is no such key"],
    );
}

#[test]
fn each_key_of_distribution_that_is_missing_here_is_one_warning() {
    for (text, key) in [
        ("log: {hooks: [{type: mail, levels: [panic]}]}", "log.hooks"),
        ("log: {reportcaller: true}", "log.reportcaller"),
        (
            "storage: {filesystem: {maxthreads: 100}}",
            "storage.filesystem.maxthreads",
        ),
        ("http: {prefix: /deep/}", "http.prefix"),
        ("http: {h2c: {enabled: true}}", "http.h2c"),
        ("health: {file: [{file: /x, interval: 10s}]}", "health.file"),
        (
            "health: {http: [{uri: 'http://x', statuscode: 200}]}",
            "health.http",
        ),
        ("health: {tcp: [{addr: 'x:1'}]}", "health.tcp"),
        (
            "middleware: {registry: [{name: A, options: {foo: bar}}]}",
            "middleware",
        ),
        (
            "notifications: {events: {includereferences: true}, endpoints: [{name: a, url: 'https://x'}]}",
            "notifications",
        ),
        (
            "redis: {addrs: ['localhost:6379'], tls: {enabled: false}}",
            "redis",
        ),
        ("reporting: {bugsnag: {apikey: x}}", "reporting"),
        ("catalog: {maxentries: 1000}", "catalog"),
        ("compatibility: {schema1: {enabled: true}}", "compatibility"),
        (
            "validation: {manifests: {urls: {allow: ['^https']}}}",
            "validation",
        ),
        ("policy: {repository: {classes: [image]}}", "policy"),
    ] {
        assert_one(&Given::keys(text).warnings(), &[key, "no effect"]);
    }
}

#[test]
fn a_key_of_distribution_that_asks_for_nothing_is_no_finding() {
    for text in [
        "http: {h2c: {enabled: false}, http2: {disabled: true}, tls: {certificate: '', letsencrypt: {hosts: []}}}",
        "notifications: {endpoints: []}",
        "auth: none",
        "auth: {none: {}}",
        "auth:",
        "log: {fields: {}}",
        "storage: {redirect: {disable: true}, tag: {concurrencylimit: 8}, maintenance: {uploadpurging: {enabled: true, age: 168h}}}",
        "storage: {cache: {blobdescriptor: redis, blobdescriptorsize: 10000}, delete: {enabled: true}}",
        "proxy: {remoteurl: a.example, cachewritetimeout: 5m}",
        "http: {net: tcp}",
        "http:",
    ] {
        Given::keys(text).config();
    }
}

#[test]
fn strict_makes_errors_of_warnings() {
    let given = Given::keys("colour: blue").with("REGISTRY_PORT", "tcp://10.0.0.1:5000");
    assert_eq!(given.warnings().len(), 2);
    assert_eq!(given.strict().errors().len(), 2);
    Given::nothing().strict().config();
}

#[test]
fn a_section_with_a_value_of_its_own_is_an_error() {
    assert_one(
        &Given::keys("proxy: https://a.example").errors(),
        &["/c.yml:2", "proxy", "section", "remoteurl"],
    );
    assert_one(
        &Given::keys("http: {addr: {port: 5000}}").errors(),
        &["http.addr", "single value"],
    );
    assert_one(&Given::file("just a text").errors(), &["no configuration"]);
    assert_one(
        &Given::keys("http: {trustedproxies: [[a]]}").errors(),
        &["http.trustedproxies", "text"],
    );
}

#[test]
fn a_file_without_a_version_loads_with_a_warning_and_another_version_does_not() {
    assert_one(
        &Given::file("http: {addr: ':1'}").warnings(),
        &["version", "Distribution does not start"],
    );
    assert_one(
        &Given::file("version: 0.2").errors(),
        &["/c.yml:1", "version"],
    );
    Given::file("version: '0.1'").config();
    Given::file("").config();
    Given::file("# nothing yet").config();
}

#[test]
fn values_that_do_not_fit_their_key_say_what_does() {
    for (text, part) in [
        ("http: {headers: {'a b': [c]}}", "no header's name"),
        ("http: {headers: {A: [\"b\\nc\"]}}", "cannot be sent"),
        ("http: {headers: x}", "names are expected"),
        ("http: {trustedproxies: [everybody]}", "no network"),
        ("http: {net: sctp}", "no network `sctp`"),
        ("http: {debug: {prometheus: {path: metrics}}}", "no path"),
        (
            "http: {debug: {prometheus: {path: /v2/metrics}}}",
            "answered by something else",
        ),
        ("log: {formatter: jsno}", "did you mean json?"),
        (
            "log: {accesslog: {disabled: maybe}}",
            "neither true nor false",
        ),
        ("storage: {cache: {reserve: 100%}}", "no room"),
        ("proxy: {aliases: ['*.example.com']}", "no host"),
    ] {
        assert_one(&Given::keys(text).errors(), &[part]);
    }
}

#[test]
fn the_address_is_found_whatever_else_is_wrong() {
    let given = Given::keys("auth: {htpasswd: {path: /x}}\nhttp: {addr: ':5001'}");
    let read = |_: &std::path::Path| Ok(given.files.values().next().unwrap().clone().into_bytes());
    let from = super::super::LoadFrom {
        file: FileChoice::Named("/c.yml".into()),
        environment: &given.environment,
        strict: false,
        read: &read,
    };
    assert_eq!(
        super::super::Config::listen_address(&from).unwrap().0.port,
        5001
    );
}

#[test]
fn findings_have_their_severity_in_words() {
    let loaded = Given::keys("colour: blue").load().unwrap();
    assert_eq!(loaded.findings[0].severity, Severity::Warning);
    assert!(
        loaded.findings[0]
            .to_string()
            .starts_with("warning: /c.yml:2: colour: ")
    );
}
