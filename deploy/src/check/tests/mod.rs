//! Every rule is broken at least once, and a hierarchy that is right breaks none.

mod allowed;
mod layers;
mod spoiled;
mod spoiled_devices;
mod world;

use super::*;
use allowed::ALLOWED;
use spoiled::{Case, MANIFESTS};
use spoiled_devices::DEVICES;
use world::World;

fn spoil((_, change): &Case) -> Vec<Finding> {
    let mut world = World::new();
    change(&mut world);
    world.check()
}

fn rules_of(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.rule).collect()
}

#[test]
fn nothing_is_found_in_a_hierarchy_that_is_right() {
    let findings = World::new().check();
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn every_rule_is_found_where_it_is_broken() {
    let cases: Vec<_> = MANIFESTS.iter().chain(DEVICES).collect();
    for case in &cases {
        let findings = spoil(case);
        assert!(
            rules_of(&findings).contains(&case.0),
            "{} is not in {findings:#?}",
            case.0
        );
    }
    let known: Vec<_> = groups().iter().flat_map(|group| group.rules).collect();
    for rule in &known {
        assert!(
            cases.iter().any(|case| case.0 == rule.id),
            "nothing breaks {}",
            rule.id
        );
    }
    for case in cases {
        assert!(
            known.iter().any(|rule| rule.id == case.0),
            "{} is no rule",
            case.0
        );
    }
}

#[test]
fn what_only_looks_like_a_breach_is_let_be() {
    for case in ALLOWED {
        let findings = spoil(case);
        assert!(
            !rules_of(&findings).contains(&case.0),
            "{}: {findings:#?}",
            case.0
        );
    }
}

#[test]
fn every_finding_says_where_why_and_what_to_do() {
    for case in MANIFESTS.iter().chain(DEVICES) {
        for finding in spoil(case) {
            let is_whole =
                !finding.what.is_empty() && !finding.why.is_empty() && !finding.fix.is_empty();
            assert!(is_whole, "{finding:#?}");
            assert!(FILES.contains(&finding.file.as_str()), "{finding:#?}");
        }
    }
}

const FILES: [&str; 4] = ["top.json", "lower.json", "top.toml", "lower.toml"];

#[test]
fn findings_are_ordered_by_file_and_line() {
    let mut world = World::new();
    world
        .lower("azureiotedge-hub:1.5", "azureiotedge-hub")
        .lower("azureiotedge-agent:1.5", "azureiotedge-agent");
    world.top("azureiotedge-hub:1.5", "azureiotedge-hub");
    let findings = world.check();
    let order: Vec<_> = findings
        .iter()
        .filter(|finding| finding.rule == "missing-tag")
        .map(|finding| (finding.file.as_str(), finding.at.as_ref().unwrap().line))
        .collect();
    assert_eq!(
        order,
        [("top.json", 6), ("lower.json", 5), ("lower.json", 6)]
    );
}

#[test]
fn no_finding_prints_a_password() {
    let mut world = World::new();
    world.top("https://myacr.azurecr.io", "http://me:hunter2@myacr");
    world.top(
        "\"REGISTRY_EDGE_BOOTSTRAP\"",
        "\"REGISTRY_HTTP_SECRET\": {\"value\": \"hunter2\"}, \"REGISTRY_EDGE_BOOTSTRAP\"",
    );
    let findings = world.check();
    assert!(
        rules_of(&findings).contains(&"secret-in-env")
            && rules_of(&findings).contains(&"remote-truncated")
    );
    assert!(
        !format!("{findings:?}").contains("hunter2"),
        "{findings:#?}"
    );
}
