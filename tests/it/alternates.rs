//! Several addresses of one upstream: the next is asked where one does not answer.

use cistern_tests::addresses;
use cistern_tests::cistern::mirror_of;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Cut, Protection, ScriptedUpstream, TokenDesk};

use crate::scene::{
    REPOSITORY, Scene, TAG, TAG_PATH, assert_refused, configured, is_stale, upstream,
};

/// A cache whose upstream has the first address and then these.
async fn cache_of(first: &str, others: &[&str], settings: &[(&str, &str)]) -> Registry {
    let builder = mirror_of(first).set("REGISTRY_PROXY_ALTERNATES", &others.join(","));
    configured(builder, settings).start().await
}

#[tokio::test]
async fn an_image_is_pulled_from_the_next_address_while_the_first_is_away() {
    let (alive, image) = upstream().await;
    let dead = format!("http://{}", addresses::refused());
    let cache = cache_of(&dead, &[&alive.url()], &[]).await;
    let scene = Scene {
        upstream: alive,
        image,
        cache,
    };
    scene.pull().await;
    let tags = scene.get("/v2/team/app/tags/list").await;
    assert_eq!(tags.json()["tags"][0], TAG);
}

#[tokio::test]
async fn addresses_are_asked_in_their_order_and_only_as_far_as_needed() {
    let (first, image) = upstream().await;
    let second = ScriptedUpstream::start().await;
    second.hold(&image, REPOSITORY, &[TAG]);
    let cache = cache_of(
        &first.url(),
        &[&second.url()],
        &[("PROXY_CHECKEVERY", "0s")],
    )
    .await;
    let scene = Scene {
        upstream: first,
        image,
        cache,
    };
    scene.pull().await;
    assert!(second.requests().is_empty());

    // The first is lost: its tags stay what they are, and are confirmed by the second without a word of staleness.
    scene.upstream.stop().await;
    let answer = scene.get(TAG_PATH).await;
    assert!(
        answer.status == 200 && !is_stale(&answer),
        "{}",
        answer.text()
    );
    assert_eq!(second.count("HEAD", TAG_PATH), 1);
}

#[tokio::test]
async fn a_body_that_breaks_goes_on_from_the_next_address() {
    let (first, image) = upstream().await;
    let second = ScriptedUpstream::start().await;
    second.hold(&image, REPOSITORY, &[TAG]);
    let cache = cache_of(&first.url(), &[&second.url()], &[]).await;
    let scene = Scene {
        upstream: first,
        image,
        cache,
    };
    scene.get(TAG_PATH).await;
    let blobs = format!("/v2/{REPOSITORY}/blobs/*");
    scene.upstream.on("*", &blobs, Answer::hang_up(Cut::Reset));
    scene.pull().await;
    assert!(second.count("GET", &blobs) >= 1);
}

#[tokio::test]
async fn an_answer_of_the_first_is_no_reason_to_ask_the_next() {
    let (second, _) = upstream().await;
    let first = ScriptedUpstream::start().await;
    let cache = cache_of(&first.url(), &[&second.url()], &[]).await;
    let missing = cistern_tests::caller::get(TAG_PATH)
        .send(&cache.host())
        .await;
    assert_refused(&missing, 404, "MANIFEST_UNKNOWN", &[&first.host()]);
    assert!(second.requests().is_empty());
}

#[tokio::test]
async fn where_no_address_answers_the_first_is_named() {
    let (first, second) = (addresses::refused(), addresses::refused());
    let cache = cache_of(&format!("http://{first}"), &[&second.to_string()], &[]).await;
    let refused = cistern_tests::caller::get(TAG_PATH)
        .send(&cache.host())
        .await;
    assert_refused(&refused, 503, "UNAVAILABLE", &[&first.to_string()]);
}

#[tokio::test]
async fn each_address_gets_the_credentials_by_its_own_token_server() {
    let (alive, image) = upstream().await;
    alive.protect(Protection::Bearer(
        TokenDesk::new().only_for("cache", "s3cret"),
    ));
    let dead = format!("http://{}", addresses::refused());
    let user = [("PROXY_USERNAME", "cache"), ("PROXY_PASSWORD", "s3cret")];
    let cache = cache_of(&dead, &[&alive.url()], &user).await;
    let scene = Scene {
        upstream: alive,
        image,
        cache,
    };
    scene.pull().await;
    assert!(!scene.cache.log().contains("s3cret"));
}
