//! `config.toml`.

use super::*;

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
    assert!(
        own.steps.contains("docker network rm plant"),
        "{}",
        own.steps
    );
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
