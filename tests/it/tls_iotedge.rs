//! HTTPS with a certificate from IoT Edge's workload API (`http.tls.source: iotedge`).

use std::time::Duration;

use cistern_tests::caller::get;
use cistern_tests::registry::RegistryBuilder;
use cistern_tests::tls_tunnel::TlsTunnel;
use cistern_tests::workload_api::{Mood, WorkloadApi};
use cistern_tests::{addresses, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::common::SOON;
use crate::scene::{TAG_PATH, assert_served};
use crate::tls_scene::{TlsScene, shown_by};

/// A module on a gateway that is known by its address.
fn module(scene: &TlsScene, api: &WorkloadApi) -> RegistryBuilder {
    let cache = cistern_tests::cistern::mirror_of(&scene.upstream.url())
        .address(scene.address)
        .set("REGISTRY_HTTP_TLS_SOURCE", "iotedge");
    let gateway = scene.address.ip().to_string();
    let variables = api.environment(&gateway);
    variables
        .iter()
        .fold(cache, |cache, (name, value)| cache.set(name, value))
}

async fn serves(scene: &TlsScene) -> bool {
    let door = scene.door().await;
    get(TAG_PATH).send(&door.host()).await.status == 200
}

#[tokio::test]
async fn a_child_that_trusts_the_root_pulls_with_a_certificate_of_the_workload_api() {
    let scene = TlsScene::new().await;
    let api = WorkloadApi::start(scene.folder.path(), &scene.root);
    let cache = module(&scene, &api).start().await;
    cache
        .logs("certificate received from the workload API")
        .await;
    let door = scene.door().await;
    assert_served(
        &get(TAG_PATH).send(&door.host()).await,
        &scene.image.top().bytes,
    );
    assert_eq!(api.calls("POST /modules/registry%20%241/genid/"), 1);
    // The key is nowhere on the disk.
    let found = std::process::Command::new("grep")
        .args(["-rl", "PRIVATE KEY"])
        .arg(cache.store().path())
        .output()
        .unwrap();
    assert!(found.stdout.is_empty());
}

#[tokio::test]
async fn short_lived_certificates_are_renewed_again_and_again_without_a_lost_request() {
    let scene = TlsScene::new().await;
    let api = WorkloadApi::start(scene.folder.path(), &scene.root);
    api.issue_for(Duration::from_secs(6));
    let cache = module(&scene, &api).start().await;
    cache.logs("certificate received").await;
    let mut kept = scene.caller().connect(cache.address()).await.unwrap();
    let door = scene.door().await;
    let mut seen = Vec::new();
    eventually("three renewals", SOON, || async {
        assert_eq!(
            get(TAG_PATH).send(&door.host()).await.status,
            200,
            "{:?}",
            door.refusals()
        );
        api.calls("certificate/server") >= 4
    })
    .await;
    seen.extend(shown_by(&cache, &scene.caller()).await);
    assert_eq!(seen.len(), 1);
    // The first connection has outlived its certificate.
    kept.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    kept.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn without_the_workload_api_the_rest_works_and_tls_comes_with_it() {
    let scene = TlsScene::new().await;
    let mut api = WorkloadApi::away(scene.folder.path(), &scene.root);
    let plain = addresses::free();
    let cache = module(&scene, &api)
        .address(plain)
        .set("REGISTRY_HTTP_TLS_ADDR", &scene.address.to_string());
    let cache = cache.start().await;
    assert_served(
        &get(TAG_PATH).send(&cache.host()).await,
        &scene.image.top().bytes,
    );
    cache
        .logs("no certificate yet: TLS is refused until the workload API gives one")
        .await;
    let error = scene.caller().connect(scene.address).await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    cache.logs("reason=no_certificate").await;
    let ready = get("/readyz").send(&cache.host()).await;
    assert_eq!(ready.status, 200);
    let tls = &ready.json()["tls"];
    assert_eq!(tls["serving"], false);
    assert!(
        tls["trouble"]
            .as_str()
            .unwrap()
            .contains("cannot be reached at"),
        "{tls}"
    );
    api.appear();
    eventually("the certificate", SOON, || serves(&scene)).await;
    let tls = get("/readyz").send(&cache.host()).await.json()["tls"].clone();
    assert_eq!(
        (&tls["serving"], tls["trouble"].is_null()),
        (&true.into(), true)
    );
}

#[tokio::test]
async fn every_kind_of_trouble_is_told_and_got_over() {
    let scene = TlsScene::new().await;
    let api = WorkloadApi::start(scene.folder.path(), &scene.root);
    let plain = addresses::free();
    let cache = module(&scene, &api)
        .address(plain)
        .set("REGISTRY_HTTP_TLS_ADDR", &scene.address.to_string());
    api.set_mood(Mood::Refuses(403, "Module not found".to_owned()));
    let cache = cache.start().await;
    let huge = vec![b'x'; 2 << 20];
    let no_key = br#"{"privateKey":{"type":"ref","ref":"x"},"certificate":"","expiration":"x"}"#;
    for (mood, says) in [
        (
            Mood::Refuses(403, "Module not found".to_owned()),
            "not the module registry $1 (403: Module not found)",
        ),
        (
            Mood::Refuses(404, "gone".to_owned()),
            "no such thing (404: gone)",
        ),
        (
            Mood::Refuses(500, "certd is away".to_owned()),
            "answered 500: certd is away",
        ),
        (Mood::Says(b"<html>".to_vec()), "it is no JSON"),
        (Mood::Says(b"{}".to_vec()), "members are missing"),
        (Mood::Says(no_key.to_vec()), "no private key"),
        (Mood::Says(huge), "longer than 1024 KiB"),
        (Mood::Writes(b"SSH-2.0-x\r\n\r\n".to_vec()), "broke off"),
        (Mood::Writes(Vec::new()), "broke off"),
    ] {
        api.set_mood(mood);
        eventually(says, SOON, || async {
            let page = get("/readyz").send(&cache.host()).await.json();
            page["tls"]["trouble"]
                .as_str()
                .unwrap_or_default()
                .contains(says)
        })
        .await;
    }
    api.set_mood(Mood::Well);
    eventually("the certificate", SOON, || serves(&scene)).await;
}

#[tokio::test]
async fn while_it_cannot_be_renewed_the_certificate_before_is_shown() {
    let scene = TlsScene::new().await;
    let api = WorkloadApi::start(scene.folder.path(), &scene.root);
    api.issue_for(Duration::from_secs(30));
    let cache = module(&scene, &api).start().await;
    cache.logs("certificate received").await;
    let before = shown_by(&cache, &scene.caller()).await.unwrap();
    api.set_mood(Mood::Refuses(500, "certd is away".to_owned()));
    cache
        .logs("the certificate could not be renewed; the one before is still shown")
        .await;
    assert_eq!(shown_by(&cache, &scene.caller()).await.unwrap(), before);
    assert!(serves(&scene).await);
    api.set_mood(Mood::Well);
    eventually("the renewal", SOON, || async {
        shown_by(&cache, &scene.caller())
            .await
            .is_some_and(|shown| shown != before)
    })
    .await;
}

#[tokio::test]
async fn a_workload_api_that_is_silent_keeps_nothing_from_starting() {
    let scene = TlsScene::new().await;
    let api = WorkloadApi::start(scene.folder.path(), &scene.root);
    api.set_mood(Mood::Silent);
    let plain = addresses::free();
    let cache = module(&scene, &api)
        .address(plain)
        .set("REGISTRY_HTTP_TLS_ADDR", &scene.address.to_string());
    let cache = cache.start().await;
    assert_served(
        &get(TAG_PATH).send(&cache.host()).await,
        &scene.image.top().bytes,
    );
    eventually("giving up", SOON, || async {
        let log = cache.log();
        log.contains("the workload API did not answer within 30 s")
    })
    .await;
    api.set_mood(Mood::Well);
    eventually("the certificate", SOON, || serves(&scene)).await;
}

#[tokio::test]
async fn another_name_may_be_asked_for() {
    let scene = TlsScene::new().await;
    let api = WorkloadApi::start(scene.folder.path(), &scene.root);
    let cache = module(&scene, &api).set("REGISTRY_HTTP_TLS_COMMONNAME", "gateway.plant.example");
    let cache = cache.start().await;
    cache.logs("certificate received").await;
    let caller = scene.caller().calling("gateway.plant.example");
    let door = TlsTunnel::to(cache.address(), caller).await;
    assert_eq!(get("/v2/").send(&door.host()).await.status, 200);
}

#[tokio::test]
async fn outside_of_iot_edge_the_start_says_what_is_missing() {
    let scene = TlsScene::new().await;
    let cache = cistern_tests::cistern::mirror_of(&scene.upstream.url());
    let cache = cache.set("REGISTRY_HTTP_TLS_SOURCE", "iotedge");
    let (status, log) = cache.start_in_vain().await;
    assert!(!status.success());
    assert!(
        log.contains("http.tls.source") && log.contains("IOTEDGE_WORKLOADURI"),
        "{log}"
    );
}
