//! The upstream: its URL, its credentials, the way to it.

use std::path::Path;

use super::super::{CredentialText, Secret};
use super::{Given, assert_one};

fn remote(text: &str) -> (String, Vec<String>) {
    let remote = Given::nothing()
        .with("REGISTRY_PROXY_REMOTEURL", text)
        .config()
        .proxy
        .remote
        .unwrap();
    (remote.url.to_string(), remote.names)
}

#[test]
fn a_remote_url_is_read_forgivingly() {
    for (text, url) in [
        ("mcr.microsoft.com", "https://mcr.microsoft.com/"),
        ("mcr.microsoft.com:443", "https://mcr.microsoft.com/"),
        (
            "https://mcr.microsoft.com:443/",
            "https://mcr.microsoft.com/",
        ),
        (
            "  HTTPS://MCR.Microsoft.com/  ",
            "https://mcr.microsoft.com/",
        ),
        ("http://10.16.7.4:5000/", "http://10.16.7.4:5000/"),
        ("http://10.16.7.4", "http://10.16.7.4/"),
        (
            "registry.example.com:5000",
            "https://registry.example.com:5000/",
        ),
        (
            "https://host.example/deep/prefix/",
            "https://host.example/deep/prefix",
        ),
        ("https://host.example/v2/", "https://host.example/"),
        ("https://[fd00::1]:5000", "https://[fd00::1]:5000/"),
        ("docker.io", "https://registry-1.docker.io/"),
        (
            "https://index.docker.io/v1/",
            "https://registry-1.docker.io/",
        ),
        (
            "https://registry-1.docker.io",
            "https://registry-1.docker.io/",
        ),
    ] {
        assert_eq!(remote(text).0, url, "{text}");
    }
}

#[test]
fn an_upstream_has_the_names_callers_know_it_by() {
    assert_eq!(
        remote("mcr.microsoft.com").1,
        ["mcr.microsoft.com", "mcr.microsoft.com:443"]
    );
    assert_eq!(remote("http://10.0.0.7:5000").1, ["10.0.0.7:5000"]);
    assert_eq!(remote("http://10.0.0.7").1, ["10.0.0.7", "10.0.0.7:80"]);
    let hub = remote("docker.io").1;
    assert_eq!(
        hub.first().map(String::as_str),
        Some("registry-1.docker.io")
    );
    assert!(
        hub.iter().any(|name| name == "docker.io")
            && hub.iter().any(|name| name == "index.docker.io")
    );
    let proxy = Given::keys("proxy: {remoteurl: a.example, aliases: [b.example, a.example]}")
        .config()
        .proxy;
    assert_eq!(proxy.names(), ["a.example", "a.example:443", "b.example"]);
}

#[test]
fn upstream_is_the_parent_device() {
    let on_a_child = Given::nothing().with("IOTEDGE_PARENTHOSTNAME", "parent.factory");
    for (text, url) in [
        ("$upstream:443", "https://parent.factory/"),
        ("$upstream", "https://parent.factory/"),
        ("$UPSTREAM:8000/", "https://parent.factory:8000/"),
        ("https://$upstream:8443", "https://parent.factory:8443/"),
        ("http://$upstream:5000", "http://parent.factory:5000/"),
        ("${IOTEDGE_PARENTHOSTNAME}:443", "https://parent.factory/"),
        ("$IOTEDGE_PARENTHOSTNAME", "https://parent.factory/"),
    ] {
        let config = on_a_child
            .clone()
            .with("REGISTRY_PROXY_REMOTEURL", text)
            .config();
        assert_eq!(config.proxy.remote.unwrap().url.as_str(), url, "{text}");
    }
    let ipv6 = Given::nothing()
        .with("IOTEDGE_PARENTHOSTNAME", "fd00::1")
        .with("REGISTRY_PROXY_REMOTEURL", "$upstream:443")
        .config();
    assert_eq!(ipv6.proxy.remote.unwrap().authority(), "[fd00::1]");
}

