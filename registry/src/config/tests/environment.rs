//! Variables: how they name keys, what they hold, and what other programs put beside them.

use std::path::Path;

use super::super::Place;
use super::{Given, assert_one};

#[test]
fn a_variable_overrides_the_file() {
    let config = Given::keys("http: {addr: ':1'}\nstorage: {filesystem: {rootdirectory: /a}}")
        .with("REGISTRY_HTTP_ADDR", ":5001")
        .with("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/b")
        .config();
    assert_eq!(config.http.address.to_string(), ":5001");
    assert_eq!(config.storage.root_directory, Path::new("/b"));
}

#[test]
fn an_empty_variable_unsets_a_key() {
    let given =
        Given::keys("proxy: {remoteurl: a.example, ttl: 1h}").with("REGISTRY_PROXY_TTL", "");
    assert_eq!(given.config().proxy.ttl, None);
    let given = Given::keys("auth: {htpasswd: {path: /x}}").with("REGISTRY_AUTH", "");
    given.config();
}

#[test]
fn a_whole_section_may_be_one_variable() {
    let config = Given::nothing()
        .with(
            "REGISTRY_PROXY",
            "{remoteurl: 'https://a.example', ttl: 1h}",
        )
        .with("REGISTRY_PROXY_TTL", "2h")
        .config();
    assert_eq!(config.proxy.remote.unwrap().authority(), "a.example");
    assert_eq!(config.proxy.ttl.unwrap().as_secs(), 7200);
}

#[test]
fn a_list_is_written_with_commas_as_yaml_or_element_by_element() {
    let aliases = |given: Given| {
        given
            .with("REGISTRY_PROXY_REMOTEURL", "a.example")
            .config()
            .proxy
            .aliases
    };
    let expected = ["one.example", "two.example:5000"];
    assert_eq!(
        aliases(Given::nothing().with("REGISTRY_PROXY_ALIASES", "one.example, two.example:5000")),
        expected
    );
    assert_eq!(
        aliases(Given::nothing().with(
            "REGISTRY_PROXY_ALIASES",
            "[one.example, 'two.example:5000']"
        )),
        expected
    );
    let by_element = Given::nothing()
        .with("REGISTRY_PROXY_ALIASES_0", "one.example")
        .with("REGISTRY_PROXY_ALIASES_1", "two.example:5000");
    assert_eq!(aliases(by_element), expected);
    let over_the_file = Given::keys("proxy: {aliases: [zero.example, two.example:5000]}")
        .with("REGISTRY_PROXY_ALIASES_0", "one.example");
    assert_eq!(aliases(over_the_file), expected);
}

