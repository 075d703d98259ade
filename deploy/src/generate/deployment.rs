//! The deployment manifest of one device.

use super::create_options::settings;
use super::images::Images;
use super::modules::{self, password_of};
use super::ordered::{Json, object, text};
use super::{
    BLOB_MODULE, Layer, METRICS_MODULE, Network, PROXY_MODULE, REGISTRY_MODULE, Site, Wishes,
};

/// Pretty JSON, the same for the same wishes.
pub(super) fn write(
    site: &Site,
    wishes: &Wishes,
    images: &Images,
    network: Option<(&str, &Network)>,
) -> String {
    let has_blobs = site.layer == Layer::Top && wishes.has_blob_storage;
    let mut custom = Vec::new();
    if site.has_cache(wishes) {
        let cistern = modules::cistern(site, wishes, images, network);
        custom.push((REGISTRY_MODULE.to_owned(), cistern));
    }
    if site.layer.has_proxy() {
        let proxy = modules::proxy(site, wishes, images);
        custom.push((PROXY_MODULE.to_owned(), proxy));
    }
    if has_blobs {
        custom.push((BLOB_MODULE.to_owned(), modules::blob_storage(images)));
    }
    if wishes.metrics.is_some() {
        let metrics = modules::metrics(site, wishes, images);
        custom.push((METRICS_MODULE.to_owned(), metrics));
    }
    let agent = object([
        ("type", text("docker")),
        (
            "settings",
            settings(&images.agent, &Json::Object(Vec::new())),
        ),
    ]);
    let system = object([
        ("edgeAgent", agent),
        ("edgeHub", modules::hub(site, wishes, images)),
    ]);
    // Only 1.1 knows an order, and only where there is something to order is it asked for.
    let schema = if site.layer.has_proxy() { "1.1" } else { "1.0" };
    let desired = object([
        ("schemaVersion", text(schema)),
        ("runtime", runtime(site, wishes)),
        ("systemModules", system),
        ("modules", Json::Object(custom)),
    ]);
    let mut content = vec![
        (
            "$edgeAgent".to_owned(),
            object([("properties.desired", desired)]),
        ),
        (
            "$edgeHub".to_owned(),
            object([("properties.desired", routes())]),
        ),
    ];
    if has_blobs {
        content.push((BLOB_MODULE.to_owned(), modules::blob_twin()));
    }
    object([("modulesContent", Json::Object(content))]).pretty()
}

fn runtime(site: &Site, wishes: &Wishes) -> Json {
    let mut credentials = Vec::new();
    if let Some((address, login)) = site.login(wishes) {
        let id = match site.layer {
            Layer::Top => "registry",
            Layer::Lower | Layer::Bottom => "parent",
        };
        let password = login.password.unwrap_or_else(|| password_of(&address));
        let credential = object([
            ("address", text(address)),
            ("username", text(login.username)),
            ("password", text(password)),
        ]);
        credentials.push((id.to_owned(), credential));
    }
    let settings = object([
        ("minDockerVersion", text("v1.25")),
        ("loggingOptions", text("")),
        ("registryCredentials", Json::Object(credentials)),
    ]);
    object([("type", text("docker")), ("settings", settings)])
}

/// Everything that a device or a child of it sends goes up.
fn routes() -> Json {
    let all = object([("upstream", text("FROM /messages/* INTO $upstream"))]);
    object([
        ("schemaVersion", text("1.1")),
        ("routes", all),
        (
            "storeAndForwardConfiguration",
            object([("timeToLiveSecs", Json::Number(7200))]),
        ),
    ])
}
