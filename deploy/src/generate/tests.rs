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
fn config_toml_is_toml_and_yields_what_was_asked() {
    let config = config(&made(Layer::Lower, &wishes()));
    assert_eq!(config.hostname.unwrap().value, "lower.plant.example");
    assert_eq!(config.parent_hostname.unwrap().value, "top.plant.example");
    assert_eq!(
        config.trust_bundle.unwrap().value,
        "file:///var/aziot/certs/root-ca.pem"
    );
    let edge_ca = config.edge_ca.unwrap();
    assert_eq!(
        edge_ca.certificate.unwrap().value,
        "file:///var/aziot/certs/lower-edge-ca-full-chain.pem"
    );
    assert_eq!(
        edge_ca.key.unwrap().value,
        "file:///var/aziot/secrets/lower-edge-ca.key.pem"
    );
    assert_eq!(
        config.agent.unwrap().image.unwrap().value,
        "top.plant.example:443/azureiotedge-agent:1.5"
    );
    assert!(config.strays.is_empty() && config.colons.is_empty());
}

#[test]
fn a_template_is_kept_but_for_what_has_to_be_the_devices_own() {
    let template = "# ours\nparent_hostname = \"wrong.example\"\nauto_reprovisioning_mode = \"Dynamic\"\n\n\
        [edge_ca]\nauto_generated_edge_ca_expiry_days = 90\n\n[agent]\nname = \"edgeAgent\"\ntype = \"docker\"\n\n\
        [agent.config]\nimage = \"old\"\n\n[agent.env]\nUpstreamProtocol = \"AmqpWs\" # behind a firewall\n";
    let text = made_of(&site(Layer::Lower), &wishes(), Some(template))
        .config
        .unwrap();
    for kept in [
        "# ours\n",
        "auto_reprovisioning_mode = \"Dynamic\"\n",
        "UpstreamProtocol = \"AmqpWs\" # behind a firewall\n",
    ] {
        assert!(text.contains(kept), "{kept:?} is gone:\n{text}");
    }
    let config = DeviceConfig::read(&text).unwrap();
    assert_eq!(config.parent_hostname.unwrap().value, "top.plant.example");
    assert!(config.edge_ca.unwrap().auto_generated_days.is_none());
    assert!(
        config
            .agent
            .unwrap()
            .image
            .unwrap()
            .value
            .starts_with("top.")
    );
    assert!(config.strays.is_empty());
    let top = made_of(&site(Layer::Top), &wishes(), Some(template))
        .config
        .unwrap();
    assert!(DeviceConfig::read(&top).unwrap().parent_hostname.is_none());
}

#[test]
fn an_edge_ca_that_the_operator_has_issued_stays_as_it_is() {
    let template = "[edge_ca]\nmethod = \"est\"\ncommon_name = \"ca\"\n";
    let text = made_of(&site(Layer::Lower), &wishes(), Some(template))
        .config
        .unwrap();
    let edge_ca = DeviceConfig::read(&text).unwrap().edge_ca.unwrap();
    assert_eq!(edge_ca.method.unwrap().value, "est");
    assert!(edge_ca.certificate.is_none());
}

#[test]
fn a_template_that_is_not_toml_is_told_with_its_line() {
    let troubles = generate(
        &[site(Layer::Top)],
        &wishes(),
        Some("a = 1\nimage: \"x\"\n"),
    );
    let troubles = troubles.unwrap_err();
    assert!(troubles[0].to_string().contains("line 2"), "{troubles:?}");
}

