use std::fmt::Write as _;

use super::*;

const SNAKE: &str = r#"config_version: "1.0"
iothub:
  iothub_hostname: plant.azure-devices.net
  iothub_name: plant
  authentication_method: x509_certificate
certificates:
  root_ca_cert_path: ./root.pem
  root_ca_cert_key_path: ./root.key.pem
configuration:
  template_config_path: ./device_config.toml
  default_edge_agent: "$upstream:443/azureiotedge-agent:1.5"
edgedevices:
  device_id: top
  hostname: top.plant.example
  edge_agent: "mcr.microsoft.com/azureiotedge-agent:1.5"
  deployment: ./top.json
  child:
    - device_id: middle
      hostname: middle.plant.example
      container_auth:
        serveraddress: "$upstream:443"
        username: line
        password: secret
      child:
        - device_id: bottom
          hostname: bottom.plant.example
    - device_id: other
      hostname: other.plant.example
"#;

const CAMEL: &str = r#"configVersion: "1.0"
iotHub:
  iotHubHostname: plant.azure-devices.net
  iotHubName: plant
  authenticationMethod: x509Certificate
certificates:
  rootCACertPath: ./root.pem
  rootCACertKeyPath: ./root.key.pem
edgeConfiguration:
  templateConfigPath: ./device_config.toml
  defaultEdgeAgent: "$upstream:443/azureiotedge-agent:1.5"
edgeDevices:
- deviceId: top
  hostname: top.plant.example
  edgeAgent: "mcr.microsoft.com/azureiotedge-agent:1.5"
  deployment: ./top.json
  children:
    - deviceId: middle
      hostname: middle.plant.example
      containerAuth:
        serverAddress: "$upstream:443"
        username: line
        password: secret
      children:
        - deviceId: bottom
          hostname: bottom.plant.example
    - deviceId: other
      hostname: other.plant.example
"#;

fn troubles(text: &str) -> Vec<(usize, String)> {
    let troubles = Hierarchy::read(text).unwrap_err();
    troubles
        .into_iter()
        .map(|trouble| (trouble.line, trouble.to_string()))
        .collect()
}

/// One trouble, in that line, in which all of the words are said.
fn assert_trouble(text: &str, line: usize, words: &[&str]) {
    let found = troubles(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].0, line, "{found:?}");
    for word in words {
        assert!(found[0].1.contains(word), "{word} is not said: {found:?}");
    }
}

#[test]
fn both_dialects_say_the_same_hierarchy() {
    let (snake, camel) = (
        Hierarchy::read(SNAKE).unwrap(),
        Hierarchy::read(CAMEL).unwrap(),
    );
    assert_eq!(snake, camel);
    let parents: Vec<_> = snake
        .devices
        .iter()
        .map(|device| (device.id.as_str(), device.parent.as_deref()))
        .collect();
    let wanted = [
        ("top", None),
        ("middle", Some("top")),
        ("bottom", Some("middle")),
        ("other", Some("top")),
    ];
    assert_eq!(parents, wanted);
    assert_eq!(snake.devices[0].children, ["middle", "other"]);
    assert_eq!(
        snake.hub.hostname.as_deref(),
        Some("plant.azure-devices.net")
    );
    assert_eq!(snake.hub.authentication, Authentication::Certificate);
    assert_eq!(snake.template.unwrap().text, "./device_config.toml");
    assert_eq!(snake.warnings, []);
}

#[test]
fn a_password_in_a_hierarchy_file_is_not_in_what_is_printed_for_debugging() {
    let hierarchy = Hierarchy::read(SNAKE).unwrap();
    let auth = hierarchy.device("middle").unwrap().auth.clone().unwrap();
    assert_eq!(auth.password.as_deref(), Some("secret"));
    assert!(!format!("{hierarchy:?}").contains("secret"));
}

#[test]
fn two_devices_of_one_id_are_named_with_both_lines() {
    let text = "edgeDevices:\n- deviceId: a\n  children:\n  - deviceId: b\n  - deviceId: b\n";
    assert_trouble(text, 5, &["`b`", "line 4"]);
}

