//! What looks like a breach of a rule and is none.

use super::spoiled::{ACR, Case, HUB};

/// What looks like a breach of the rule and is none.
pub(super) const ALLOWED: &[Case] = &[
    ("upstream-without-port", |w| {
        w.lower(HUB, "$upstream:8000/azureiotedge-hub:1.5");
    }),
    ("single-label-parent", |w| {
        w.lower(HUB, "team/app:1");
    }),
    ("tag-and-digest", |w| {
        w.lower(HUB, "$upstream:443/azureiotedge-hub@sha256:00");
    }),
    ("missing-tag", |w| {
        w.lower(HUB, "$upstream:443/azureiotedge-hub@sha256:00");
    }),
    ("past-parent", |w| {
        w.lower(HUB, "top.example:443/azureiotedge-hub:1.5");
    }),
    ("end-of-life", |w| {
        w.top(
            "azureiotedge-agent:1.5",
            "azureiotedge-agent:1.5.21-linux-amd64",
        );
    }),
    ("credential-port", |w| {
        w.lower("\"settings\": {}", "\"settings\": {\"registryCredentials\": {\"a\": {\"address\": \"$upstream:443\", \"username\": \"u\", \"password\": \"p\"}}}");
    }),
    ("credential-unused", |w| {
        w.top(ACR, "\"address\": \"MyACR.azurecr.io\"");
    }),
    ("proxy-name-differs", |w| {
        w.lower("IoTEdgeAPIProxy", "iotedgeApiProxy");
    }),
    ("route-to-nobody", |w| {
        w.top("\"registry:5000\"", "\"172.18.0.5:5000\"");
    }),
    ("port-clash", |w| {
        w.top("\\\"8883/tcp\\\":[{", "\\\"443/udp\\\":[{").top(
            "\\\"HostPort\\\":\\\"8883\\\"",
            "\\\"HostPort\\\":\\\"443\\\"",
        );
    }),
    ("hub-ports", |w| {
        w.top("5671/tcp", "443/tcp");
    }),
    ("remote-truncated", |w| {
        w.top("https://myacr.azurecr.io", "http://10.16.7.4");
    }),
    ("upstream-in-env", |w| {
        w.top("https://mcr.microsoft.com", "$upstream:443");
    }),
    ("through-itself", |w| {
        w.top(
            "myacr.azurecr.io/cistern:0.2",
            "top.example:5443/cistern:0.2",
        );
    }),
    ("secret-in-env", |w| {
        w.top("\"REGISTRY_EDGE_BOOTSTRAP\"", "\"REGISTRY_PROXY_PASSWORDFILE\": {\"value\": \"/run/pw\"}, \"REGISTRY_EDGE_BOOTSTRAP\"");
    }),
    ("options-gap", |w| {
        w.lower(
            "\"createOptions\": \"{",
            "\"createOptions\": \"\", \"createOptions01\": \"{",
        );
    }),
    ("schema-version", |w| {
        w.top(
            "\"schemaVersion\": \"1.1\", \"routes\"",
            "\"schemaVersion\": \"1.2\", \"routes\"",
        );
    }),
    ("parent-unknown", |w| {
        w.lower_toml("\"top.example\"", "\"TOP.example\"");
    }),
    ("agent-past-parent", |w| {
        w.lower_toml("top.example:443/", "$upstream:443/");
    }),
    ("agent-login", |w| {
        w.lower_toml("[image_", "[agent.config.auth]\nserveraddress = \"$upstream:443\"\nusername = \"u\"\npassword = \"p\"\n[image_");
    }),
    ("agent-options", |w| {
        w.lower_toml(
            "[agent.config]",
            "[agent.config]\ncreateOptions = { HostConfig = {} }",
        );
    }),
    ("collection-short", |w| {
        w.lower_toml(
            "[image_garbage_collection]",
            "[image_garbage_collection]\nenabled = false",
        )
        .lower_toml("\"7d\"", "\"1h\"");
    }),
    ("quickstart-ca", |w| {
        w.lower_toml("\ncert = \"f", "\na = \"f")
            .lower_toml("pk =", "method = \"est\"\nb =");
    }),
    ("not-a-file-uri", |w| {
        w.lower_toml(
            "pk = \"file:///var/aziot/secrets/key.pem",
            "pk = \"pkcs11:token=aziot;object=key",
        );
    }),
    ("chain-broken", |w| {
        let full = w.pki.edge.pem() + &w.pki.middle.pem() + &w.pki.root.pem();
        w.holds(1, full);
    }),
    ("wrong-mode", |w| {
        w.lower_files[2].access.as_mut().unwrap().mode = 0o400;
    }),
];
