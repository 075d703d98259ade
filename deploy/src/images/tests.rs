use super::*;
use crate::Document;

fn list(text: &str, options: &ImagesOptions) -> Vec<LayerImage> {
    let manifest = Manifest::read(&Document::parse(text).unwrap()).unwrap();
    let named = NamedManifest {
        file: "m.json",
        manifest: &manifest,
    };
    images(&[named], options)
}

fn warm(list: &[LayerImage]) -> Vec<String> {
    list.iter().filter_map(LayerImage::to_warm).collect()
}

fn implied(list: &[LayerImage]) -> Vec<&str> {
    let implied = list.iter().filter(|image| image.is_implied);
    implied.map(|image| image.image.as_str()).collect()
}

const LOWER: &str = include_str!("../../tests/data/iotedge_config_cli/deploymentLowerLayer.json");
const TOP: &str = include_str!("../../tests/data/iotedge_config_cli/deploymentTopLayer.json");

#[test]
fn a_lower_layer_asks_the_cache_for_its_images_and_for_those_that_nobody_writes_down() {
    let found = list(LOWER, &ImagesOptions::default());
    assert_eq!(
        warm(&found),
        [
            "azureiotedge-simulated-temperature-sensor:1.0",
            "azureiotedge-agent:1.2.0-rc4",
            "azureiotedge-hub:1.2.0-rc4",
            "azureiotedge-api-proxy:1.1",
            "azureiotedge-diagnostics:1.2.0-rc4",
        ]
    );
    assert_eq!(
        implied(&found),
        [
            "$upstream:8000/azureiotedge-api-proxy:1.1",
            "{parent hostname}/azureiotedge-diagnostics:1.2.0-rc4",
        ]
    );
}

#[test]
fn another_edition_and_the_parents_name_are_in_the_implied_ones() {
    let options = ImagesOptions {
        edition: Some("1.5".to_owned()),
        parent: Some("gw.example".to_owned()),
    };
    let found = list(LOWER, &options);
    assert_eq!(
        implied(&found),
        [
            "gw.example:8000/azureiotedge-agent:1.5",
            "gw.example:8000/azureiotedge-api-proxy:1.1",
            "gw.example/azureiotedge-diagnostics:1.5",
        ]
    );
    assert!(
        found.iter().all(|image| image.registry.is_none()),
        "{found:?}"
    );
}

#[test]
fn the_top_layer_asks_the_registries_themselves() {
    let found = list(TOP, &ImagesOptions::default());
    assert_eq!(
        warm(&found),
        [
            "docker.io/library/registry:latest",
            "mcr.microsoft.com/azureiotedge-api-proxy:latest",
            "mcr.microsoft.com/azureiotedge-agent:1.2",
            "mcr.microsoft.com/azureiotedge-hub:1.2",
            "mcr.microsoft.com/azureiotedge-diagnostics:1.2",
        ]
    );
}

#[test]
fn a_layered_manifest_needs_what_lies_below_it_and_says_why() {
    let text = r#"{"content": {"modulesContent": {"$edgeAgent": {
        "properties.desired.modules.a": {"settings": {"image": "$upstream:443/team/app:1"}},
        "properties.desired.modules.b.settings.image": "$upstream:443/team/app:1",
        "properties.desired.modules.c": {"settings": {"image": "x.example/c:1"}, "imagePullPolicy": "never"},
        "properties.desired.modules.d.settings.image": "$upstream:443/d:${TAG}"}}}}"#;
    let found = list(text, &ImagesOptions::default());
    assert_eq!(found[0].modules, ["a", "b"], "one image, told once");
    assert!(found[1].why.contains("never") && found[1].to_warm().is_none());
    assert!(found[2].why.contains("placeholder") && found[2].to_warm().is_none());
    assert_eq!(
        warm(&found),
        [
            "team/app:1",
            "azureiotedge-agent:1.5",
            "azureiotedge-hub:1.5",
            "azureiotedge-api-proxy:1.1",
            "azureiotedge-diagnostics:1.5",
        ]
    );
    assert!(
        found[4]
            .why
            .contains("the deployment below this layered one"),
        "{found:?}"
    );
}

#[test]
fn an_image_at_the_parents_literal_name_is_the_caches_business_too() {
    let text = r#"{"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": {"a": {"settings": {"image": "10.0.0.4:443/a:1"}}}}}}}"#;
    let asks = |options: &ImagesOptions| list(text, options)[0].to_warm().unwrap();
    assert_eq!(asks(&ImagesOptions::default()), "10.0.0.4:443/a:1");
    let parent = Some("10.0.0.4".to_owned());
    assert_eq!(
        asks(&ImagesOptions {
            parent,
            edition: None
        }),
        "a:1"
    );
}
