//! Modules beside the usual ones, and logins.

use std::collections::BTreeSet;

use super::*;
use crate::NamedManifest;
use crate::images::{self, ImagesOptions};

#[test]
fn what_children_start_with_is_fetched_ahead_with_both_versions_of_cistern() {
    let mut wishes = wishes();
    wishes.image = Some("plant.azurecr.io/cistern:0.2.0".to_owned());
    wishes.previous_image = Some("plant.azurecr.io/cistern:0.1.0".to_owned());
    wishes.bootstrap = vec!["team/app:1".to_owned()];
    let top = manifest(&made(Layer::Top, &wishes));
    let bootstrap = variable(top.module("registry").unwrap(), "REGISTRY_EDGE_BOOTSTRAP");
    assert_eq!(
        bootstrap.unwrap(),
        "$upstream:443/azureiotedge-agent:1.5,$upstream:443/azureiotedge-hub:1.5,\
         $upstream:443/azureiotedge-api-proxy:1.1,$upstream:443/azureiotedge-diagnostics:1.5,\
         $upstream:443/cistern:0.2.0,$upstream:443/cistern:0.1.0,$upstream:443/team/app:1"
    );
}

#[test]
fn a_password_is_written_only_where_it_was_given() {
    let mut wishes = wishes();
    wishes.login = Some(Login {
        username: "puller".to_owned(),
        password: None,
    });
    let top = made(Layer::Top, &wishes);
    assert_eq!(
        placeholders(&top.deployment),
        ["<password for plant.azurecr.io>"]
    );
    wishes.login = Some(Login {
        username: "puller".to_owned(),
        password: Some("hunter2".to_owned()),
    });
    let top = made(Layer::Top, &wishes);
    let registry = manifest(&top);
    let registry = registry.module("registry").unwrap();
    assert_eq!(
        variable(registry, "REGISTRY_PROXY_PASSWORD").unwrap(),
        "hunter2"
    );
    assert_eq!(placeholders(&top.deployment), Vec::<String>::new());
    assert!(!format!("{wishes:?}").contains("hunter2"));
    let lower = made(Layer::Lower, &wishes);
    assert!(!lower.deployment.contains("hunter2") && !lower.config.unwrap().contains("hunter2"));
    assert!(!lower.steps.contains("hunter2") && !top.steps.contains("hunter2"));
}

#[test]
fn a_device_that_has_to_log_in_does_so_at_its_parent_with_the_port() {
    let mut site = site(Layer::Bottom);
    site.auth = Some(ContainerAuth {
        address: Some("$upstream:443".to_owned()),
        username: "line".to_owned(),
        password: None,
    });
    let generated = made_of(&site, &wishes(), None);
    let manifest = manifest(&generated);
    assert_eq!(
        manifest.credentials[0].address.as_ref().unwrap().value,
        "$upstream:443"
    );
    let login = config(&generated).agent.unwrap().login.unwrap();
    assert_eq!(login.address.unwrap().value, "lower.plant.example:443");
}

#[test]
fn blobs_are_uploaded_through_the_top_layer() {
    let mut wishes = wishes();
    wishes.has_blob_storage = true;
    let top = manifest(&made(Layer::Top, &wishes));
    let address = variable(
        top.module("IoTEdgeAPIProxy").unwrap(),
        "BLOB_UPLOAD_ROUTE_ADDRESS",
    );
    assert_eq!(address.unwrap(), "AzureBlobStorageonIoTEdge:11002");
    assert!(top.module("AzureBlobStorageonIoTEdge").is_some());
    assert_eq!(
        top.twins
            .iter()
            .filter(|twin| twin.module == BLOB_MODULE)
            .count(),
        1
    );
    let lower = manifest(&made(Layer::Lower, &wishes));
    assert!(lower.module("AzureBlobStorageonIoTEdge").is_none());
    let proxy = lower.module("IoTEdgeAPIProxy").unwrap();
    assert_eq!(variable(proxy, "BLOB_UPLOAD_ROUTE_ADDRESS"), None);
}

#[test]
fn metrics_of_cistern_are_collected_where_there_is_one() {
    let mut wishes = wishes();
    wishes.metrics = Some(Metrics::default());
    for (layer, is_cistern_asked) in [
        (Layer::Top, true),
        (Layer::Lower, false),
        (Layer::Bottom, false),
    ] {
        let manifest = manifest(&made(layer, &wishes));
        let collector = manifest.module(METRICS_MODULE).unwrap();
        let endpoints = variable(collector, "MetricsEndpointsCSV").unwrap();
        assert!(endpoints.starts_with("http://edgeAgent:9600/metrics,http://edgeHub:9600/metrics"));
        assert_eq!(
            endpoints.ends_with("http://registry:5001/metrics"),
            is_cistern_asked
        );
        let debug = manifest
            .module("registry")
            .and_then(|registry| variable(registry, "REGISTRY_HTTP_DEBUG_ADDR"));
        assert_eq!(debug.as_deref(), is_cistern_asked.then_some(":5001"));
    }
}

#[test]
fn long_create_options_are_cut_into_pieces_that_edge_agent_joins() {
    let mut wishes = wishes();
    wishes.volume = format!("/srv/{}", "long/".repeat(300));
    let top = made(Layer::Top, &wishes);
    let raw: serde_json::Value = serde_json::from_str(&top.deployment).unwrap();
    let desired = &raw["modulesContent"]["$edgeAgent"]["properties.desired"];
    let settings = desired["modules"]["registry"]["settings"]
        .as_object()
        .unwrap();
    let mut pieces: Vec<_> = settings
        .keys()
        .filter(|key| key.starts_with("createOptions"))
        .collect();
    pieces.sort();
    assert_eq!(pieces[..2], ["createOptions", "createOptions01"]);
    assert!(pieces.len() > 3);
    for piece in pieces {
        assert!(settings[piece].as_str().unwrap().len() <= 512);
    }
    let joined = options(manifest(&top).module("registry").unwrap());
    assert!(
        joined["HostConfig"]["Binds"][0]
            .as_str()
            .unwrap()
            .starts_with(&wishes.volume)
    );
}

#[test]
fn what_is_fetched_ahead_is_what_edge_images_lists_for_the_layers_below() {
    let mut wishes = wishes();
    wishes.is_cached_everywhere = true;
    wishes.metrics = Some(Metrics::default());
    let below: Vec<_> = [Layer::Lower, Layer::Bottom]
        .into_iter()
        .map(|layer| manifest(&made(layer, &wishes)))
        .collect();
    let named: Vec<_> = below
        .iter()
        .map(|manifest| NamedManifest {
            file: "deployment.json",
            manifest,
        })
        .collect();
    let options = ImagesOptions {
        edition: None,
        parent: None,
    };
    let listed: BTreeSet<_> = images::images(&named, &options)
        .into_iter()
        .map(|image| format!("$upstream:443/{}", image.asked.unwrap()))
        .collect();
    let top = manifest(&made(Layer::Top, &wishes));
    let ahead = variable(top.module("registry").unwrap(), "REGISTRY_EDGE_BOOTSTRAP").unwrap();
    let ahead: BTreeSet<_> = ahead.split(',').map(ToOwned::to_owned).collect();
    assert_eq!(listed, ahead);
}
