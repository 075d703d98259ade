//! Tags that the operator wants to be current or not at all: a roll-out that cannot be confirmed is an error that somebody sees.

use cistern_tests::eventually;
use cistern_tests::scripted_upstream::Answer;

use crate::scene::{
    REPOSITORY, SOON, Scene, TAG, TAG_PATH, assert_refused, assert_served, blob, error, is_stale,
    manifest,
};

const SETTINGS: &[(&str, &str)] = &[
    ("PROXY_CHECKEVERY", "0s"),
    ("PROXY_CHECKDEADLINE", "500ms"),
    ("PROXY_STRICT", "team/*:v1"),
];

#[tokio::test]
async fn a_strict_tag_is_refused_rather_than_served_unconfirmed() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.stop().await;
    for _ in 0..2 {
        let answer = scene.get(TAG_PATH).await;
        let says = [
            "proxy.strict",
            &*scene.upstream.host(),
            "could not be reached",
        ];
        assert_refused(&answer, 503, "UNAVAILABLE", &says);
        assert!(answer.header("Retry-After").is_some());
        assert_eq!(error(&answer)["detail"]["setting"], "proxy.strict");
    }
    // Digests need no confirmation.
    let by_digest = scene.get(&manifest(scene.image.digest())).await;
    assert_served(&by_digest, &scene.image.top().bytes);
    let layer = scene.image.largest_blob();
    assert_served(&scene.get(&blob(&layer.digest)).await, &layer.bytes);
}

#[tokio::test]
async fn other_tags_are_served_unconfirmed_beside_a_strict_one() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.hold(&scene.image, REPOSITORY, &["v2"]);
    assert_served(&scene.get(&manifest("v2")).await, &scene.image.top().bytes);
    scene.upstream.stop().await;
    let other = scene.get(&manifest("v2")).await;
    assert_served(&other, &scene.image.top().bytes);
    assert!(is_stale(&other));
    assert_eq!(scene.get(TAG_PATH).await.status, 503);
}

#[tokio::test]
async fn a_strict_tag_is_served_again_when_the_link_is_back() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.stop().await;
    assert_eq!(scene.get(TAG_PATH).await.status, 503);
    let next = scene.move_tag();
    scene.upstream.start_again().await;
    eventually("serving the moved tag", SOON, || async {
        scene.get(TAG_PATH).await.status == 200
    })
    .await;
    let answer = scene.get(TAG_PATH).await;
    assert_served(&answer, &next.top().bytes);
    assert!(!is_stale(&answer));
}

#[tokio::test]
async fn a_strict_tag_is_refused_when_the_upstream_is_limited_or_broken() {
    for status in [429, 502] {
        let scene = Scene::warm(SETTINGS).await;
        scene.upstream.on("*", "/v2/*", Answer::status(status));
        let answer = scene.get(TAG_PATH).await;
        assert_refused(
            &answer,
            503,
            "UNAVAILABLE",
            &["proxy.strict", &status.to_string()],
        );
    }
}

#[tokio::test]
async fn a_strict_tag_that_is_gone_is_told_to_be_gone() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.set_tag(REPOSITORY, TAG, None);
    let answer = scene.get(TAG_PATH).await;
    assert_refused(&answer, 404, "MANIFEST_UNKNOWN", &["answered 404"]);
}
