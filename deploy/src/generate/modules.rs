//! The modules of a manifest, one function each.

use super::create_options::{of_cistern, settings, with_ports, with_volume};
use super::images::Images;
use super::ordered::{Json, object, text};
use super::{BLOB_MODULE, Layer, Network, REGISTRY_MODULE, Site, Wishes, images};
use crate::image::UPSTREAM;

/// Images can be had before anything else wants some, then the way to them is open.
const FIRST: u64 = 0;
const SECOND: u64 = 1;
const THIRD: u64 = 2;

/// The port of edgeHub for MQTT and that for AMQP; HTTPS is the API proxy's where there is one on 443.
const HUB_PORTS: [u16; 2] = [5671, 8883];
const HTTPS: u16 = 443;
/// Where Cistern's metrics are.
const METRICS_PORT: u16 = 5001;

/// What edgeHub is, with the schema that it needs.
pub(super) fn hub(site: &Site, wishes: &Wishes, images: &Images) -> Json {
    let mut ports = HUB_PORTS.to_vec();
    if !site.layer.has_proxy() || wishes.port != HTTPS {
        ports.insert(0, HTTPS);
    }
    let mut members = vec![
        ("type", text("docker")),
        ("status", text("running")),
        ("restartPolicy", text("always")),
    ];
    if site.layer.has_proxy() {
        members.push(("startupOrder", Json::Number(THIRD)));
    }
    members.push(("settings", settings(&images.hub, &with_ports(&ports))));
    named(members)
}

/// A module that runs always.
fn module(order: Option<u64>, env: Vec<(String, String)>, settings: Json) -> Json {
    let mut members = vec![
        ("version", text("1.0")),
        ("type", text("docker")),
        ("status", text("running")),
        ("restartPolicy", text("always")),
    ];
    members.extend(order.map(|order| ("startupOrder", Json::Number(order))));
    let env = env
        .into_iter()
        .map(|(name, value)| (name, object([("value", text(value))])));
    members.push(("env", Json::Object(env.collect())));
    members.push(("settings", settings));
    named(members)
}

fn named(members: Vec<(&str, Json)>) -> Json {
    let own = members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Json::Object(own.collect())
}

fn variable(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// Cistern.
pub(super) fn cistern(
    site: &Site,
    wishes: &Wishes,
    images: &Images,
    network: Option<(&str, &Network)>,
) -> Json {
    let is_top = site.layer == Layer::Top;
    let remote = if is_top {
        wishes.registry.url.clone()
    } else {
        // Cistern puts the parent in, of which IoT Edge tells every module, and trusts what the parent's children trust.
        format!("https://{UPSTREAM}:{}", wishes.port)
    };
    let mut env = vec![variable("REGISTRY_PROXY_REMOTEURL", remote)];
    if let Some((host, login)) = site.login(wishes) {
        let password = login.password.unwrap_or_else(|| password_of(&host));
        env.push(variable("REGISTRY_PROXY_USERNAME", login.username));
        env.push(variable("REGISTRY_PROXY_PASSWORD", password));
    }
    let routes = if is_top {
        images::routes(wishes)
    } else {
        Vec::new()
    };
    for (number, route) in routes.into_iter().enumerate() {
        let name = |key: &str| format!("REGISTRY_PROXY_ROUTES_{number}_{key}");
        env.push((name(route.key), route.repositories));
        env.push((name("REMOTEURL"), route.url));
    }
    env.push(variable(
        "REGISTRY_EDGE_BOOTSTRAP",
        images::bootstrap(wishes).join(","),
    ));
    if wishes.metrics.is_some() {
        env.push(variable(
            "REGISTRY_HTTP_DEBUG_ADDR",
            format!(":{METRICS_PORT}"),
        ));
    }
    let options = of_cistern(&wishes.volume, network);
    module(Some(FIRST), env, settings(&images.cistern, &options))
}

/// What stands for a password that was not given.
pub(super) fn password_of(host: &str) -> String {
    format!("<password for {host}>")
}

/// The API proxy.
pub(super) fn proxy(site: &Site, wishes: &Wishes, images: &Images) -> Json {
    let mut env = vec![variable("NGINX_DEFAULT_PORT", wishes.port.to_string())];
    if site.has_cache(wishes) {
        env.push(variable(
            "DOCKER_REQUEST_ROUTE_ADDRESS",
            format!("{REGISTRY_MODULE}:5000"),
        ));
    }
    if site.layer == Layer::Top && wishes.has_blob_storage {
        env.push(variable(
            "BLOB_UPLOAD_ROUTE_ADDRESS",
            format!("{BLOB_MODULE}:11002"),
        ));
    }
    let options = with_ports(&[wishes.port]);
    module(Some(SECOND), env, settings(&images.proxy, &options))
}

/// Azure Blob Storage on IoT Edge.
pub(super) fn blob_storage(images: &Images) -> Json {
    let env = vec![
        variable("LOCAL_STORAGE_ACCOUNT_NAME", "edgestorage"),
        variable("LOCAL_STORAGE_ACCOUNT_KEY", "<64 random bytes in base64>"),
    ];
    // A named volume is the module's user's from the beginning; a folder of the host would have to be made so by hand.
    let options = with_volume("blobstorage:/blobroot", 11002);
    module(None, env, settings(&images.blob, &options))
}

/// What the blob storage does with what it holds.
pub(super) fn blob_twin() -> Json {
    let upload = object([
        ("uploadOn", Json::Flag(true)),
        ("uploadOrder", text("OldestFirst")),
        (
            "cloudStorageConnectionString",
            text("<connection string of the storage account>"),
        ),
        ("deleteAfterUpload", Json::Flag(false)),
    ]);
    let delete = object([
        ("deleteOn", Json::Flag(false)),
        ("retainWhileUploading", Json::Flag(true)),
    ]);
    let desired = object([
        ("deviceToCloudUploadProperties", upload),
        ("deviceAutoDeleteProperties", delete),
    ]);
    object([("properties.desired", desired)])
}

/// The collector of metrics: it sends them as messages, which take the way of all messages up to the hub.
pub(super) fn metrics(site: &Site, wishes: &Wishes, images: &Images) -> Json {
    let mut endpoints = vec![
        "http://edgeAgent:9600/metrics".to_owned(),
        "http://edgeHub:9600/metrics".to_owned(),
    ];
    if site.has_cache(wishes) {
        endpoints.push(format!("http://{REGISTRY_MODULE}:{METRICS_PORT}/metrics"));
    }
    let hub = wishes
        .metrics
        .as_ref()
        .and_then(|metrics| metrics.hub_resource.as_deref());
    let env = vec![
        variable("UploadTarget", "IotMessage"),
        variable("ResourceId", hub.unwrap_or("<resource id of the IoT hub>")),
        variable("MetricsEndpointsCSV", endpoints.join(",")),
    ];
    let options = Json::Object(Vec::new());
    module(None, env, settings(&images.metrics, &options))
}
