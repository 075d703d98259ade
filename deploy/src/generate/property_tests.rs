//! What holds for every hierarchy and all wishes.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::check::{DeviceFile, FirstLayer, Inputs, NamedText, check};
use crate::device_config::DeviceConfig;
use crate::hierarchy::Hierarchy;
use crate::json::Document;
use crate::manifest::Manifest;
use crate::{Finding, Severity};

/// Parents of devices 1…: each an earlier one.
fn parents() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..6).prop_map(|indices| {
        let numbered = indices.into_iter().enumerate();
        numbered
            .map(|(number, index)| index.index(number + 1))
            .collect()
    })
}

fn wishes() -> impl Strategy<Value = Wishes> {
    let flags = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    (
        flags,
        prop_oneof![Just(443_u16), 1024..4999_u16],
        any::<bool>(),
    )
        .prop_map(|(flags, port, is_old)| {
            let mut wishes = Wishes::new(Registry::parse("https://plant.azurecr.io").unwrap());
            wishes.login = Some(Login {
                username: "puller".to_owned(),
                password: Some("secret".to_owned()),
            });
            wishes.has_microsoft_route = flags.0;
            wishes.is_cached_everywhere = flags.1;
            wishes.previous_image = Some("plant.azurecr.io/cistern:0.0.9".to_owned());
            wishes.has_blob_storage = flags.2;
            wishes.metrics = flags.3.then(Metrics::default);
            wishes.network = flags
                .4
                .then(|| Network::parse("172.30.0.0/24", None).unwrap());
            wishes.port = port;
            wishes.edition = if is_old { Edition::V1_4 } else { Edition::V1_5 };
            wishes
        })
}

fn text(parents: &[usize], is_camel: bool) -> String {
    let mut text = String::from(if is_camel {
        "edgeDevices:\n- "
    } else {
        "edgedevices:\n  "
    });
    device(0, parents, is_camel, 2, &mut text);
    text
}

fn device(number: usize, parents: &[usize], is_camel: bool, indent: usize, text: &mut String) {
    let (id, children) = if is_camel {
        ("deviceId", "children")
    } else {
        ("device_id", "child")
    };
    let blanks = " ".repeat(indent);
    write!(
        text,
        "{id}: d{number}\n{blanks}hostname: d{number}.plant.example\n"
    )
    .unwrap();
    let own: Vec<_> = (1..=parents.len())
        .filter(|child| parents[child - 1] == number)
        .collect();
    if !own.is_empty() {
        writeln!(text, "{blanks}{children}:").unwrap();
    }
    for child in own {
        write!(text, "{blanks}- ").unwrap();
        device(child, parents, is_camel, indent + 2, text);
    }
}

/// edgeAgent and az take it (the schema of deployments, 1.1).
fn assert_fits_the_schema(deployment: &str) {
    let raw: serde_json::Value = serde_json::from_str(deployment).unwrap();
    let desired = &raw["modulesContent"]["$edgeAgent"]["properties.desired"];
    let hub = &raw["modulesContent"]["$edgeHub"]["properties.desired"];
    assert_eq!(desired["runtime"]["type"], "docker");
    for route in hub["routes"].as_object().unwrap().values() {
        assert!(route.is_string());
    }
    let (custom, system) = (&desired["modules"], &desired["systemModules"]);
    let modules = custom.as_object().unwrap().values();
    let mut is_ordered = false;
    for module in modules.chain(system.as_object().unwrap().values()) {
        assert_eq!(module["type"], "docker");
        is_ordered |= !module["startupOrder"].is_null();
        let env = module["env"].as_object().cloned().unwrap_or_default();
        for (name, variable) in env {
            assert!(
                !name.contains(['+', '#', '$', '.']) && !name.contains(char::is_whitespace),
                "{name}"
            );
            let value = variable["value"].as_str().unwrap();
            assert!(!value.is_empty(), "{name}");
        }
        for (name, setting) in module["settings"].as_object().unwrap() {
            assert!(
                name == "image" || name.starts_with("createOptions"),
                "{name}"
            );
            assert!(setting.as_str().unwrap().len() <= 512);
        }
        let options = module["settings"]["createOptions"].as_str().unwrap();
        if module["settings"]["createOptions01"].is_null() {
            assert!(
                serde_json::from_str::<serde_json::Value>(options)
                    .unwrap()
                    .is_object()
            );
        }
    }
    let schema = if is_ordered { "1.1" } else { "1.0" };
    assert_eq!(desired["schemaVersion"], schema);
}

