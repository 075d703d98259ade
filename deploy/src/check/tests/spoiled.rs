//! For each rule about manifests, ways to break it. [`super::world::World`] keeps all of them.

use super::super::{SettingDoubt, Severity};
use super::world::World;

/// A rule, and what breaks it.
pub(super) type Case = (&'static str, fn(&mut World));

pub(super) const HUB: &str = "$upstream:443/azureiotedge-hub:1.5";
const TOP_HUB: &str = "mcr.microsoft.com/azureiotedge-hub:1.5";
pub(super) const ACR: &str = "\"address\": \"myacr.azurecr.io\"";
const REGISTRY: &str = "\"registry\": {\"type\"";

pub(super) const MANIFESTS: &[Case] = &[
    ("not-a-manifest", |w| w.top = "{}".to_owned()),
    ("not-a-manifest", |w| {
        w.top("\"modules\": {", "\"modules\": {,");
    }),
    ("odd-value", |w| {
        w.lower(
            "\"image\": \"$upstream:443/azureiotedge-hub:1.5\"",
            "\"image\": 5",
        );
    }),
    ("upstream-without-port", |w| {
        w.lower(HUB, "$upstream/azureiotedge-hub:1.5");
    }),
    ("upstream-without-port", |w| {
        w.lower(HUB, "$upstream:0443/azureiotedge-hub:1.5");
    }),
    ("upstream-on-top", |w| {
        w.top(TOP_HUB, HUB);
    }),
    ("upstream-on-top", |w| {
        w.top_toml("mcr.microsoft.com/", "$upstream:443/");
    }),
    ("upstream-port", |w| {
        w.lower(HUB, "$upstream:8000/azureiotedge-hub:1.5");
    }),
    ("single-label-parent", |w| {
        w.lower(HUB, "parent/azureiotedge-hub:1.5");
    }),
    ("single-label-parent", |w| {
        w.lower_toml("\"top.example\"", "\"top\"")
            .lower_toml("top.example:443/", "top/");
    }),
    ("tag-and-digest", |w| {
        w.lower(HUB, "$upstream:443/azureiotedge-hub:1.5@sha256:00");
    }),
    ("missing-tag", |w| {
        w.lower(HUB, "$upstream:443/azureiotedge-hub");
    }),
    ("missing-tag", |w| {
        w.lower_toml("agent:1.5", "agent");
    }),
    ("bad-image", |w| {
        w.lower(HUB, "$upstream:443/azure iotedge-hub:1.5");
    }),
    ("bad-image", |w| {
        w.top(TOP_HUB, "https://mcr.microsoft.com/azureiotedge-hub:1.5");
    }),
    ("missing-image", |w| {
        w.lower("\"image\": \"$upstream:443/azureiotedge-hub:1.5\",", "");
    }),
    ("placeholder", |w| {
        w.top(TOP_HUB, "<Registry>/azureiotedge-hub:1.5");
    }),
    ("placeholder", |w| {
        w.top(TOP_HUB, "${MODULES.hub}");
    }),
    ("past-parent", |w| {
        w.lower(HUB, TOP_HUB);
    }),
    ("second-registry", |w| {
        w.top("https://mcr.microsoft.com", "https://other.example");
    }),
    ("missing-diagnostics", |w| {
        w.top("$upstream:443/azureiotedge-diagnostics:1.5,", "");
    }),
    ("diagnostics-port", |w| {
        w.top(
            "\"NGINX_DEFAULT_PORT\": {\"value\": \"443\"}",
            "\"NGINX_DEFAULT_PORT\": {\"value\": \"8000\"}",
        );
    }),
    ("hand-loaded", |w| {
        w.lower(
            "\"edgeHub\": {",
            "\"edgeHub\": {\"imagePullPolicy\": \"never\", ",
        );
    }),
    ("agent-too-old", |w| {
        w.lower("azureiotedge-agent:1.5", "azureiotedge-agent:1.1");
    }),
    ("agent-too-old", |w| {
        w.lower_toml("azureiotedge-agent:1.5", "azureiotedge-agent:1.0.10");
    }),
    ("end-of-life", |w| {
        w.top("azureiotedge-agent:1.5", "azureiotedge-agent:1.4.10");
    }),
    ("editions-differ", |w| {
        w.top(TOP_HUB, "mcr.microsoft.com/azureiotedge-hub:1.4");
    }),
    ("credential-scheme", |w| {
        w.top(ACR, "\"address\": \"https://myacr.azurecr.io\"");
    }),
    ("credential-scheme", |w| {
        w.top(ACR, "\"address\": \"myacr.azurecr.io/team\"");
    }),
    ("credential-port", |w| {
        w.top(ACR, "\"address\": \"myacr.azurecr.io:443\"");
    }),
    ("credential-port", |w| {
        w.lower("\"settings\": {}", "\"settings\": {\"registryCredentials\": {\"a\": {\"address\": \"$upstream\", \"username\": \"u\", \"password\": \"p\"}}}");
    }),
    ("credential-unused", |w| {
        w.top(ACR, "\"address\": \"other.example\"");
    }),
    ("credential-blank", |w| {
        w.top("\"username\": \"me\"", "\"username\": \" \"");
    }),
    ("credential-blank", |w| {
        w.top(", \"password\": \"pass\"", "");
    }),
    ("credential-missing", |w| {
        w.top(ACR, "\"address\": \"other.azurecr.io\"");
    }),
    ("credential-missing", |w| {
        w.top("\"env\": {\"REGISTRY_PROXY_REMOTEURL\"", "\"env\": {\"REGISTRY_AUTH_HTPASSWD_PATH\": {\"value\": \"/a\"}, \"REGISTRY_PROXY_REMOTEURL\"");
    }),
    ("proxy-missing", |w| {
        w.top("IoTEdgeAPIProxy", "other")
            .top("azureiotedge-api-proxy:1.1\"", "other:1\"")
            .top("NGINX_DEFAULT_PORT", "X");
    }),
    ("proxy-port-unbound", |w| {
        w.top("\\\"443/tcp\\\"", "\\\"8000/tcp\\\"");
    }),
    ("proxy-port-unbound", |w| {
        w.top(
            "\\\"HostPort\\\":\\\"443\\\"",
            "\\\"HostPort\\\":\\\"8443\\\"",
        );
    }),
    ("proxy-port-differs", |w| {
        w.lower("\"value\": 443", "\"value\": 8000");
    }),
    ("proxy-name-differs", |w| {
        w.lower("IoTEdgeAPIProxy", "proxy");
    }),
    ("route-missing", |w| {
        w.top(
            ", \"DOCKER_REQUEST_ROUTE_ADDRESS\": {\"value\": \"registry:5000\"}",
            "",
        );
    }),
    ("route-scheme", |w| {
        w.top("\"registry:5000\"", "\"http://registry:5000\"");
    }),
    ("route-to-nobody", |w| {
        w.top("\"registry:5000\"", "\"registry2:5000\"");
    }),
    ("route-port", |w| {
        w.top("\"registry:5000\"", "\"registry:5001\"");
    }),
    ("route-port", |w| {
        w.top("\"registry:5000\"", "\"registry\"");
    }),
    ("connected-registry", |w| {
        w.top(
            "myacr.azurecr.io/cistern:0.2",
            "mcr.microsoft.com/acr/connected-registry:0.9.0",
        );
    }),
    ("port-clash", |w| {
        w.top(
            "\\\"HostPort\\\":\\\"8883\\\"",
            "\\\"HostPort\\\":\\\"443\\\"",
        );
    }),
    ("hub-ports", |w| {
        w.top("5671/tcp", "5672/tcp").top("8883/tcp", "1883/tcp");
    }),
    ("remote-scheme", |w| {
        w.top("https://myacr.azurecr.io", "myacr.azurecr.io");
    }),
    ("remote-truncated", |w| {
        w.top("https://myacr.azurecr.io", "https://myacr.azurecr");
    }),
    ("remote-truncated", |w| {
        w.top("https://myacr.azurecr.io", "https://myacr");
    }),
    ("remote-missing", |w| {
        w.lower(
            "\"REGISTRY_PROXY_REMOTEURL\": {\"value\": \"$upstream:443\"}, ",
            "",
        );
    }),
    ("upstream-in-env", |w| {
        w.lower(
            "\"NGINX_DEFAULT_PORT\"",
            "\"PARENT\": {\"value\": \"https://$upstream:443\"}, \"NGINX_DEFAULT_PORT\"",
        );
    }),
    ("registry-without-volume", |w| {
        w.top("\\\"registry:/var/lib/registry\\\"", "");
    }),
    ("registry-without-volume", |w| {
        w.lower("\\\"/var/lib/registry\\\"", "\\\"/var/lib/other\\\"");
    }),
    ("through-itself", |w| {
        w.top("myacr.azurecr.io/cistern:0.2", "localhost:5000/cistern:0.2");
    }),
    ("through-itself", |w| {
        w.top(
            "myacr.azurecr.io/cistern:0.2",
            "top.example:443/cistern:0.2",
        );
    }),
    ("several-registries", |w| {
        w.top(REGISTRY, "\"registry2\": {\"type\": \"docker\", \"settings\": {\"image\": \"myacr.azurecr.io/registry:3\"}}, \"registry\": {\"type\"");
    }),
    ("registry-setting", |w| {
        w.doubts = vec![SettingDoubt {
            severity: Severity::Error,
            variable: Some("REGISTRY_PROXY_REMOTEURL".to_owned()),
            what: "no".to_owned(),
            fix: "yes".to_owned(),
        }];
    }),
    ("secret-in-env", |w| {
        w.top(
            "\"REGISTRY_EDGE_BOOTSTRAP\"",
            "\"REGISTRY_PROXY_PASSWORD\": {\"value\": \"hunter2\"}, \"REGISTRY_EDGE_BOOTSTRAP\"",
        );
    }),
    ("bootstrap-incomplete", |w| {
        w.top("$upstream:443/azureiotedge-agent:1.5,", "");
    }),
    ("bootstrap-incomplete", |w| {
        w.top("REGISTRY_EDGE_BOOTSTRAP", "REGISTRY_WARM_IMAGES");
    }),
    ("no-way-back", |w| {
        w.top(",$upstream:443/cistern:0.1", "");
    }),
    ("options-not-json", |w| {
        w.top("\"{\\\"HostConfig\\\"", "\"{HostConfig");
    }),
    ("options-gap", |w| {
        w.lower("\"createOptions\": \"{", "\"createOptions02\": \"{");
    }),
    ("options-too-long", |w| {
        let long = " ".repeat(5000);
        w.top(
            "{\\\"HostConfig\\\"",
            &format!("{{{long}\\\"HostConfig\\\""),
        );
    }),
    ("schema-version", |w| {
        w.top("\"schemaVersion\": \"1.1\"", "\"schemaVersion\": \"1.2\"");
    }),
    ("no-route-upstream", |w| {
        w.top(
            "INTO $upstream",
            "INTO BrokeredEndpoint(\\\"/modules/a/inputs/b\\\")",
        );
    }),
    ("experimental", |w| {
        w.top(
            "\"edgeHub\": {",
            "\"edgeHub\": {\"env\": {\"experimentalFeatures__enabled\": {\"value\": true}}, ",
        );
    }),
];
