//! `warm.holdback`: a tag moves when all of the new image is here, not before, and whatever happens to the link meanwhile.

use cistern_tests::caller::{Answered, get};
use cistern_tests::eventually;
use cistern_tests::images::{Image, image};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, ScriptedUpstream};

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, assert_manifest, blob_path, manifest_path, pull,
    pull_by_digest,
};
use crate::scene::{cache_of, is_stale};
use crate::warm::{metric, ready};

const HELD_BACK: &str = "cistern_held_back_tags";

fn build(seed: u64) -> Image {
    image().random_layers(seed, 2, MIB).build()
}

fn settings<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut settings = vec![
        ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true"),
        ("WARM_IMAGES", "team/app:v1"),
        ("WARM_HOLDBACK", "true"),
        ("PROXY_CHECKEVERY", "100ms"),
        ("WARM_EVERY", "1s"),
    ];
    settings.extend_from_slice(more);
    settings
}

/// A cache that has all of the first image.
async fn scene(more: &[(&str, &str)]) -> (ScriptedUpstream, Registry, Image) {
    let upstream = ScriptedUpstream::start().await;
    let first = build(1);
    upstream.hold(&first, REPOSITORY, &["v1"]);
    let cache = cache_of(&upstream, &settings(more)).start().await;
    ready(&cache, 1).await;
    (upstream, cache, first)
}

async fn tag(cache: &Registry) -> Answered {
    get(&manifest_path(REPOSITORY, "v1"))
        .send(&cache.host())
        .await
}

async fn held_back(cache: &Registry, count: u64) {
    eventually("holding the tag back", SOON, || async {
        tag(cache).await;
        metric(cache, HELD_BACK).await == count
    })
    .await;
}

