//! A cache starts and serves what it holds, whatever has become of its upstream.

use std::time::Duration;

use cistern_tests::addresses;
use cistern_tests::caller::{get, head};
use cistern_tests::cistern::mirror_of;
use cistern_tests::images::{Image, image, index};
use cistern_tests::scripted_upstream::ScriptedUpstream;
use cistern_tests::store::Store;

use crate::common::{
    REPOSITORY, assert_manifest, at_once, blob_path, manifest_path, pull, pull_by_digest,
};

fn picture() -> Image {
    index(&[
        image().random_layers(1, 2, 40_000),
        image()
            .platform("arm64", None)
            .random_layers(2, 1, 1_500_000),
    ])
}

async fn assert_starts_and_serves(url: &str, store: &Store, held: &Image) {
    let began = std::time::Instant::now();
    let mut cache = mirror_of(url).store(store).start().await;
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    for _ in 0..2 {
        let tag = get(&manifest_path(REPOSITORY, "v1"))
            .send(&cache.host())
            .await;
        assert_manifest(&tag, held.top());
        let warning = tag.header("Warning").unwrap_or_default();
        assert!(warning.starts_with("299 - \""), "{warning:?}");
        let told = head(&manifest_path(REPOSITORY, "v1"))
            .send(&cache.host())
            .await;
        assert_eq!(told.header("Docker-Content-Digest"), Some(held.digest()));
        pull_by_digest(&cache, REPOSITORY, held).await;
        let list = get("/v2/_catalog").send(&cache.host()).await;
        assert_eq!(list.json()["repositories"][0], REPOSITORY);
        assert_eq!(get("/healthz").send(&cache.host()).await.status, 200);
        cache.restart().await;
    }
    let other = image().created("2002-02-02T00:00:00Z").build();
    let uncached = [
        manifest_path(REPOSITORY, "other"),
        manifest_path(REPOSITORY, other.digest()),
        blob_path(REPOSITORY, &other.blobs[0].digest),
    ];
    for answer in at_once(&uncached, &cache).await {
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (503, "UNAVAILABLE")
        );
        assert!(answer.header("Retry-After").is_some());
    }
    cache.stop().await;
}

async fn filled(held: &Image) -> (ScriptedUpstream, Store) {
    let (upstream, store) = (ScriptedUpstream::start().await, Store::new());
    upstream.hold(held, REPOSITORY, &["v1"]);
    let mut cache = mirror_of(&upstream.url()).store(&store).start().await;
    pull(&cache, REPOSITORY, "v1", held).await;
    cache.stop().await;
    (upstream, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_starts_and_serves_while_its_upstream_refuses_connections() {
    let held = picture();
    let (upstream, store) = filled(&held).await;
    upstream.stop().await;
    // Longer ago than a tag is believed without asking: another upstream than the one that confirmed it.
    let gone = format!("http://{}", addresses::refused());
    assert_starts_and_serves(&gone, &store, &held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_starts_and_serves_while_its_upstream_has_no_address() {
    let held = picture();
    let (_upstream, store) = filled(&held).await;
    assert_starts_and_serves("https://no-such-registry.invalid", &store, &held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_starts_and_serves_while_its_upstream_swallows_everything() {
    let held = picture();
    let (_upstream, store) = filled(&held).await;
    let hole = ScriptedUpstream::start().await;
    hole.black_hole(true);
    assert_starts_and_serves(&hole.url(), &store, &held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_starts_and_serves_while_its_upstream_answers_with_nonsense_only() {
    let held = picture();
    let (_upstream, store) = filled(&held).await;
    let mad = ScriptedUpstream::start().await;
    let page =
        cistern_tests::scripted_upstream::Answer::body(200, "text/html", "<html>Sign in</html>");
    mad.on("*", "*", page);
    let cache = mirror_of(&mad.url()).store(&store).start().await;
    let tag = get(&manifest_path(REPOSITORY, "v1"))
        .send(&cache.host())
        .await;
    assert_manifest(&tag, held.top());
    pull_by_digest(&cache, REPOSITORY, &held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_without_anything_starts_without_an_upstream() {
    for url in [
        format!("http://{}", addresses::refused()),
        "https://no-such-registry.invalid".to_owned(),
    ] {
        let cache = mirror_of(&url).start().await;
        assert_eq!(get("/v2/").send(&cache.host()).await.status, 200);
        assert_eq!(get("/healthz").send(&cache.host()).await.status, 200);
        let answer = get(&manifest_path(REPOSITORY, "v1"))
            .send(&cache.host())
            .await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (503, "UNAVAILABLE")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_comes_back_is_used_again() {
    let (upstream, store) = (ScriptedUpstream::start().await, Store::new());
    let (old, new) = (
        image().build(),
        image().created("2001-01-01T00:00:00Z").build(),
    );
    upstream.hold(&old, REPOSITORY, &["v1"]);
    let cache = mirror_of(&upstream.url())
        .store(&store)
        .set("REGISTRY_PROXY_CHECKEVERY", "0s")
        .start()
        .await;
    pull(&cache, REPOSITORY, "v1", &old).await;
    upstream.stop().await;
    let path = manifest_path(REPOSITORY, "v1");
    assert_manifest(&get(&path).send(&cache.host()).await, old.top());
    upstream.hold(&new, REPOSITORY, &["v1"]);
    upstream.start_again().await;
    cistern_tests::eventually("following the tag", crate::common::SOON, || async {
        let answer = get(&path).send(&cache.host()).await;
        answer.body == new.top().bytes && answer.header("Warning").is_none()
    })
    .await;
    pull(&cache, REPOSITORY, "v1", &new).await;
    pull_by_digest(&cache, REPOSITORY, &old).await;
}