#[test]
fn upstream_without_a_parent_says_which_variable_is_missing() {
    for given in [
        Given::nothing(),
        Given::nothing().with("IOTEDGE_PARENTHOSTNAME", " "),
    ] {
        let errors = given
            .with("REGISTRY_PROXY_REMOTEURL", "$upstream:443")
            .errors();
        assert_one(
            &errors,
            &[
                "REGISTRY_PROXY_REMOTEURL",
                "IOTEDGE_PARENTHOSTNAME is not set",
                "parent",
            ],
        );
    }
    assert_one(
        &Given::nothing()
            .with("REGISTRY_PROXY_REMOTEURL", "$HOST:443")
            .errors(),
        &["$HOST", "only $upstream"],
    );
}

#[test]
fn a_remote_url_that_cannot_be_asked_is_refused() {
    for (text, part) in [
        ("https://", "names no host"),
        ("docker://a.example", "`docker`"),
        ("https://a.example/?x=1", "`?`"),
        ("https://a b", "no registry's URL"),
        ("host:port", "no registry's URL"),
        ("host:0", "no port"),
    ] {
        assert_one(
            &Given::nothing()
                .with("REGISTRY_PROXY_REMOTEURL", text)
                .errors(),
            &[part],
        );
    }
}

#[test]
fn credentials_in_the_url_are_refused_and_not_repeated() {
    let errors = Given::nothing()
        .with("REGISTRY_PROXY_REMOTEURL", "https://me:hunter2@a.example")
        .errors();
    assert_one(&errors, &["credentials", "proxy.username"]);
    assert!(!errors[0].contains("hunter2"));
}

#[test]
fn credentials_are_inline_or_in_files() {
    let base = || {
        Given::keys("proxy: {remoteurl: a.example, username: me}")
            .with_file("/run/secret", "s3cret\n")
    };
    let password = |given: Given| given.config().proxy.credentials.unwrap().password;
    assert_eq!(
        password(base().with("REGISTRY_PROXY_PASSWORD", "12345")),
        CredentialText::Inline(Secret::new("12345"))
    );
    for name in [
        "REGISTRY_PROXY_PASSWORD_FILE",
        "REGISTRY_PROXY_PASSWORDFILE",
    ] {
        assert_eq!(
            password(base().with(name, "/run/secret")),
            CredentialText::File("/run/secret".into())
        );
    }
    let both = base()
        .with("REGISTRY_PROXY_USERNAME", "")
        .with("REGISTRY_PROXY_USERNAME_FILE", "/run/secret");
    let credentials = both
        .with("REGISTRY_PROXY_PASSWORD_FILE", "/run/secret")
        .config()
        .proxy
        .credentials
        .unwrap();
    assert_eq!(
        credentials.username,
        CredentialText::File("/run/secret".into())
    );
    assert_eq!(
        Given::keys("proxy: {remoteurl: a.example}")
            .config()
            .proxy
            .credentials,
        None
    );
}

#[test]
fn a_password_in_the_environment_overrides_the_file_in_either_form() {
    let given = Given::keys("proxy: {remoteurl: a.example, username: me, password: old}")
        .with_file("/s", "x");
    let credentials = given
        .with("REGISTRY_PROXY_PASSWORD_FILE", "/s")
        .config()
        .proxy
        .credentials
        .unwrap();
    assert_eq!(credentials.password, CredentialText::File("/s".into()));
    let twice =
        Given::keys("proxy: {remoteurl: a.example, username: me, password: a, passwordfile: /s}")
            .with_file("/s", "x");
    assert_one(
        &twice.errors(),
        &["proxy.passwordfile", "proxy.password is set too"],
    );
}