/// Waits until the tag means this.
async fn means(cache: &Registry, image: &Image) {
    eventually("moving the tag", SOON, || async {
        tag(cache).await.body == image.top().bytes
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_get_the_old_image_until_all_of_the_new_one_is_here_and_can_have_the_new_one_by_digest()
 {
    let (upstream, cache, first) = scene(&[]).await;
    let (second, gate) = (build(2), Gate::new());
    let layer = second.largest_blob();
    let path = blob_path(REPOSITORY, &layer.digest);
    upstream.hold(&second, REPOSITORY, &["v1"]);
    upstream.on("GET", &path, Answer::held().stops_at(MIB / 2, &gate));
    held_back(&cache, 1).await;
    gate.wait_reached(1, SOON).await;
    for _ in 0..5 {
        let old = tag(&cache).await;
        assert_manifest(&old, first.top());
        assert!(!is_stale(&old), "that it is old is our own decision");
        tokio::time::sleep(std::time::Duration::from_millis(120)).await;
    }
    let new = get(&manifest_path(REPOSITORY, second.digest()));
    assert_manifest(&new.send(&cache.host()).await, second.top());
    gate.open();
    means(&cache, &second).await;
    assert_eq!(metric(&cache, HELD_BACK).await, 0);
    upstream.stop().await;
    pull(&cache, REPOSITORY, "v1", &second).await;
    pull_by_digest(&cache, REPOSITORY, &first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_holdback_and_with_nothing_old_a_tag_moves_at_once() {
    let upstream = ScriptedUpstream::start().await;
    let (first, second, gate) = (build(1), build(2), Gate::new());
    upstream.on("GET", "/v2/*/blobs/*", Answer::held().behind(&gate));
    upstream.hold(&first, REPOSITORY, &["v1"]);
    let strict = settings(&[]);
    let cache = cache_of(&upstream, &strict).start().await;
    gate.wait_reached(1, SOON).await;
    assert_manifest(&tag(&cache).await, first.top());
    // The first one is not here either: children would miss as much of it.
    upstream.hold(&second, REPOSITORY, &["v1"]);
    means(&cache, &second).await;
    gate.open();
    ready(&cache, 1).await;
    let plain = cache_of(&upstream, &settings(&[("WARM_HOLDBACK", "false")]))
        .start()
        .await;
    ready(&plain, 1).await;
    let (third, gate) = (build(3), Gate::new());
    let path = blob_path(REPOSITORY, &third.largest_blob().digest);
    upstream.on("GET", &path, Answer::held().behind(&gate));
    upstream.hold(&third, REPOSITORY, &["v1"]);
    means(&plain, &third).await;
    gate.open();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_changes_only_the_newest_is_pursued() {
    let (upstream, cache, first) = scene(&[]).await;
    let (second, third, gate) = (build(2), build(3), Gate::new());
    let path = blob_path(REPOSITORY, &second.largest_blob().digest);
    let rule = upstream.on("GET", &path, Answer::held().behind(&gate));
    upstream.hold(&second, REPOSITORY, &["v1"]);
    held_back(&cache, 1).await;
    gate.wait_reached(1, SOON).await;
    assert_manifest(&tag(&cache).await, first.top());
    upstream.hold(&third, REPOSITORY, &["v1"]);
    let known = manifest_path(REPOSITORY, third.digest());
    eventually("seeing the third image", SOON, || async {
        assert_manifest(&tag(&cache).await, first.top());
        upstream.count("GET", &known) > 0
    })
    .await;
    assert_manifest(&tag(&cache).await, first.top());
    rule.remove();
    gate.open();
    eventually("moving to the third image", SOON, || async {
        let body = tag(&cache).await.body;
        assert!(
            body != second.top().bytes,
            "the second is not wanted any more"
        );
        body == third.top().bytes
    })
    .await;
    assert_eq!(metric(&cache, HELD_BACK).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_taken_back_ends_the_holding_back() {
    let (upstream, cache, first) = scene(&[]).await;
    let (second, gate) = (build(2), Gate::new());
    let path = blob_path(REPOSITORY, &second.largest_blob().digest);
    upstream.on("GET", &path, Answer::held().behind(&gate));
    upstream.hold(&second, REPOSITORY, &["v1"]);
    held_back(&cache, 1).await;
    upstream.set_tag(REPOSITORY, "v1", Some(first.digest()));
    held_back(&cache, 0).await;
    gate.open();
    for _ in 0..10 {
        assert_manifest(&tag(&cache).await, first.top());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_finds_the_new_image_again() {
    let (upstream, mut cache, first) = scene(&[("PROXY_STRICT", "team/app:v1")]).await;
    let (second, gate) = (build(2), Gate::new());
    let path = blob_path(REPOSITORY, &second.largest_blob().digest);
    let rule = upstream.on("GET", &path, Answer::held().stops_at(MIB / 2, &gate));
    upstream.hold(&second, REPOSITORY, &["v1"]);
    held_back(&cache, 1).await;
    gate.wait_reached(1, SOON).await;
    cache.kill();
    cache.start().await;
    assert_manifest(&tag(&cache).await, first.top());
    held_back(&cache, 1).await;
    assert_manifest(&tag(&cache).await, first.top());
    rule.remove();
    gate.open();
    means(&cache, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_link_dies_half_way_the_old_image_is_served_as_what_it_is_then() {
    let (upstream, cache, first) = scene(&[]).await;
    let (second, gate) = (build(2), Gate::new());
    let path = blob_path(REPOSITORY, &second.largest_blob().digest);
    let rule = upstream.on("GET", &path, Answer::held().stops_at(MIB / 2, &gate));
    upstream.hold(&second, REPOSITORY, &["v1"]);
    held_back(&cache, 1).await;
    gate.wait_reached(1, SOON).await;
    upstream.stop().await;
    eventually("serving it unconfirmed", SOON, || async {
        let old = tag(&cache).await;
        assert_manifest(&old, first.top());
        is_stale(&old)
    })
    .await;
    pull(&cache, REPOSITORY, "v1", &first).await;
    rule.remove();
    gate.open();
    upstream.start_again().await;
    means(&cache, &second).await;
}

/// The property: whatever moment the link is cut at, a child that pulls by tag finds everything here.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_never_sees_a_tag_whose_layers_are_not_here() {
    let (upstream, cache, first) = scene(&[]).await;
    let mut images = vec![first];
    for round in 0_u64..6 {
        let next = build(100 + round);
        upstream.hold(&next, REPOSITORY, &["v1"]);
        images.push(next);
        // Seen by a check, and cut somewhere in what follows.
        tag(&cache).await;
        let pause = round * 37 % 230;
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        upstream.stop().await;
        let by_tag = tag(&cache).await;
        assert_eq!(by_tag.status, 200, "{}", by_tag.text());
        let seen = images
            .iter()
            .find(|image| image.top().bytes == by_tag.body)
            .unwrap();
        for blob in &seen.blobs {
            let path = blob_path(REPOSITORY, &blob.digest);
            assert_blob(&get(&path).send(&cache.host()).await, blob);
        }
        upstream.start_again().await;
    }
    let last = images.last().unwrap();
    means(&cache, last).await;
}
