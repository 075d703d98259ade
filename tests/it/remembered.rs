//! What an upstream refused is remembered for a moment, so that a herd costs one question; and no longer, so that a push is seen.

use std::time::{Duration, Instant};

use cistern_tests::eventually;
use cistern_tests::images::{Item, image};
use cistern_tests::scripted_upstream::{Answer, Protection, TokenDesk};

use crate::scene::{
    REPOSITORY, SOON, Scene, TAG_PATH, assert_refused, assert_served, blob, manifest,
};

/// How many requests reach the upstream when a path is asked for `times` times in a row.
async fn asked(scene: &Scene, path: &str, times: usize, status: u16) -> usize {
    let before = scene.upstream.requests().len();
    for _ in 0..times {
        let answer = scene.get(path).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    scene.upstream.requests().len() - before
}

#[tokio::test]
async fn a_missing_tag_is_asked_for_once_and_is_seen_soon_after_its_push() {
    let scene = Scene::new().await;
    let began = Instant::now();
    // HEAD, and GET because some upstreams refuse every HEAD.
    assert_eq!(asked(&scene, &manifest("v2"), 5, 404).await, 2);
    let pushed = image().random_layers(5, 1, 1000).build();
    scene.upstream.hold(&pushed, REPOSITORY, &["v2"]);
    assert_eq!(asked(&scene, &manifest("v2"), 1, 404).await, 0);
    eventually("seeing the push", SOON, || async {
        scene.get(&manifest("v2")).await.status == 200
    })
    .await;
    assert!(
        began.elapsed() > Duration::from_secs(5),
        "it was not remembered"
    );
}

#[tokio::test]
async fn a_missing_manifest_is_asked_for_once_and_is_seen_soon_after_its_push() {
    let scene = Scene::new().await;
    let pushed = image().random_layers(5, 1, 1000).build();
    let path = manifest(pushed.digest());
    assert_eq!(asked(&scene, &path, 5, 404).await, 1);
    scene.upstream.hold(&pushed, REPOSITORY, &[]);
    eventually("seeing the push", SOON, || async {
        scene.get(&path).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_missing_signature_is_asked_for_once() {
    let scene = Scene::warm(&[]).await;
    let hex = scene.image.digest().replace(':', "-");
    for suffix in ["sig", "att", "sbom"] {
        let path = manifest(&format!("{hex}.{suffix}"));
        let answer = scene.get(&path).await;
        assert_refused(&answer, 404, "MANIFEST_UNKNOWN", &["answered 404"]);
        assert_eq!(asked(&scene, &path, 5, 404).await, 0, "{suffix}");
    }
}

#[tokio::test]
async fn a_missing_blob_is_never_remembered() {
    let scene = Scene::new().await;
    let layer = Item::random(11, 5000);
    let path = blob(&layer.digest);
    assert!(asked(&scene, &path, 3, 404).await >= 3);
    scene.upstream.hold_blob(&layer, REPOSITORY);
    assert_served(&scene.get(&path).await, &layer.bytes);
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_few_seconds() {
    let scene = Scene::new().await;
    scene.upstream.on("*", "/v2/*", Answer::status(501));
    for path in [
        &*manifest("v1"),
        &manifest(scene.image.digest()),
        &scene.layer(),
    ] {
        assert_eq!(scene.get(path).await.status, 503);
        assert_eq!(asked(&scene, path, 5, 503).await, 0, "{path}");
    }
    assert_eq!(scene.get("/v2/team/app/tags/list").await.status, 503);
    assert_eq!(asked(&scene, "/v2/team/app/tags/list", 5, 503).await, 0);
    scene.upstream.forget_script();
    eventually("asking again", SOON, || async {
        scene.get(TAG_PATH).await.status == 200 && scene.get(&scene.layer()).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_refused_password_is_not_remembered() {
    let wrong = [("PROXY_USERNAME", "cache"), ("PROXY_PASSWORD", "wrong")];
    let scene = Scene::with(&wrong).await;
    scene.upstream.protect(Protection::basic("cache", "right"));
    let times = 3;
    assert!(asked(&scene, TAG_PATH, times, 403).await >= times);
    assert!(asked(&scene, &scene.layer(), times, 403).await >= times);
    scene.upstream.protect(Protection::basic("cache", "wrong"));
    scene.pull().await;
}

#[tokio::test]
async fn a_refusal_that_may_be_about_permission_is_not_remembered() {
    let scene = Scene::new().await;
    scene
        .upstream
        .protect(Protection::Bearer(TokenDesk::new().only_for("a", "b")));
    let times = 3;
    assert!(asked(&scene, TAG_PATH, times, 404).await >= times);
    scene.upstream.protect(Protection::Open);
    scene.pull().await;
}

#[tokio::test]
async fn a_herd_that_asks_for_a_missing_tag_costs_one_question() {
    let scene = Scene::new().await;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let host = scene.cache.host();
        let path = manifest("missing");
        callers.spawn(async move { cistern_tests::caller::get(&path).send(&host).await.status });
    }
    assert!(callers.join_all().await.iter().all(|status| *status == 404));
    assert_eq!(scene.upstream.count("GET", &manifest("missing")), 1);
    assert_eq!(scene.upstream.count("HEAD", &manifest("missing")), 1);
}