#[test]
fn a_device_below_itself_is_a_cycle() {
    let text = "edgedevices:\n  device_id: a\n  child:\n  - device_id: b\n    child:\n    - device_id: a\n";
    assert_trouble(text, 6, &["`a`", "cycle", "line 2"]);
    let text = "edgedevices: &top\n  device_id: a\n  child:\n  - *top\n";
    assert_trouble(text, 4, &["cycle", "its own parent"]);
}

#[test]
fn several_roots_are_refused_where_there_is_one_and_taken_where_there_may_be_more() {
    let text = "edgedevices:\n- device_id: a\n- device_id: b\n";
    assert_trouble(text, 3, &["2 devices without a parent", "edgeDevices"]);
    let one = "edgedevices:\n- device_id: a\n";
    assert_eq!(Hierarchy::read(one).unwrap().devices.len(), 1);
    let many = Hierarchy::read("edgeDevices:\n- deviceId: a\n- deviceId: b\n").unwrap();
    assert!(many.devices.iter().all(|device| device.parent.is_none()));
}

#[test]
fn a_key_of_the_other_dialect_is_an_error_that_names_the_right_one() {
    let text = "edgedevices:\n  device_id: a\n  children:\n  - device_id: b\n";
    assert_trouble(text, 3, &["`children`", "write `child`"]);
    let text = "edgeDevices:\n- device_id: a\n";
    let found = troubles(text);
    assert!(
        found[0].1.contains("write `deviceId`") || found[1].1.contains("write `deviceId`"),
        "{found:?}"
    );
}

#[test]
fn a_key_that_nobody_knows_is_a_warning() {
    let text = "edgeDevices:\n- deviceId: a\n  colour: blue\n";
    let hierarchy = Hierarchy::read(text).unwrap();
    assert_eq!(hierarchy.warnings.len(), 1);
    assert_eq!(hierarchy.warnings[0].line, 3);
    assert!(hierarchy.warnings[0].what.contains("colour"));
}

#[test]
fn what_is_no_hierarchy_is_refused_with_what_one_looks_like() {
    for text in [
        "",
        "# nothing\n",
        "- a\n",
        "text",
        "iothub: {}\n",
        "edgedevices:\n",
    ] {
        let found = troubles(text);
        assert!(found[0].1.contains("edgeDevices:"), "{text:?}: {found:?}");
    }
    assert_trouble(
        "edgedevices: {device_id: a}\nedgeDevices: [{deviceId: a}]\n",
        2,
        &["both"],
    );
    assert_trouble("edgedevices:\n  device_id: [a\n", 3, &["not YAML"]);
    assert_trouble("edgedevices:\n  hostname: a\n", 2, &["no id", "device_id"]);
    assert_trouble(
        "edgedevices:\n  device_id: a\n  device_id: b\n",
        3,
        &["twice", "line 2"],
    );
}

#[test]
fn one_hostname_for_two_devices_is_refused() {
    let text = "edgeDevices:\n- deviceId: a\n  hostname: x.example\n- deviceId: b\n  hostname: X.example\n";
    assert_trouble(text, 4, &["hostname of `a`"]);
}

#[test]
fn an_id_that_would_lead_out_of_its_folder_is_no_id() {
    for id in ["..", ".", "a/b", "../../etc", "a\\b", "a b"] {
        let found = troubles(&format!("edgeDevices:\n- deviceId: '{id}'\n"));
        assert!(found[0].1.contains("no device's id"), "{id}: {found:?}");
    }
}

#[test]
fn how_devices_prove_who_they_are_is_one_of_two_ways() {
    let text = "iothub:\n  authentication_method: tpm\nedgedevices:\n  device_id: a\n";
    assert_trouble(text, 2, &["tpm", "symmetric_key", "x509_certificate"]);
}

#[test]
fn a_file_nested_without_end_is_refused_and_not_followed() {
    let mut text = String::from("edgeDevices:\n");
    for depth in 0..500 {
        let indent = " ".repeat(depth * 2);
        write!(text, "{indent}- deviceId: d{depth}\n{indent}  children:\n").unwrap();
    }
    assert!(troubles(&text)[0].1.contains("deeper"));
}
