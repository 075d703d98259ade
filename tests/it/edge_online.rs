//! `cistern edge check --online`: whether what a deployment names can be pulled, and which hosts a firewall has to let through.

use std::path::{Path, PathBuf};

use cistern_tests::images::{Image, image, index};
use cistern_tests::process::{Ran, launch, run};
use cistern_tests::scripted_upstream::{Protection, ScriptedUpstream, Signed, TokenDesk};
use cistern_tests::{addresses, cistern};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::SOON;

/// A deployment of a lower layer with the images of these modules.
fn manifest(folder: &TempDir, images: &[&str]) -> PathBuf {
    let modules: serde_json::Map<String, Value> = images
        .iter()
        .enumerate()
        .map(|(number, image)| {
            let settings = serde_json::json!({ "image": image, "createOptions": "{}" });
            let module = serde_json::json!({
                "type": "docker", "status": "running", "restartPolicy": "always", "settings": settings,
            });
            (format!("module{number}"), module)
        })
        .collect();
    let system = |name: &str| {
        serde_json::json!({
            "type": "docker", "status": "running", "restartPolicy": "always",
            "settings": { "image": format!("$upstream:443/azureiotedge-{name}:1.5"), "createOptions": "{}" },
        })
    };
    let document = serde_json::json!({ "modulesContent": { "$edgeAgent": { "properties.desired": {
        "schemaVersion": "1.1",
        "runtime": { "type": "docker", "settings": {} },
        "systemModules": { "edgeAgent": system("agent"), "edgeHub": system("hub") },
        "modules": modules,
    } } } });
    let path = folder.path().join("lower.json");
    std::fs::write(&path, document.to_string()).unwrap();
    path
}

async fn check(manifest: &Path, more: &[&str], environment: &[(&str, &str)]) -> (Ran, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["edge", "check", "--online", "--format", "json"];
    arguments.extend(more);
    arguments.push(manifest.to_str().unwrap());
    let mut launch = launch(cistern::program(), folder.path(), arguments.iter().copied());
    for (name, value) in environment {
        launch
            .environment
            .push(((*name).to_owned(), (*value).to_owned()));
    }
    let ran = run(&launch, SOON).await;
    let told = serde_json::from_str(&ran.output).unwrap_or(Value::Null);
    (ran, told)
}

fn findings(told: &Value, rule: &str) -> Vec<String> {
    let findings = told["findings"].as_array().unwrap();
    let of_it = findings.iter().filter(|finding| finding["rule"] == rule);
    of_it.map(|finding| finding["what"].to_string()).collect()
}

fn hold_system_modules(upstream: &ScriptedUpstream, image: &Image) {
    for name in ["agent", "hub", "api-proxy", "diagnostics"] {
        upstream.hold(image, &format!("azureiotedge-{name}"), &["1.5", "1.1"]);
    }
}

#[tokio::test]
async fn every_host_that_a_pull_needs_is_listed_and_no_layer_is_downloaded() {
    let (upstream, storage) = (
        ScriptedUpstream::start().await,
        ScriptedUpstream::start().await,
    );
    let tokens = ScriptedUpstream::start().await;
    let (one, other) = (
        image().random_layers(1, 2, 100_000),
        image().random_layers(2, 2, 100_000),
    );
    let app = index(&[one.platform("amd64", None), other.platform("arm64", None)]);
    upstream.hold(&app, "team/app", &["v1"]);
    hold_system_modules(&upstream, &app);
    storage.hold(&app, "team/app", &[]);
    upstream.redirect_blobs_to(&storage, 307, Signed::default());
    let desk = TokenDesk::new();
    desk.open_at(&tokens, "/token");
    upstream.protect(Protection::Bearer(desk));
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest(
        &folder,
        &["$upstream:443/team/app:v1", "$upstream:443/team/none:v1"],
    );
    let environment = [("REGISTRY_PROXY_REMOTEURL", &*upstream.url())];
    let (ran, told) = check(&manifest, &[], &environment).await;
    assert!(!told.is_null(), "{ran:?}");
    let hosts = told["hosts"].as_array().unwrap();
    for (server, role) in [
        (&upstream, "registry"),
        (&tokens, "realm"),
        (&storage, "redirect"),
    ] {
        let (host, port) = (server.address().ip().to_string(), server.address().port());
        let is_it = |found: &&Value| {
            found["host"] == *host && found["port"] == port && found["role"] == role
        };
        let found = hosts.iter().find(is_it);
        let found = found.unwrap_or_else(|| panic!("{role} {host}:{port} is not in {hosts:?}"));
        assert!(found["trouble"].is_null());
    }
    let missing = findings(&told, "image-missing");
    assert!(
        missing.len() == 1 && missing[0].contains("team/none:v1"),
        "{told:#}"
    );
    assert_eq!(findings(&told, "platform-missing"), Vec::<String>::new());
    assert!(
        storage.bytes_sent() < 50_000,
        "the first byte of a layer is enough"
    );
}

#[tokio::test]
async fn a_running_cache_is_asked_as_a_device_asks_and_a_missing_platform_is_named() {
    let upstream = ScriptedUpstream::start().await;
    let (one, other) = (
        image().random_layers(3, 1, 100),
        image().random_layers(4, 1, 100),
    );
    let app = index(&[
        one.platform("amd64", None),
        other.platform("arm", Some("v7")),
    ]);
    upstream.hold(&app, "team/app", &["v1"]);
    // The first is a child: the last is the list.
    upstream.forget("team/app", &app.manifests[0].digest);
    hold_system_modules(&upstream, &image().random_layers(5, 1, 100).build());
    let cache = cistern::mirror_of(&upstream.url()).start().await;
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest(&folder, &["$upstream:443/team/app:v1"]);
    let (_, told) = check(&manifest, &["--cache", &cache.url()], &[]).await;
    let named = findings(&told, "platform-missing");
    assert!(
        named.len() == 1 && named[0].contains("team/app:v1 for linux/"),
        "{told:#}"
    );
    assert_eq!(findings(&told, "image-missing"), Vec::<String>::new());
}

#[tokio::test]
async fn a_registry_that_does_not_answer_and_nobody_to_ask_are_told() {
    let nowhere = format!("http://{}", addresses::refused());
    let folder = tempfile::tempdir().unwrap();
    let manifest = manifest(&folder, &["$upstream:443/team/app:v1"]);
    let (_, told) = check(&manifest, &["--cache", &nowhere], &[]).await;
    assert!(
        !findings(&told, "registry-unreachable").is_empty(),
        "{told:#}"
    );
    assert!(told["hosts"][0]["trouble"].is_string(), "{told:#}");
    let (ran, _) = check(&manifest, &[], &[]).await;
    assert!(
        ran.output.contains("it is not known whom to ask"),
        "{ran:?}"
    );
}
