//! `http.tls`, and what IoT Edge's variables mean for it.

use super::super::{CertificateFrom, ClientCertificate, MinimumTls, Tls};
use super::{Given, assert_one};

const PAIR: &str = "http: {tls: {certificate: /c.pem, key: /k.pem";

fn with_files(text: &str) -> Given {
    ["/c.pem", "/k.pem", "/ca.pem"]
        .iter()
        .fold(Given::keys(text), |given, path| given.with_file(path, "x"))
}

fn module(text: &str) -> Given {
    Given::keys(text)
        .with(
            "IOTEDGE_WORKLOADURI",
            "unix:///var/run/iotedge/workload.sock",
        )
        .with("IOTEDGE_MODULEID", "registry")
        .with("IOTEDGE_MODULEGENERATIONID", "637")
        .with("IOTEDGE_GATEWAYHOSTNAME", "gateway.plant")
}

fn tls(given: &Given) -> Tls {
    given.config().tls.expect("TLS is spoken")
}

#[test]
fn a_certificate_with_its_key_is_all_that_https_needs() {
    let tls = tls(&with_files(&format!("{PAIR}}}}}")));
    assert_eq!(tls.address, None);
    assert_eq!(tls.minimum, MinimumTls::V12);
    assert!(tls.client_authorities.is_empty());
    assert!(matches!(tls.source, CertificateFrom::Files { .. }));
}

#[test]
fn distributions_variables_mean_the_same() {
    let given = with_files("log: {level: info}")
        .with("REGISTRY_HTTP_TLS_CERTIFICATE", "/c.pem")
        .with("REGISTRY_HTTP_TLS_KEY", "/k.pem")
        .with("REGISTRY_HTTP_TLS_CLIENTCAS_0", "/ca.pem")
        .with(
            "REGISTRY_HTTP_TLS_CLIENTAUTH",
            "verify-client-cert-if-given",
        )
        .with("REGISTRY_HTTP_TLS_MINIMUMTLS", "tls1.3");
    let tls = tls(&given);
    assert_eq!(tls.minimum, MinimumTls::V13);
    assert_eq!(tls.client_certificate, ClientCertificate::IfGiven);
    assert_eq!(tls.client_authorities.len(), 1);
}

#[test]
fn without_any_of_it_plain_http_is_spoken() {
    for text in [
        "log: {level: info}",
        "http: {tls: {}}",
        "http: {tls: {certificate: '', key: ''}}",
    ] {
        assert_eq!(Given::keys(text).config().tls, None, "{text}");
    }
}

#[test]
fn a_protection_that_cannot_be_given_stops_the_start() {
    for (text, key, says) in [
        (
            "http: {tls: {certificate: /c.pem}}",
            "http.tls.certificate",
            "other half",
        ),
        ("http: {tls: {key: /k.pem}}", "http.tls.key", "other half"),
        (
            "http: {tls: {clientcas: [/ca.pem]}}",
            "http.tls.clientcas",
            "in the clear",
        ),
        (
            "http: {tls: {addr: ':5443'}}",
            "http.tls.addr",
            "in the clear",
        ),
        (
            "http: {tls: {source: files}}",
            "http.tls.source",
            "no certificate is named",
        ),
        (
            "http: {tls: {source: vault}}",
            "http.tls.source",
            "no source `vault`",
        ),
        (
            "http: {tls: {source: iotedge}}",
            "http.tls.source",
            "IOTEDGE_WORKLOADURI",
        ),
        (
            "http: {tls: {letsencrypt: {cachefile: /c}}}",
            "http.tls.letsencrypt",
            "not supported yet",
        ),
        (
            "http: {tls: {clientca: [/ca.pem]}}",
            "http.tls.clientca",
            "clientcas",
        ),
    ] {
        assert_one(&with_files(text).errors(), &["/c.yml:2", key, says]);
    }
}

#[test]
fn a_value_that_would_weaken_it_is_refused_by_name() {
    for (text, key, says) in [
        (
            format!("{PAIR}, minimumtls: tls1.0}}}}").as_str(),
            "http.tls.minimumtls",
            "broken",
        ),
        (
            &format!("{PAIR}, minimumtls: ssl3}}}}"),
            "http.tls.minimumtls",
            "no version",
        ),
        (
            &format!("{PAIR}, clientauth: request-client-cert}}}}"),
            "http.tls.clientauth",
            "himself",
        ),
        (
            &format!("{PAIR}, clientcas: [/none.pem]}}}}"),
            "http.tls.clientcas",
            "/none.pem cannot be read",
        ),
        (
            &format!("{PAIR}, addr: ':5000'}}}}"),
            "http.tls.addr",
            "http.addr is :5000",
        ),
        (
            "http: {tls: {certificate: /none.pem, key: /k.pem}}",
            "http.tls.certificate",
            "cannot be read",
        ),
    ] {
        assert_one(&with_files(text).errors(), &["/c.yml:2", key, says]);
    }
}

#[test]
fn what_has_no_effect_is_told() {
    let given = with_files("http: {tls: {minimumtls: tls1.3}}");
    assert_one(
        &given.warnings(),
        &["http.tls.minimumtls", "TLS is not spoken"],
    );
    let given = with_files(&format!("{PAIR}, commonname: x}}}}"));
    assert_one(&given.warnings(), &["http.tls.commonname", "no effect"]);
    let given = with_files(&format!("{PAIR}, ciphersuites: [X]}}}}"));
    assert_one(
        &given.warnings(),
        &["http.tls.ciphersuites", "forward secrecy"],
    );
}

#[test]
fn a_module_of_iot_edge_asks_for_a_certificate_of_its_gateways_name() {
    let tls_of = tls(&module("http: {tls: {source: iotedge, addr: ':5443'}}"));
    let CertificateFrom::IotEdge {
        workload,
        common_name,
    } = tls_of.source
    else {
        panic!("the workload API was meant");
    };
    assert_eq!(common_name, "gateway.plant");
    assert_eq!(
        workload.socket.to_str(),
        Some("/var/run/iotedge/workload.sock")
    );
    let named = tls(&module(
        "http: {tls: {source: iotedge, commonname: 10.0.0.1}}",
    ));
    assert!(
        matches!(named.source, CertificateFrom::IotEdge { common_name, .. } if common_name == "10.0.0.1")
    );
}

#[test]
fn two_certificates_are_one_too_many() {
    let given = module("http: {tls: {source: iotedge, certificate: /c.pem, key: /k.pem}}");
    let given = given.with_file("/c.pem", "x").with_file("/k.pem", "x");
    assert_one(
        &given.errors(),
        &["http.tls.certificate", "two certificates"],
    );
}

#[test]
fn a_workload_api_that_is_no_unix_socket_is_as_if_it_were_not_there() {
    let given =
        module("http: {tls: {source: iotedge}}").with("IOTEDGE_WORKLOADURI", "http://127.0.0.1:1");
    assert_one(&given.errors(), &["http.tls.source", "unix:///"]);
    assert_eq!(
        module("log: {level: info}")
            .with("IOTEDGE_WORKLOADURI", "x")
            .config()
            .iotedge
            .workload,
        None
    );
}
