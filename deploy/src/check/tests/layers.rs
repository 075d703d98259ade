//! Which layer a manifest is taken for, and what becomes of findings that rest on a guess.

use super::super::*;
use super::world::World;

fn alone(text: &str, first_layer: FirstLayer) -> Vec<Finding> {
    check(&Inputs {
        manifests: &[NamedText {
            file: "a.json",
            text,
        }],
        devices: &[],
        first_layer,
        now: SystemTime::UNIX_EPOCH,
        settings: &|_| Vec::new(),
    })
}

fn severity(findings: &[Finding], rule: &str) -> Option<Severity> {
    let found = findings.iter().find(|finding| finding.rule == rule);
    found.map(|finding| finding.severity)
}

#[test]
fn a_lower_layer_is_known_by_its_runtime() {
    let findings = alone(&World::new().lower, FirstLayer::Guessed);
    assert_eq!(
        severity(&findings, "upstream-on-top"),
        None,
        "{findings:#?}"
    );
}

#[test]
fn what_rests_on_a_guess_is_only_a_warning() {
    let mut world = World::new();
    world.top(
        "mcr.microsoft.com/azureiotedge-api-proxy:1.1",
        "$upstream:443/azureiotedge-api-proxy:1.1",
    );
    assert_eq!(
        severity(&alone(&world.top, FirstLayer::Guessed), "upstream-on-top"),
        Some(Severity::Warning)
    );
    assert_eq!(
        severity(&alone(&world.top, FirstLayer::Top), "upstream-on-top"),
        Some(Severity::Error)
    );
    assert_eq!(
        severity(&alone(&world.top, FirstLayer::Lower), "upstream-on-top"),
        None
    );
}

#[test]
fn manifests_without_devices_are_layers_from_top_to_bottom() {
    let mut world = World::new();
    world.lower("IoTEdgeAPIProxy", "proxy");
    let given = |first: &str, second: &str| {
        check(&Inputs {
            manifests: &[
                NamedText {
                    file: "1.json",
                    text: first,
                },
                NamedText {
                    file: "2.json",
                    text: second,
                },
            ],
            devices: &[],
            first_layer: FirstLayer::Guessed,
            now: SystemTime::UNIX_EPOCH,
            settings: &|_| Vec::new(),
        })
    };
    let findings = given(&world.top, &world.lower);
    let differs = findings
        .iter()
        .find(|finding| finding.rule == "proxy-name-differs")
        .unwrap();
    assert_eq!(differs.file, "2.json");
    assert!(
        severity(
            &given(&world.top, &World::new().lower),
            "proxy-name-differs"
        )
        .is_none()
    );
}

#[test]
fn a_bottom_layer_without_a_proxy_may_bind_443_for_edge_hub() {
    let mut world = World::new();
    let lower = include_str!("../../../tests/data/iotedge_config_cli/deploymentLowerLayer.json");
    world.lower = lower.replace("$upstream:8000", "$upstream:443");
    let findings: Vec<_> = world
        .check()
        .into_iter()
        .filter(|finding| finding.file == "lower.json")
        .collect();
    assert!(
        findings
            .iter()
            .all(|finding| finding.severity == Severity::Note),
        "{findings:#?}"
    );
}

/// Looked at one by one: what is said about them is true, and nothing that works is called an error.
#[test]
fn nothing_that_works_in_real_manifests_is_called_an_error() {
    let data = |name: &str| {
        let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let expected: [(&str, &[&str]); 4] = [
        // Agent and hub are of edition 1.2, the proxy's image has no tag and its port is 8000; the cache keeps nothing.
        (
            "iotedge_config_cli/deploymentTopLayer.json",
            &[
                "end-of-life",
                "registry-without-volume",
                "missing-tag",
                "diagnostics-port",
                "end-of-life",
            ],
        ),
        (
            "iotedge_config_cli/deploymentLowerLayer.json",
            &["end-of-life", "end-of-life"],
        ),
        (
            "iotedge/quickstart_deployment.template.json",
            &[
                "placeholder",
                "placeholder",
                "placeholder",
                "experimental",
                "experimental",
                "experimental",
            ],
        ),
        (
            "iotedge/runtime_only_deployment.template.json",
            &[
                "placeholder",
                "placeholder",
                "experimental",
                "experimental",
                "experimental",
            ],
        ),
    ];
    for (name, rules) in expected {
        let findings = alone(&data(name), FirstLayer::Guessed);
        let mut found: Vec<_> = findings.iter().map(|finding| finding.rule).collect();
        let mut rules = rules.to_vec();
        found.sort_unstable();
        rules.sort_unstable();
        assert_eq!(found, rules, "{name}: {findings:#?}");
    }
}