#[test]
fn a_password_that_is_no_yaml_is_the_password() {
    for secret in [
        "@home", "%20", "[abc]", "{a: b}", "a: b", "`x`", "*star", "&and", "!bang",
    ] {
        let given = Given::keys("proxy: {remoteurl: a.example, username: me}")
            .with("REGISTRY_PROXY_PASSWORD", secret);
        let Ok(loaded) = given.load() else {
            panic!("{secret}")
        };
        let password = loaded
            .config
            .proxy
            .credentials
            .map(|credentials| credentials.password);
        assert_eq!(
            password,
            Some(CredentialText::Inline(Secret::new(secret))),
            "{secret}"
        );
    }
}

#[test]
fn a_secret_that_is_not_there_yet_is_a_warning_and_a_certificate_an_error() {
    let given = Given::keys("proxy: {remoteurl: a.example, username: me, passwordfile: /later}");
    assert_one(
        &given.warnings(),
        &["proxy.passwordfile", "/later", "read again"],
    );
    assert_one(&given.with_file("/later", "\n").warnings(), &["empty"]);
    assert_one(
        &Given::keys("proxy: {remoteurl: a.example, ca: /gone.pem}").errors(),
        &["proxy.ca", "/gone.pem"],
    );
    let there = Given::keys("proxy: {remoteurl: a.example, ca: [/a.pem, /b.pem]}")
        .with_file("/a.pem", "")
        .with_file("/b.pem", "");
    assert_eq!(
        there.config().proxy.ca_files,
        [Path::new("/a.pem"), Path::new("/b.pem")]
    );
}

#[test]
fn secrets_are_never_printed() {
    let given =
        Given::keys("proxy: {remoteurl: 'http://a.example', username: me, password: hunter2}")
            .with("HTTP_PROXY", "http://user:hunter2@proxy.example:3128");
    let loaded = given.load().unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert_eq!(
        loaded.config.outgoing.http.unwrap().to_string(),
        "http://proxy.example:3128"
    );
}

#[test]
fn doubtful_settings_are_warnings() {
    for (text, part) in [
        (
            "{remoteurl: 'http://a.example', username: me, password: x}",
            "in the clear",
        ),
        ("{remoteurl: 'a.example:80'}", "https://a.example:80"),
        ("{remoteurl: a.example, insecure: true}", "not checked"),
        ("{remoteurl: a.example, username: me}", "no password"),
        ("{remoteurl: a.example, password: x}", "no user name"),
        ("{ttl: 168h}", "there is no upstream"),
    ] {
        assert_one(&Given::keys(&format!("proxy: {text}")).warnings(), &[part]);
    }
}

#[test]
fn proxies_on_the_way_out_are_read_as_go_reads_them() {
    let https = |given: Given| {
        given
            .with("REGISTRY_PROXY_REMOTEURL", "a.example")
            .config()
            .outgoing
    };
    let outgoing = https(
        Given::nothing()
            .with("https_proxy", "http://low.example:1")
            .with("no_proxy", "b.example,10.0.0.0/8"),
    );
    assert_eq!(outgoing.https.unwrap().to_string(), "http://low.example:1");
    assert_eq!(outgoing.except.as_deref(), Some("b.example,10.0.0.0/8"));
    let both = Given::nothing()
        .with("https_proxy", "http://low.example:1")
        .with("HTTPS_PROXY", "up.example:2");
    assert_eq!(
        https(both).https.unwrap().to_string(),
        "http://up.example:2"
    );
    let plain = Given::nothing()
        .with("http_proxy", "p.example")
        .with("REGISTRY_PROXY_REMOTEURL", "http://a.example")
        .config();
    assert_eq!(
        plain.outgoing.http.unwrap().to_string(),
        "http://p.example:80"
    );
}

#[test]
fn a_proxy_that_is_none_stops_the_start_only_where_it_would_be_used() {
    let given = Given::nothing().with("HTTPS_PROXY", "socks5://me:hunter2@a.example:1080");
    given.config();
    let errors = given.with("REGISTRY_PROXY_REMOTEURL", "a.example").errors();
    assert_one(&errors, &["HTTPS_PROXY", "SOCKS"]);
    assert!(!errors[0].contains("hunter2"));
}