#[test]
fn a_device_of_which_the_hub_is_known_is_provisioned_but_for_its_key() {
    let mut site = site(Layer::Top);
    site.hub_hostname = Some("plant.azure-devices.net".to_owned());
    let text = made_of(&site, &wishes(), None).config.unwrap();
    let parsed: toml_edit::DocumentMut = text.parse().unwrap();
    assert_eq!(parsed["provisioning"]["device_id"].as_str(), Some("top"));
    assert!(placeholders(&text).contains(&"<primary key of top>".to_owned()));
    let own = "[provisioning]\nsource = \"dps\"\n";
    let text = made_of(&site, &wishes(), Some(own)).config.unwrap();
    assert!(
        text.contains("\"dps\"") && !text.contains("device_id"),
        "{text}"
    );
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
        "azureiotedge-agent:1.5,azureiotedge-hub:1.5,azureiotedge-api-proxy:1.1,azureiotedge-diagnostics:1.5,\
         cistern:0.2.0,cistern:0.1.0,team/app:1"
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
fn cistern_keeps_its_address_in_a_network_of_its_own() {
    let mut wishes = wishes();
    wishes.network = Some(Network::parse("172.30.0.0/24", None).unwrap());
    let top = made(Layer::Top, &wishes);
    let options = options(manifest(&top).module("registry").unwrap());
    let endpoint = &options["NetworkingConfig"]["EndpointsConfig"]["azure-iot-edge"];
    assert_eq!(endpoint["IPAMConfig"]["IPv4Address"], "172.30.0.2");
    let parsed: toml_edit::DocumentMut = top.config.unwrap().parse().unwrap();
    let network = &parsed["moby_runtime"]["network"];
    assert_eq!(network["name"].as_str(), Some("azure-iot-edge"));
    let addresses = network["ipam"]["config"].as_array_of_tables().unwrap();
    let addresses = addresses.get(0).unwrap();
    assert_eq!(addresses["subnet"].as_str(), Some("172.30.0.0/24"));
    assert_eq!(addresses["gateway"].as_str(), Some("172.30.0.1"));
    assert_eq!(addresses["ip_range"].as_str(), Some("172.30.0.128/25"));
    assert!(
        !made(Layer::Lower, &wishes)
            .config
            .unwrap()
            .contains("moby_runtime")
    );
    let named = "[moby_runtime]\nuri = \"unix:///run/docker.sock\"\nnetwork = \"plant\"\n";
    let own = made_of(&site(Layer::Top), &wishes, Some(named));
    let parsed: toml_edit::DocumentMut = own.config.unwrap().parse().unwrap();
    assert_eq!(
        parsed["moby_runtime"]["network"]["name"].as_str(),
        Some("plant")
    );
    assert_eq!(
        parsed["moby_runtime"]["uri"].as_str(),
        Some("unix:///run/docker.sock")
    );
    assert!(own.deployment.contains("plant"));
}

#[test]
fn an_address_that_docker_could_give_to_another_module_is_not_cisterns() {
    let parsed = Network::parse("10.1.0.0/24", Some("10.1.0.200")).unwrap();
    assert!(!parsed.dynamic().contains(&parsed.registry()));
    for (subnet, address) in [
        ("10.1.0.0", None),
        ("10.1.0.0/30", None),
        ("10.1.0.0/24", Some("10.1.0.1")),
        ("10.1.0.0/24", Some("10.1.0.0")),
        ("10.1.0.0/24", Some("10.1.0.255")),
        ("10.1.0.0/24", Some("10.2.0.5")),
        ("10.1.0.0/24", Some("fd00::5")),
        ("10.1.0.0/24", Some("five")),
    ] {
        assert!(
            Network::parse(subnet, address).is_err(),
            "{subnet} {address:?}"
        );
    }
    let six = Network::parse("fd00:1::/64", None).unwrap();
    assert_eq!(six.gateway().to_string(), "fd00:1::1");
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
fn what_cannot_work_is_refused_with_what_to_write_instead() {
    let refused = |change: &dyn Fn(&mut Wishes), words: &[&str]| {
        let mut wishes = wishes();
        change(&mut wishes);
        let troubles = generate(&[site(Layer::Top)], &wishes, None).unwrap_err();
        for word in words {
            assert!(
                troubles[0].to_string().contains(word),
                "{word}: {troubles:?}"
            );
        }
    };
    refused(&|wishes| wishes.port = 5671, &["edgeHub"]);
    refused(&|wishes| wishes.port = 5000, &["Cistern"]);
    refused(
        &|wishes| wishes.image = Some("a.example/b:1@sha256:00".to_owned()),
        &["--image", "not both"],
    );
    refused(
        &|wishes| wishes.image = Some("$upstream:443/b:1".to_owned()),
        &["no parent"],
    );
    refused(
        &|wishes| wishes.image = Some("a.example/b".to_owned()),
        &["neither tag"],
    );
    refused(
        &|wishes| wishes.registry = Registry::parse("mcr.microsoft.com").unwrap(),
        &["--image"],
    );
    refused(
        &|wishes| wishes.registry = Registry::parse("docker.io").unwrap(),
        &["--mcr"],
    );
    refused(
        &|wishes| wishes.previous_image = Some("b.example/cistern:1".to_owned()),
        &["one repository in two registries"],
    );
}

#[test]
fn a_registry_is_named_by_its_host_alone() {
    for text in [
        "plant.azurecr.io",
        "https://plant.azurecr.io/",
        "HTTPS://Plant.azurecr.io:443",
    ] {
        let registry = Registry::parse(text).unwrap();
        assert_eq!(
            (registry.url.as_str(), registry.host.as_str()),
            ("https://plant.azurecr.io", "plant.azurecr.io")
        );
    }
    let plain = Registry::parse("http://10.0.0.7:5000").unwrap();
    assert_eq!(plain.host, "10.0.0.7:5000");
    for text in [
        "",
        "https://",
        "ftp://a.example",
        "a.example/team",
        "plant",
        "https://u:secret@a.example",
    ] {
        let error = Registry::parse(text).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn hostnames_that_no_certificate_could_carry_are_refused_and_single_words_doubted() {
    let with = |hostname: &str| {
        let mut site = site(Layer::Top);
        site.hostname = Some(hostname.to_owned());
        generate(&[site], &wishes(), None)
    };
    for hostname in [
        &"a".repeat(64),
        "a b",
        "top.example:443",
        "-a.example",
        "a..b",
    ] {
        assert!(with(hostname).is_err(), "{hostname}");
    }
    assert_eq!(with("gateway").unwrap().warnings.len(), 1);
    assert_eq!(with("10.0.0.4").unwrap().warnings.len(), 0);
    let mut mixed = [site(Layer::Top), site(Layer::Lower)];
    mixed[1].hostname = Some("10.0.0.5".to_owned());
    let warnings = generate(&mixed, &wishes(), None).unwrap().warnings;
    assert!(warnings[0].what.contains("by an address"), "{warnings:?}");
}

#[test]
fn a_hierarchy_without_hostnames_is_refused_with_every_line() {
    let text = "edgeDevices:\n- deviceId: a\n  children:\n  - deviceId: b\n";
    let troubles = Site::of_hierarchy(&Hierarchy::read(text).unwrap()).unwrap_err();
    let lines: Vec<_> = troubles.iter().map(|trouble| trouble.line).collect();
    assert_eq!(lines, [2, 4]);
}

#[test]
fn the_parents_name_is_not_left_as_upstream_in_a_device_without_one() {
    let text = "edgeConfiguration:\n  defaultEdgeAgent: $upstream:443/azureiotedge-agent:1.4\nedgeDevices:\n- deviceId: a\n  hostname: a.example\n";
    let hierarchy = Hierarchy::read(text).unwrap();
    let sites = Site::of_hierarchy(&hierarchy).unwrap();
    let generated = made_of(&sites[0], &wishes(), None);
    assert!(!generated.config.unwrap().contains("$upstream"));
    assert_eq!(
        Edition::of_image("$upstream:443/azureiotedge-agent:1.4"),
        Some(Edition::V1_4)
    );
    assert_eq!(
        Edition::of_image("x/azureiotedge-agent:1.5.3"),
        Some(Edition::V1_5)
    );
    assert_eq!(Edition::of_image("x/azureiotedge-agent:1.50"), None);
}
