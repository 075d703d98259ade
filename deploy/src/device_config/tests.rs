use super::*;

const PARENT: &str = r#"# The parent's.
hostname = "10.0.0.4"
trust_bundle_cert = "file:///var/aziot/certs/root.pem"

[edge_ca]
cert = "file:///var/aziot/certs/chain.pem"
pk = "file:///var/aziot/secrets/key.pem"

[agent]
name = "edgeAgent"
type = "docker"

[agent.config]
image = "mcr.microsoft.com/azureiotedge-agent:1.5"
createOptions = { HostConfig = { Binds = ["/a:/b"] } }

[agent.config.auth]
serveraddress = "parent.example:443"
username = "child"
password = "secret"

[image_garbage_collection]
enabled = false
image_age_cleanup_threshold = "7d"
"#;

fn read(text: &str) -> DeviceConfig {
    DeviceConfig::read(text).unwrap()
}

#[test]
fn every_value_is_read_with_the_line_it_stands_on() {
    let config = read(PARENT);
    let line = |setting: &Option<Setting<String>>| {
        let setting = setting.as_ref().unwrap();
        (setting.value.clone(), setting.at.line)
    };
    assert_eq!(line(&config.hostname), ("10.0.0.4".to_owned(), 2));
    let edge_ca = config.edge_ca.unwrap();
    assert_eq!(edge_ca.at.line, 5);
    assert_eq!(line(&edge_ca.key).1, 7);
    let agent = config.agent.unwrap();
    assert_eq!(agent.image.clone().unwrap().at.path, "agent.config.image");
    assert_eq!(line(&agent.image).1, 14);
    assert!(agent.create_options_is_a_table.unwrap().value);
    let login = agent.login.unwrap();
    assert_eq!(line(&login.address), ("parent.example:443".to_owned(), 18));
    assert!(login.password_is_set);
    assert!(!config.collection.unwrap().is_enabled);
    assert!(config.strays.is_empty() && config.colons.is_empty());
}

#[test]
fn a_colon_instead_of_an_equals_sign_is_named_and_read_as_meant() {
    let config =
        read("hostname = \"a.example\"\n[agent.config]\nimage: \"p.example:443/x:1\" # as shown\n");
    assert_eq!(config.colons.len(), 1);
    assert_eq!(
        config.colons[0].at,
        Place {
            path: "image".to_owned(),
            line: 3
        }
    );
    let image = config.agent.unwrap().image.unwrap();
    assert_eq!(
        (image.value.as_str(), image.at.line),
        ("p.example:443/x:1", 3)
    );
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    let error = DeviceConfig::read("a = 1\nb = = 2\n").unwrap_err();
    assert_eq!(error.line, 2, "{error}");
}

#[test]
fn keys_of_the_top_in_a_section_are_found_but_not_in_an_environment() {
    let config = read(
        "[agent]\nhostname = \"x\"\n[agent.env]\nhostname = \"y\"\n[provisioning.attestation]\ntrust_bundle_cert = \"z\"\n",
    );
    let found: Vec<_> = config
        .strays
        .iter()
        .map(|stray| stray.at.path.as_str())
        .collect();
    assert_eq!(
        found,
        [
            "agent.hostname",
            "provisioning.attestation.trust_bundle_cert"
        ]
    );
    assert!(config.hostname.is_none());
}
