//! Keys that would be dangerous to read past.

use super::{Given, assert_one};

#[test]
fn no_protection_is_dropped_in_silence() {
    for (text, key) in [
        ("auth: {token: {realm: r}}", "auth.token"),
        ("auth: {silly: {}}", "auth.silly"),
        ("auth: token", "auth.token"),
        ("http: {tls: {certificate: /c, key: /k}}", "http.tls"),
        ("http: {tls: {clientcas: [/ca]}}", "http.tls"),
        ("http: {tls: {letsencrypt: {cachefile: /c}}}", "http.tls"),
        ("http: {net: unix, addr: /run/x.sock}", "http.net"),
        ("storage: {s3: {bucket: b}}", "storage.s3"),
        ("storage: {azure: {container: c}}", "storage.azure"),
        ("storage: {gcs: {bucket: b}}", "storage.gcs"),
        ("storage: {swift: {}}", "storage.swift"),
        ("storage: {oss: {}}", "storage.oss"),
        ("storage: {inmemory: }", "storage.inmemory"),
        ("storage: inmemory", "storage.inmemory"),
        ("proxy: {remotenamespace: library}", "proxy.remotenamespace"),
    ] {
        let errors = Given::keys(text).errors();
        assert_one(&errors, &["/c.yml:2", key, "not supported yet"]);
    }
}

#[test]
fn the_environment_cannot_drop_one_either() {
    for (name, value, key) in [
        ("REGISTRY_AUTH", "silly", "auth.silly"),
        (
            "REGISTRY_AUTH_TOKEN_REALM",
            "https://auth.example.com",
            "auth.token",
        ),
        (
            "REGISTRY_HTTP_TLS_CERTIFICATE",
            "/certs/domain.crt",
            "http.tls",
        ),
        (
            "REGISTRY_HTTP_TLS_LETSENCRYPT_HOSTS_0",
            "a.example",
            "http.tls",
        ),
        ("REGISTRY_HTTP_NET", "unix", "http.net"),
        ("REGISTRY_STORAGE", "s3", "storage.s3"),
        ("REGISTRY_STORAGE_S3_BUCKET", "b", "storage.s3"),
        ("REGISTRY_STORAGE_AZURE_MAX_RETRIES", "3", "storage.azure"),
    ] {
        assert_one(
            &Given::nothing().with(name, value).errors(),
            &[name, key, "not supported yet"],
        );
    }
}

#[test]
fn one_refusal_names_every_variable_behind_it() {
    let errors = Given::nothing()
        .with("REGISTRY_AUTH", "token")
        .with("REGISTRY_AUTH_TOKEN_REALM", "r")
        .with("REGISTRY_AUTH_TOKEN_SERVICE", "s")
        .errors();
    assert_one(
        &errors,
        &[
            "REGISTRY_AUTH:",
            "REGISTRY_AUTH_TOKEN_REALM",
            "REGISTRY_AUTH_TOKEN_SERVICE",
        ],
    );
}

#[test]
fn a_second_storage_driver_is_refused_beside_the_first() {
    let errors = Given::keys("storage: {filesystem: {rootdirectory: /x}}")
        .with("REGISTRY_STORAGE_S3_BUCKET", "b")
        .errors();
    assert_one(&errors, &["storage.s3"]);
}
