use std::ffi::OsString;

use super::*;

fn cistern(words: &[&str]) -> (Exit, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console {
        out: &mut out,
        err: &mut err,
    };
    let words = ["cistern", "edge", "check"].iter().chain(words);
    let arguments = words.map(OsString::from).collect();
    let exit = crate::commands::run(arguments, &Environment::new(), &mut console);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (exit, text(out), text(err))
}

fn data(name: &str) -> String {
    format!("{}/../deploy/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests write what the command reads"
)]
fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn top() -> String {
    std::fs::read_to_string(data("iotedge_config_cli/deploymentTopLayer.json")).unwrap()
}

const INSPECT: &str = r#"[{"Name": "/registry", "Config": {"Image": "registry:2", "Env": ["REGISTRY_PROXY_REMOTEURL=https://mcr.microsoft.com",
    "REGISTRY_PROXY_PASSWORD=hunter2", "REGISTRY_PROXY_USERNAME=me"], "Entrypoint": ["/entrypoint.sh"]}, "HostConfig": {"PortBindings": {"5000/tcp": [{"HostPort": "5000"}]}},
    "Mounts": [{"Type": "volume", "Name": "registry", "Destination": "/var/lib/registry"}]}]"#;

#[test]
fn warnings_alone_are_no_failure_and_the_last_line_counts() {
    let (exit, out, err) = cistern(&[&data("iotedge_config_cli/deploymentTopLayer.json")]);
    assert_eq!((exit, err.as_str()), (Exit::Success, ""), "{out}");
    assert!(out.contains("deploymentTopLayer.json:"), "{out}");
    assert!(out.contains("warning: registry has no volume or bind for /var/lib/registry [registry-without-volume]"), "{out}");
    assert!(out.contains("    fix  add \"HostConfig\""), "{out}");
    assert!(
        out.ends_with("0 errors, 2 warnings, 3 notes in 1 file\n"),
        "{out}"
    );
}

#[test]
fn an_error_is_code_1_in_both_forms() {
    let folder = tempfile::tempdir().unwrap();
    let broken = top().replace("registry:5000", "cache:5000");
    let file = write(&folder, "top.json", &broken);
    let (exit, out, _) = cistern(&[&file]);
    assert_eq!(exit, Exit::Failure);
    assert!(out.contains("error: DOCKER_REQUEST_ROUTE_ADDRESS is `cache:5000`, and no module is called `cache` [route-to-nobody]"), "{out}");
    let (exit, out, _) = cistern(&["--format", "json", &file]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (exit, document["errors"].as_u64()),
        (Exit::Failure, Some(1))
    );
    let findings = document["findings"].as_array().unwrap();
    let found = findings
        .iter()
        .find(|finding| finding["rule"] == "route-to-nobody")
        .unwrap();
    assert_eq!(found["severity"], "error");
    assert!(found["at"]["line"].as_u64() > Some(20), "{found}");
}

#[test]
fn what_cannot_be_asked_is_misuse() {
    for words in [
        &[][..],
        &["/no/such.json"],
        &["a.json", "a.json"],
        &["--root", "/", "a.json"],
        &["--online"],
    ] {
        let (exit, out, err) = cistern(words);
        assert_eq!((exit, out.as_str()), (Exit::Misuse, ""), "{words:?}");
        assert!(!err.is_empty());
    }
}

#[test]
fn a_setting_that_the_registry_module_does_not_know_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let odd = top().replace(
        "\"REGISTRY_PROXY_REMOTEURL\"",
        "\"REGISTRY_PROXY_TLL\": {\"value\": \"1h\"}, \"REGISTRY_PROXY_REMOTEURL\"",
    );
    let (_, out, _) = cistern(&[&write(&folder, "top.json", &odd)]);
    assert!(
        out.contains("registry: REGISTRY_PROXY_TLL: ") && out.contains("[registry-setting]"),
        "{out}"
    );
}

#[test]
fn certificates_are_looked_for_below_the_root_and_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "hostname = \"a.example\"\ntrust_bundle_cert = \"file:///var/aziot/certs/root.pem\"\n";
    let config = write(&folder, "config.toml", text);
    let (exit, out, _) = cistern(&["--config-toml", &config]);
    assert_eq!(exit, Exit::Success);
    assert!(
        out.contains("warning: trust_bundle_cert: /var/aziot/certs/root.pem: ")
            && out.contains("[file-missing]"),
        "{out}"
    );
    let root = folder.path().display().to_string();
    let (exit, out, _) = cistern(&["--config-toml", &config, "--root", &root]);
    assert_eq!(exit, Exit::Failure);
    assert!(
        out.contains("error: trust_bundle_cert: /var/aziot/certs/root.pem: "),
        "{out}"
    );
    write(&folder, "root.pem", "nothing");
    let (_, out, _) = cistern(&["--config-toml", &config]);
    assert!(
        !out.contains("[file-missing]")
            && out.contains("[bad-certificate]")
            && !out.contains("[wrong-owner]"),
        "{out}"
    );
    std::fs::create_dir_all(folder.path().join("var/aziot/certs")).unwrap();
    write(&folder, "var/aziot/certs/root.pem", "nothing");
    let (_, out, _) = cistern(&["--config-toml", &config, "--root", &root]);
    assert!(out.contains("[wrong-owner]"), "{out}");
}

#[test]
fn the_swap_from_a_running_distribution_is_told_setting_by_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, "inspect.json", INSPECT);
    let (exit, out, err) = cistern(&["--from-distribution", &file]);
    assert_eq!((exit, err.as_str()), (Exit::Success, ""), "{out}");
    for part in [
        "registry, now registry:2",
        "instead of registry:2",
        "https://mcr.microsoft.com (REGISTRY_PROXY_REMOTEURL)",
        "scheduler-state.json",
        "5000 of the device, as before",
        "Nothing else is to be done.",
    ] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    assert!(!out.contains("hunter2"), "{out}");
}

#[test]
fn what_distribution_may_have_and_cistern_refuses_is_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder, "inspect.json", INSPECT);
    let config = write(
        &folder,
        "config.yml",
        "version: 0.1\nstorage:\n  s3:\n    bucket: b\n",
    );
    let (exit, out, _) = cistern(&["--from-distribution", &file, &config]);
    assert_eq!(exit, Exit::Failure, "{out}");
    assert!(
        out.contains("  refused") && out.contains("storage.s3") && out.contains("does not start"),
        "{out}"
    );
    let (exit, out, _) = cistern(&["--from-distribution", "--format", "json", &config]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (
            exit,
            &document["registries"][0]["lines"][0]["standing"] == "refused"
        ),
        (Exit::Failure, true),
        "{out}"
    );
}

#[test]
fn the_registry_of_a_manifest_can_be_swapped_too() {
    let (exit, out, _) = cistern(&[
        "--from-distribution",
        &data("iotedge_config_cli/deploymentTopLayer.json"),
    ]);
    assert_eq!(exit, Exit::Success, "{out}");
    assert!(
        out.contains("registry, now registry:latest")
            && out.contains("add \"Binds\": [\"registry:/var/lib/registry\"]"),
        "{out}"
    );
    assert!(
        out.ends_with("What is marked `do` is to be done; the rest stays as it is.\n"),
        "{out}"
    );
    let (exit, _, err) = cistern(&[
        "--from-distribution",
        &data("iotedge_config_cli/deploymentLowerLayer.json"),
    ]);
    assert_eq!(exit, Exit::Misuse);
    assert!(err.contains("has no registry module"), "{err}");
}
