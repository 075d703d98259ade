mod configs;
mod modules;
mod refusals;

use super::*;
use crate::device_config::DeviceConfig;
use crate::hierarchy::{ContainerAuth, Hierarchy};
use crate::json::Document;
use crate::manifest::{Manifest, Module};
use crate::rewrite::{LowerOptions, to_lower};

fn wishes() -> Wishes {
    Wishes::new(Registry::parse("https://plant.azurecr.io").unwrap())
}

/// A device of that layer, in a hierarchy of plant.example.
fn site(layer: Layer) -> Site {
    let mut site = Site::new(layer.as_str(), layer);
    site.hostname = Some(format!("{}.plant.example", layer.as_str()));
    site.parent_hostname = match layer {
        Layer::Top => None,
        Layer::Lower => Some("top.plant.example".to_owned()),
        Layer::Bottom => Some("lower.plant.example".to_owned()),
    };
    site
}

fn made(layer: Layer, wishes: &Wishes) -> Generated {
    made_of(&site(layer), wishes, None)
}

fn made_of(site: &Site, wishes: &Wishes, template: Option<&str>) -> Generated {
    let outcome = generate(std::slice::from_ref(site), wishes, template).unwrap();
    outcome.devices.into_iter().next().unwrap()
}

fn manifest(generated: &Generated) -> Manifest {
    Manifest::read(&Document::parse(&generated.deployment).unwrap()).unwrap()
}

fn variable(module: &Module, name: &str) -> Option<String> {
    let variable = module.variable(name)?;
    Some(variable.value.as_text())
}

fn options(module: &Module) -> serde_json::Value {
    module.create_options.value.clone().unwrap().unwrap()
}

fn images(generated: &Generated) -> Vec<(String, String)> {
    let manifest = manifest(generated);
    let modules = manifest.modules.into_iter();
    modules
        .map(|module| (module.name, module.image.unwrap().value))
        .collect()
}

fn config(generated: &Generated) -> DeviceConfig {
    DeviceConfig::read(generated.config.as_deref().unwrap()).unwrap()
}

fn bound_ports(module: &Module) -> Vec<String> {
    let options = options(module);
    let ports = options["HostConfig"]["PortBindings"].as_object().unwrap();
    ports.keys().cloned().collect()
}

#[test]
fn the_top_layer_caches_and_sends_its_children_to_the_cache() {
    let generated = made(Layer::Top, &wishes());
    let manifest = manifest(&generated);
    let registry = manifest.module("registry").unwrap();
    assert_eq!(
        variable(registry, "REGISTRY_PROXY_REMOTEURL").unwrap(),
        "https://plant.azurecr.io"
    );
    let options = options(registry);
    assert_eq!(
        options["HostConfig"]["Binds"][0],
        "/srv/registry:/var/lib/registry"
    );
    assert_eq!(options["Healthcheck"]["Test"][1], "/cistern");
    assert_eq!(bound_ports(registry), ["5000/tcp"]);
    let proxy = manifest.module("IoTEdgeAPIProxy").unwrap();
    assert_eq!(
        variable(proxy, "DOCKER_REQUEST_ROUTE_ADDRESS").unwrap(),
        "registry:5000"
    );
    assert_eq!(variable(proxy, "NGINX_DEFAULT_PORT").unwrap(), "443");
    assert_eq!(bound_ports(proxy), ["443/tcp"]);
    let hub = manifest.module("edgeHub").unwrap();
    assert_eq!(bound_ports(hub), ["5671/tcp", "8883/tcp"]);
    assert_eq!(
        manifest.routes[0].route.value,
        "FROM /messages/* INTO $upstream"
    );
    assert_eq!(manifest.agent_schema.unwrap().value, "1.1");
}

#[test]
fn a_lower_layer_hands_requests_on_and_pulls_all_from_its_parent() {
    let generated = made(Layer::Lower, &wishes());
    let manifest = manifest(&generated);
    assert!(manifest.module("registry").is_none());
    let proxy = manifest.module("IoTEdgeAPIProxy").unwrap();
    assert_eq!(variable(proxy, "DOCKER_REQUEST_ROUTE_ADDRESS"), None);
    for (module, image) in images(&generated) {
        assert!(
            image.starts_with("$upstream:443/azureiotedge-"),
            "{module}: {image}"
        );
    }
}

#[test]
fn the_bottom_layer_has_no_proxy_so_its_hub_has_all_of_its_ports() {
    let manifest = manifest(&made(Layer::Bottom, &wishes()));
    assert!(
        manifest
            .modules
            .iter()
            .all(|module| module.name.starts_with("edge"))
    );
    let hub = manifest.module("edgeHub").unwrap();
    assert_eq!(bound_ports(hub), ["443/tcp", "5671/tcp", "8883/tcp"]);
    assert_eq!(manifest.agent_schema.unwrap().value, "1.0");
}