/// What is found, notes aside, in the devices from the top down to the last one of the file.
fn doubts(hierarchy: &Hierarchy, made: &[Generated]) -> Vec<Finding> {
    let mut chain = Vec::new();
    let mut device = hierarchy.devices.last();
    while let Some(below) = device {
        chain.extend(made.iter().find(|made| made.id == below.id));
        device = hierarchy.parent_of(below);
    }
    chain.reverse();
    let manifests: Vec<_> = chain
        .iter()
        .map(|made| NamedText {
            file: &made.id,
            text: &made.deployment,
        })
        .collect();
    let devices: Vec<_> = chain
        .iter()
        .map(|made| DeviceFile {
            file: &made.id,
            text: made.config.as_deref().unwrap(),
            files: &[],
        })
        .collect();
    let inputs = Inputs {
        manifests: &manifests,
        devices: &devices,
        first_layer: FirstLayer::Top,
        now: std::time::SystemTime::UNIX_EPOCH,
        settings: &|_| Vec::new(),
    };
    let mut found = check(&inputs);
    found.retain(|finding| finding.severity > Severity::Note);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_device_of_every_hierarchy_pulls_from_its_parent_and_serves_its_children(parents in parents(), wishes in wishes()) {
        let camel = Hierarchy::read(&text(&parents, true)).unwrap();
        let snake = Hierarchy::read(&text(&parents, false)).unwrap();
        let ids = |hierarchy: &Hierarchy| -> Vec<_> {
            hierarchy.devices.iter().map(|device| (device.id.clone(), device.parent.clone(), device.children.clone())).collect()
        };
        prop_assert_eq!(ids(&camel), ids(&snake));
        let sites = Site::of_hierarchy(&camel).unwrap();
        let outcome = generate(&sites, &wishes, None).unwrap();
        prop_assert_eq!(&outcome.devices, &generate(&sites, &wishes, None).unwrap().devices);
        prop_assert_eq!(outcome.warnings.len(), 0);
        let doubts = doubts(&camel, &outcome.devices);
        prop_assert!(doubts.is_empty(), "{:#?}", doubts);
        for (site, made) in sites.iter().zip(&outcome.devices) {
            assert_fits_the_schema(&made.deployment);
            let manifest = Manifest::read(&Document::parse(&made.deployment).unwrap()).unwrap();
            let config = DeviceConfig::read(made.config.as_deref().unwrap()).unwrap();
            prop_assert_eq!(config.parent_hostname.map(|name| name.value), site.parent_hostname.clone());
            let has_children = !camel.device(&site.id).unwrap().children.is_empty();
            if has_children {
                prop_assert!(manifest.module(PROXY_MODULE).is_some());
            }
            for module in &manifest.modules {
                let image = &module.image.as_ref().unwrap().value;
                let is_from_above = image.starts_with(&format!("$upstream:{}/", wishes.port));
                prop_assert_eq!(is_from_above, site.layer != Layer::Top, "{}", image);
            }
            let proxied = manifest.module(PROXY_MODULE).and_then(|proxy| proxy.variable("DOCKER_REQUEST_ROUTE_ADDRESS"));
            prop_assert_eq!(proxied.is_some(), manifest.module(REGISTRY_MODULE).is_some());
        }
    }

    #[test]
    fn no_text_at_all_makes_the_reader_fail_in_another_way_than_with_troubles(text in "(?s)(edgeDevices:\n)?[-:a-z\\[\\]{}&*\n ]{0,80}") {
        if let Err(troubles) = Hierarchy::read(&text) {
            prop_assert!(!troubles.is_empty());
        }
    }
}