#[test]
fn more_than_ten_elements_keep_their_order() {
    let given = (0..12).fold(Given::nothing(), |given, index| {
        given.with(
            &format!("REGISTRY_HTTP_TRUSTEDPROXIES_{index}"),
            &format!("10.0.0.{index}"),
        )
    });
    let networks: Vec<_> = given
        .config()
        .http
        .trusted_proxies
        .iter()
        .map(|net| net.addr().to_string())
        .collect();
    assert_eq!(
        networks,
        (0..12)
            .map(|index| format!("10.0.0.{index}"))
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_header_is_named_by_its_variable() {
    let config = Given::keys("http: {headers: {X-Frame-Options: [sameorigin]}}")
        .with("REGISTRY_HTTP_HEADERS_X-FRAME-OPTIONS", "[deny]")
        .with("REGISTRY_HTTP_HEADERS_X-Other", "yes: really")
        .load();
    let errors = config
        .expect_err("a mapping is no header value")
        .to_string();
    assert!(errors.contains("REGISTRY_HTTP_HEADERS_X-Other"), "{errors}");
    let config = Given::nothing()
        .with("REGISTRY_HTTP_HEADERS_X-FRAME-OPTIONS", "[deny]")
        .config();
    assert_eq!(
        config.http.headers,
        [("x-frame-options".parse().unwrap(), "deny".parse().unwrap())]
    );
}

#[test]
fn a_section_in_the_wrong_case_does_not_swallow_a_variable() {
    let given = Given::keys("HTTP: {addr: ':1'}").with("REGISTRY_HTTP_ADDR", ":2");
    assert_one(
        &given.warnings(),
        &["HTTP: there is no such key", "did you mean http?"],
    );
    assert_eq!(given.load().unwrap().config.http.address.port, 2);
}

#[test]
fn values_that_are_no_yaml_are_taken_as_they_are() {
    let config = Given::nothing()
        .with("REGISTRY_HTTP_ADDR", "[::]:5000")
        .config();
    assert_eq!(config.http.address.to_string(), "[::]:5000");
}

#[test]
fn values_are_yaml_where_they_are() {
    let config = Given::nothing()
        .with("REGISTRY_PROXY_REMOTEURL", "\"https://a.example\"  # ours")
        .config();
    assert_eq!(config.proxy.remote.unwrap().authority(), "a.example");
    assert!(
        Given::nothing()
            .with("REGISTRY_LOG_ACCESSLOG_DISABLED", "~")
            .config()
            .log
            .access_log
    );
}

#[test]
fn the_variables_of_kubernetes_are_one_warning_and_never_an_error() {
    let given = Given::nothing()
        .with("REGISTRY_PORT", "tcp://10.0.171.239:5000")
        .with("REGISTRY_PORT_5000_TCP", "tcp://10.0.171.239:5000")
        .with("REGISTRY_PORT_5000_TCP_ADDR", "10.0.171.239")
        .with("REGISTRY_PORT_5000_TCP_PORT", "5000")
        .with("REGISTRY_PORT_5000_TCP_PROTO", "tcp")
        .with("REGISTRY_SERVICE_HOST", "10.0.171.239")
        .with("REGISTRY_SERVICE_PORT", "5000")
        .with("REGISTRY_SERVICE_PORT_HTTP", "5000");
    assert_one(
        &given.warnings(),
        &["REGISTRY_PORT", "REGISTRY_SERVICE_HOST", "Kubernetes"],
    );
}

#[test]
fn a_service_called_registry_proxy_or_registry_auth_disturbs_nothing() {
    for section in ["PROXY", "AUTH", "STORAGE", "HTTP", "WARM"] {
        let given = Given::nothing()
            .with(&format!("REGISTRY_{section}_SERVICE_HOST"), "10.0.0.1")
            .with(&format!("REGISTRY_{section}_PORT"), "tcp://10.0.0.1:80")
            .with(&format!("REGISTRY_{section}_PORT_80_TCP_ADDR"), "10.0.0.1");
        assert_one(&given.warnings(), &["Kubernetes"]);
    }
}

#[test]
fn an_unknown_variable_is_a_warning_with_the_nearest_name() {
    assert_one(
        &Given::nothing()
            .with("REGISTRY_PROXY_REMOTE_URL", "https://a.example")
            .warnings(),
        &[
            "REGISTRY_PROXY_REMOTE_URL: this variable names no key",
            "did you mean REGISTRY_PROXY_REMOTEURL?",
        ],
    );
    assert_one(
        &Given::nothing().with("REGISTRY_FAVOURITE", "x").warnings(),
        &["REGISTRY_FAVOURITE"],
    );
    assert_one(
        &Given::nothing()
            .with("REGISTRY_proxy_remoteurl", "x")
            .warnings(),
        &["did you mean REGISTRY_PROXY_REMOTEURL?"],
    );
    assert_one(
        &Given::nothing()
            .with("REGISTRY_STORAGE_FILESYSTEM", "")
            .with("REGISTRY_STORAGE_ELSEWHERE", "x")
            .warnings(),
        &["ELSEWHERE"],
    );
    assert_one(
        &Given::nothing()
            .with("REGISTRY_HTTP_HEADERS_X_FRAME", "x")
            .warnings(),
        &["REGISTRY_HTTP_HEADERS_X_FRAME"],
    );
}

#[test]
fn the_nearest_name_is_one_that_has_an_effect() {
    for (written, meant) in [
        ("PROXY_URL", "PROXY_REMOTEURL"),
        ("PROXY_REMOTE", "PROXY_REMOTEURL"),
        ("PROXY_USER", "PROXY_USERNAME"),
        ("PROXY_PASSWD", "PROXY_PASSWORD"),
        ("PROXY_CHECK_EVERY", "PROXY_CHECKEVERY"),
        ("PROXI_REMOTEURL", "PROXY_REMOTEURL"),
        ("STORAGE_ROOTDIRECTORY", "STORAGE_FILESYSTEM_ROOTDIRECTORY"),
        (
            "STORAGE_FILESYSTEM_ROOT_DIRECTORY",
            "STORAGE_FILESYSTEM_ROOTDIRECTORY",
        ),
        ("STORAGE_CACHE_RESERVED", "STORAGE_CACHE_RESERVE"),
        ("HTTP_DEBUG_ADRR", "HTTP_DEBUG_ADDR"),
    ] {
        let given = Given::nothing().with(&format!("REGISTRY_{written}"), "x");
        let advice = format!("did you mean REGISTRY_{meant}?");
        assert_one(&given.warnings(), &[written, &advice]);
        assert_one(&given.strict().errors(), &[written, &advice]);
    }
}

#[test]
fn variables_of_other_programs_are_not_looked_at() {
    let config = Given::nothing()
        .with("REGISTRYADDR", "x")
        .with("registry_http_addr", "x")
        .with("PATH", "/bin")
        .config();
    assert_eq!(config.http.address.port, 5000);
    Given::nothing().with("REGISTRY_VERSION", "2.8.3").config();
}

#[test]
fn what_is_set_is_listed_with_its_source_and_without_its_secret() {
    let loaded = Given::keys("proxy:\n  remoteurl: a.example\n  username: me")
        .with("REGISTRY_PROXY_PASSWORD", "hunter2")
        .load()
        .unwrap();
    let settings: Vec<_> = loaded
        .settings
        .iter()
        .map(|setting| format!("{}={} {}", setting.key, setting.value, setting.place))
        .collect();
    assert_eq!(
        settings,
        [
            "version=0.1 /c.yml:1",
            "proxy.remoteurl=a.example /c.yml:3",
            "proxy.username=me /c.yml:4",
            "proxy.password=(secret) REGISTRY_PROXY_PASSWORD",
        ]
    );
    assert!(matches!(loaded.settings[3].place, Place::Variable(_)));
    assert!(!format!("{loaded:?}").contains("hunter2"));
}