#[test]
fn a_proxy_on_another_port_leaves_443_to_the_hub_and_is_found_there_by_children() {
    let mut wishes = wishes();
    wishes.port = 8000;
    let top = manifest(&made(Layer::Top, &wishes));
    assert_eq!(
        bound_ports(top.module("IoTEdgeAPIProxy").unwrap()),
        ["8000/tcp"]
    );
    assert!(bound_ports(top.module("edgeHub").unwrap()).contains(&"443/tcp".to_owned()));
    let lower = made(Layer::Lower, &wishes);
    assert!(
        images(&lower)
            .iter()
            .all(|(_, image)| image.starts_with("$upstream:8000/"))
    );
    assert_eq!(
        config(&lower).agent.unwrap().image.unwrap().value,
        "top.plant.example:8000/azureiotedge-agent:1.5"
    );
}

#[test]
fn a_manifest_of_the_top_layer_rewritten_for_a_lower_one_names_what_is_generated_for_it() {
    let mut every = wishes();
    every.is_cached_everywhere = true;
    every.metrics = Some(Metrics::default());
    every.has_microsoft_route = true;
    let options = LowerOptions {
        port: 443,
        registries: Vec::new(),
    };
    let top = made(Layer::Top, &every);
    let rewritten = to_lower(
        "top.json",
        &Document::parse(&top.deployment).unwrap(),
        &options,
    )
    .unwrap();
    let rewritten = Generated {
        deployment: rewritten.text,
        ..top
    };
    assert_eq!(images(&rewritten), images(&made(Layer::Lower, &every)));
}

#[test]
fn microsofts_images_may_stay_with_microsoft() {
    let mut wishes = wishes();
    wishes.has_microsoft_route = true;
    let top = made(Layer::Top, &wishes);
    let manifest = manifest(&top);
    let registry = manifest.module("registry").unwrap();
    assert_eq!(
        variable(registry, "REGISTRY_PROXY_ROUTES_0_PREFIX").unwrap(),
        "azureiotedge-"
    );
    assert_eq!(
        variable(registry, "REGISTRY_PROXY_ROUTES_0_REMOTEURL").unwrap(),
        "https://mcr.microsoft.com"
    );
    assert_eq!(
        manifest
            .module("edgeAgent")
            .unwrap()
            .image
            .as_ref()
            .unwrap()
            .value,
        "mcr.microsoft.com/azureiotedge-agent:1.5"
    );
    assert_eq!(to_import(&wishes), Vec::<String>::new());
    wishes.has_microsoft_route = false;
    assert_eq!(to_import(&wishes).len(), 4);
}

#[test]
fn an_image_of_cistern_from_a_third_registry_gets_a_route_of_its_own() {
    let mut wishes = Wishes::new(Registry::parse("mcr.microsoft.com").unwrap());
    wishes.image = Some("ghcr.io/acme/cistern:0.1.0".to_owned());
    wishes.is_cached_everywhere = true;
    let top = manifest(&made(Layer::Top, &wishes));
    let registry = top.module("registry").unwrap();
    assert_eq!(
        variable(registry, "REGISTRY_PROXY_ROUTES_0_PATTERN").unwrap(),
        "acme/cistern"
    );
    assert_eq!(
        variable(registry, "REGISTRY_PROXY_ROUTES_0_REMOTEURL").unwrap(),
        "https://ghcr.io"
    );
    let lower = made(Layer::Lower, &wishes);
    let own = images(&lower)
        .into_iter()
        .find(|(module, _)| module == "registry");
    assert_eq!(own.unwrap().1, "$upstream:443/acme/cistern:0.1.0");
}

#[test]
fn a_cache_in_a_lower_layer_asks_the_parent_and_its_proxy_asks_the_cache() {
    let mut wishes = wishes();
    wishes.is_cached_everywhere = true;
    let lower = manifest(&made(Layer::Lower, &wishes));
    let registry = lower.module("registry").unwrap();
    assert_eq!(
        variable(registry, "REGISTRY_PROXY_REMOTEURL").unwrap(),
        "https://$upstream:443"
    );
    assert_eq!(variable(registry, "REGISTRY_PROXY_USERNAME"), None);
    let proxy = lower.module("IoTEdgeAPIProxy").unwrap();
    assert!(variable(proxy, "DOCKER_REQUEST_ROUTE_ADDRESS").is_some());
    assert!(
        manifest(&made(Layer::Bottom, &wishes))
            .module("registry")
            .is_none()
    );
}
