//! `proxy.ttl`: what nobody used for that long goes, and never while it could not be fetched again.

use cistern_tests::caller::get;
use cistern_tests::cistern::mirror_of;
use cistern_tests::eventually;
use cistern_tests::images::{Image, image};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::ScriptedUpstream;

use crate::common::{REPOSITORY, SOON, assert_manifest, manifest_path, pull, pull_and_keep};

fn two() -> (Image, Image) {
    let shared = cistern_tests::images::Layer::random(9, 5000);
    let one = |seed| {
        image()
            .layer(shared.clone())
            .random_layers(seed, 2, 5000)
            .build()
    };
    (one(1), one(2))
}

async fn cache_with_ttl(upstream: &ScriptedUpstream, ttl: &str) -> Registry {
    mirror_of(&upstream.url())
        .set("REGISTRY_PROXY_TTL", ttl)
        .set("REGISTRY_PROXY_CHECKEVERY", "1h")
        .start()
        .await
}

fn holds_all(cache: &Registry, image: &Image) -> bool {
    let items = image.blobs.iter().chain(&image.manifests);
    items
        .into_iter()
        .all(|item| cache.store().blob_file(&item.digest).is_file())
}

fn holds_none_but(cache: &Registry, image: Option<&Image>) -> bool {
    let kept = |digest: &String| {
        image.is_some_and(|image| {
            image
                .blobs
                .iter()
                .chain(&image.manifests)
                .any(|item| item.digest == *digest)
        })
    };
    cache.store().digests().iter().all(kept)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_used_for_the_ttl_goes_and_what_is_used_stays() {
    let upstream = ScriptedUpstream::start().await;
    let (used, unused) = two();
    upstream.hold(&used, REPOSITORY, &["used"]);
    upstream.hold(&unused, REPOSITORY, &["unused"]);
    let cache = cache_with_ttl(&upstream, "4s").await;
    pull_and_keep(&cache, REPOSITORY, "used", &used).await;
    pull_and_keep(&cache, REPOSITORY, "unused", &unused).await;
    let path = manifest_path(REPOSITORY, "used");
    eventually("expiring what is unused", SOON, || async {
        assert_manifest(&get(&path).send(&cache.host()).await, used.top());
        assert!(
            holds_all(&cache, &used),
            "what a used manifest names is used with it"
        );
        holds_none_but(&cache, Some(&used))
    })
    .await;
    assert_eq!(cache.store().tag(REPOSITORY, "unused"), None);
    let before = upstream.count("GET", "/v2/*");
    pull(&cache, REPOSITORY, "used", &used).await;
    assert_eq!(upstream.count("GET", "/v2/*"), before);
    pull(&cache, REPOSITORY, "unused", &unused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ttl_everything_is_kept() {
    for ttl in ["", "0", "0s"] {
        let upstream = ScriptedUpstream::start().await;
        let (held, _) = two();
        upstream.hold(&held, REPOSITORY, &["v1"]);
        let mut cache = cache_with_ttl(&upstream, ttl).await;
        if ttl.is_empty() {
            cache.unset("REGISTRY_PROXY_TTL");
            cache.restart().await;
        }
        pull_and_keep(&cache, REPOSITORY, "v1", &held).await;
        cache.restart().await;
        cache.restart().await;
        assert!(holds_all(&cache, &held));
    }
}

/// Waits for some rounds of expiring that drop nothing because the upstream is away.
async fn spared(cache: &Registry, held: &Image, rounds: usize) {
    let before = cache.log().matches("nothing is expired").count();
    eventually("looking for unused things", SOON, || async {
        assert!(
            holds_all(cache, held),
            "dropped while the upstream was away:\n{}",
            cache.log()
        );
        cache.log().matches("nothing is expired").count() >= before + rounds
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_expired_while_the_upstream_is_unreachable() {
    let upstream = ScriptedUpstream::start().await;
    let (held, _) = two();
    upstream.hold(&held, REPOSITORY, &["v1"]);
    let mut cache = cache_with_ttl(&upstream, "2s").await;
    pull_and_keep(&cache, REPOSITORY, "v1", &held).await;
    upstream.stop().await;
    spared(&cache, &held, 4).await;
    cache.restart().await;
    spared(&cache, &held, 4).await;
    tokio::time::timeout(SOON, pull(&cache, REPOSITORY, "v1", &held))
        .await
        .unwrap();
    upstream.start_again().await;
    eventually(
        "expiring, now that it can be fetched again",
        SOON,
        || async { holds_none_but(&cache, None) },
    )
    .await;
    pull(&cache, REPOSITORY, "v1", &held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_expired_while_the_upstream_swallows_everything() {
    let upstream = ScriptedUpstream::start().await;
    let (held, _) = two();
    upstream.hold(&held, REPOSITORY, &["v1"]);
    let cache = cache_with_ttl(&upstream, "3s").await;
    pull_and_keep(&cache, REPOSITORY, "v1", &held).await;
    upstream.black_hole(true);
    spared(&cache, &held, 1).await;
    upstream.black_hole(false);
    eventually(
        "expiring, now that it can be fetched again",
        SOON,
        || async { holds_none_but(&cache, None) },
    )
    .await;
}
