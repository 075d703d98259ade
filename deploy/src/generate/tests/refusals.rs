//! What is refused or doubted.

use super::*;

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
