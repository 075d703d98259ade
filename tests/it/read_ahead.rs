//! Read-ahead: who was given an image's manifest will ask for its blobs, and finds them here or on their way.

use std::time::Duration;

use cistern_tests::caller::{get, head};
use cistern_tests::images::{Image, image, index};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, ScriptedUpstream};

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, assert_manifest, blob_path, kept, manifest_path, whole_gets,
};
use crate::scene::cache_of;

/// A cache that reads ahead, or does not, and an upstream that holds an image of three layers under a tag.
async fn scene(on: &str) -> (ScriptedUpstream, Registry, Image) {
    let upstream = ScriptedUpstream::start().await;
    let image = image().random_layers(1, 3, MIB).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let cache = cache_of(&upstream, &[("PROXY_READAHEAD", on)])
        .start()
        .await;
    (upstream, cache, image)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blobs_of_a_served_image_are_fetched_before_they_are_asked_for_and_once() {
    let (upstream, cache, image) = scene("true").await;
    let path = manifest_path(REPOSITORY, "v1");
    assert_manifest(&get(&path).send(&cache.host()).await, image.top());
    for blob in &image.blobs {
        kept(&cache, &blob.digest).await;
    }
    for blob in &image.blobs {
        let path = blob_path(REPOSITORY, &blob.digest);
        assert_blob(&get(&path).send(&cache.host()).await, blob);
        assert_eq!(upstream.count("*", &path), 1);
    }
    // Served again, there is nothing left to fetch.
    assert_manifest(&get(&path).send(&cache.host()).await, image.top());
    assert_eq!(upstream.count("GET", "/v2/*/blobs/*"), image.blobs.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_while_a_blob_is_fetched_ahead_joins_it() {
    let (upstream, cache, image) = scene("true").await;
    let (layer, gate) = (image.largest_blob(), Gate::new());
    let path = blob_path(REPOSITORY, &layer.digest);
    upstream.on("GET", &path, Answer::held().stops_at(MIB / 2, &gate));
    let manifest = manifest_path(REPOSITORY, image.digest());
    assert_manifest(&get(&manifest).send(&cache.host()).await, image.top());
    gate.wait_reached(1, SOON).await;
    let mut opened = get(&path).open(&cache.host()).await.unwrap();
    let mut body = opened.read(MIB / 4).await.to_vec();
    gate.open();
    let answer = opened.finish().await;
    body.extend_from_slice(&answer.body);
    assert!(
        answer.is_complete() || body == layer.bytes,
        "{:?}",
        answer.ended
    );
    assert_eq!(whole_gets(&upstream, &path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_ahead_for_a_head_an_index_or_by_default() {
    let (upstream, cache, image) = scene("true").await;
    let both = index(&[
        cistern_tests::images::image().random_layers(2, 1, 1000),
        cistern_tests::images::image()
            .platform("arm64", None)
            .random_layers(3, 1, 1000),
    ]);
    upstream.hold(&both, REPOSITORY, &["both"]);
    let path = manifest_path(REPOSITORY, "v1");
    assert_eq!(head(&path).send(&cache.host()).await.status, 200);
    let path = manifest_path(REPOSITORY, "both");
    assert_manifest(&get(&path).send(&cache.host()).await, both.top());
    let (others, by_default, theirs) = scene("false").await;
    let path = manifest_path(REPOSITORY, "v1");
    assert_manifest(&get(&path).send(&by_default.host()).await, theirs.top());
    // Nothing shows outside that nothing happens: whatever would have come, has come by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(upstream.count("GET", "/v2/*/blobs/*"), 0);
    assert_eq!(others.count("GET", "/v2/*/blobs/*"), 0);
    assert_eq!(image.blobs.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_blobs_are_fetched_at_once_than_may_be() {
    let upstream = ScriptedUpstream::start().await;
    let image = image().random_layers(4, 6, MIB).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let settings = [("PROXY_READAHEAD", "true"), ("PROXY_DOWNLOADS", "2")];
    let cache = cache_of(&upstream, &settings).start().await;
    let gate = Gate::new();
    upstream.on("GET", "/v2/*/blobs/*", Answer::held().behind(&gate));
    let path = manifest_path(REPOSITORY, "v1");
    assert_manifest(&get(&path).send(&cache.host()).await, image.top());
    gate.wait_reached(2, SOON).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(gate.reached(), 2);
    gate.open();
    for blob in &image.blobs {
        kept(&cache, &blob.digest).await;
    }
}
