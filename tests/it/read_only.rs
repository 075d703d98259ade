//! A read-only store serves what it has and passes the rest through. Nothing is written, not even by accident.

use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use cistern_tests::caller::{get, head};
use cistern_tests::cistern::mirror_of;
use cistern_tests::images::{Image, Item, image};
use cistern_tests::registry::{Registry, RegistryBuilder};
use cistern_tests::scripted_upstream::{Answer, Framing, ScriptedUpstream};
use cistern_tests::store::Store;

use crate::common::{
    MIB, REPOSITORY, assert_blob, assert_manifest, assert_part, blob_path, is_a_lie, manifest_path,
    many, part_gets, pull, pull_by_digest, whole_gets,
};

fn read_only(upstream: &ScriptedUpstream, store: &Store) -> RegistryBuilder {
    mirror_of(&upstream.url())
        .store(store)
        .set("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")
}

/// Every file and folder with its size and time of change.
fn everything(store: &Store) -> Vec<(PathBuf, u64, SystemTime)> {
    let mut found = Vec::new();
    let mut waiting = vec![store.path().to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let facts = entry.metadata().unwrap();
            if facts.is_dir() {
                waiting.push(entry.path());
            }
            found.push((entry.path(), facts.len(), facts.modified().unwrap()));
        }
    }
    found.sort();
    found
}

fn two() -> (Image, Image) {
    (
        image().random_layers(1, 2, 300_000).build(),
        image().random_layers(2, 2, 2 * MIB).build(),
    )
}

/// A store that an earlier run has filled, or another program.
async fn filled(upstream: &ScriptedUpstream, held: &Image, by_us: bool) -> Store {
    let store = Store::new();
    if by_us {
        let mut cache = mirror_of(&upstream.url()).store(&store).start().await;
        pull(&cache, REPOSITORY, "v1", held).await;
        cache.stop().await;
    } else {
        store.put(held, REPOSITORY, &["v1"]);
    }
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_store_serves_what_it_has_passes_through_the_rest_and_stays_as_it_was() {
    for by_us in [true, false] {
        let (held, other) = two();
        let upstream = ScriptedUpstream::start().await;
        upstream.hold(&held, REPOSITORY, &["v1"]);
        upstream.hold(&other, REPOSITORY, &["v2"]);
        let store = filled(&upstream, &held, by_us).await;
        let before = everything(&store);
        let mut cache = read_only(&upstream, &store).start().await;
        upstream.forget_requests();
        pull(&cache, REPOSITORY, "v1", &held).await;
        assert_eq!(upstream.count("GET", "/v2/*"), 0, "all of it is here");
        for _ in 0..2 {
            pull(&cache, REPOSITORY, "v2", &other).await;
        }
        passes_through(&cache, &upstream, &other).await;
        assert_eq!(get("/healthz").send(&cache.host()).await.status, 200);
        upstream.stop().await;
        pull(&cache, REPOSITORY, "v1", &held).await;
        let missing = blob_path(REPOSITORY, &other.largest_blob().digest);
        assert_eq!(get(&missing).send(&cache.host()).await.status, 503);
        cache.stop().await;
        assert!(everything(&store) == before, "by us: {by_us}");
    }
}

async fn passes_through(cache: &Registry, upstream: &ScriptedUpstream, other: &Image) {
    let layer = other.largest_blob();
    let (path, end) = (blob_path(REPOSITORY, &layer.digest), layer.bytes.len() - 1);
    for answer in many(10, &path, cache).await {
        assert_blob(&answer, layer);
    }
    let part = get(&path)
        .range("bytes=1000-1999")
        .send(&cache.host())
        .await;
    assert_part(&part, layer, 1000, 1999);
    let part = get(&path).range("bytes=1000-").send(&cache.host()).await;
    assert_part(&part, layer, 1000, end);
    let told = head(&path).send(&cache.host()).await;
    let size = layer.bytes.len().to_string();
    assert_eq!(
        (told.status, told.header("Content-Length")),
        (200, Some(size.as_str()))
    );
    let beyond = get(&path)
        .range(&format!("bytes={size}-"))
        .send(&cache.host())
        .await;
    assert_eq!(beyond.status, 416);
    let lying = upstream.on("GET", &path, Answer::held().flips(end));
    let answer = get(&path).send(&cache.host()).await;
    assert!(!is_a_lie(&answer, layer) && (answer.status != 200 || !answer.is_complete()));
    lying.remove();
    assert_blob(&get(&path).send(&cache.host()).await, layer);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_through_crosses_the_link_once_for_each_caller_and_no_more() {
    let upstream = ScriptedUpstream::start().await;
    let blob = Item::random(7, 700_000);
    upstream.hold_blob(&blob, REPOSITORY);
    let path = blob_path(REPOSITORY, &blob.digest);
    let below_reserve = mirror_of(&upstream.url()).set("REGISTRY_STORAGE_CACHE_RESERVE", "99%");
    for cache in [read_only(&upstream, &Store::new()), below_reserve] {
        let cache = cache.start().await;
        upstream.forget_requests();
        assert_blob(&get(&path).send(&cache.host()).await, &blob);
        assert_eq!(
            (whole_gets(&upstream, &path), part_gets(&upstream, &path)),
            (1, 0)
        );
        let part = get(&path)
            .range("bytes=1000-1999")
            .send(&cache.host())
            .await;
        assert_part(&part, &blob, 1000, 1999);
        assert_eq!(
            (whole_gets(&upstream, &path), part_gets(&upstream, &path)),
            (1, 1)
        );
        assert_eq!(upstream.bytes_sent(), 700_000 + 1000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_without_a_told_length_passes_through_a_read_only_store_too() {
    let upstream = ScriptedUpstream::start().await;
    let other = image().random_layers(3, 1, MIB).build();
    upstream.hold(&other, REPOSITORY, &["v1"]);
    upstream.on(
        "GET",
        "/v2/*/blobs/*",
        Answer::held().framed(Framing::Chunked),
    );
    let cache = read_only(&upstream, &Store::new()).start().await;
    pull(&cache, REPOSITORY, "v1", &other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_store_serves_a_blob_to_every_repository_that_holds_it() {
    let upstream = ScriptedUpstream::start().await;
    let (held, _) = two();
    upstream.hold(&held, REPOSITORY, &["v1"]);
    upstream.hold(&held, "team/second", &["v1"]);
    let store = filled(&upstream, &held, true).await;
    let cache = read_only(&upstream, &store).start().await;
    upstream.forget_requests();
    pull(&cache, "team/second", "v1", &held).await;
    assert_eq!(upstream.count("GET", "/v2/*/blobs/*"), 0);
    let foreign = blob_path("team/third", &held.largest_blob().digest);
    assert_eq!(get(&foreign).send(&cache.host()).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moved_is_followed_through_a_read_only_store() {
    let upstream = ScriptedUpstream::start().await;
    let (old, new) = two();
    upstream.hold(&old, REPOSITORY, &["v1"]);
    let store = filled(&upstream, &old, true).await;
    upstream.hold(&new, REPOSITORY, &["v1"]);
    let cache = read_only(&upstream, &store)
        .set("REGISTRY_PROXY_CHECKEVERY", "0s")
        .start()
        .await;
    pull(&cache, REPOSITORY, "v1", &new).await;
    pull_by_digest(&cache, REPOSITORY, &old).await;
    upstream.stop().await;
    let stale = get(&manifest_path(REPOSITORY, "v1"))
        .send(&cache.host())
        .await;
    assert_manifest(&stale, old.top());
    assert!(
        stale
            .header("Warning")
            .is_some_and(|warning| warning.starts_with("299 "))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_a_read_only_store_is_passed_through_instead() {
    let upstream = ScriptedUpstream::start().await;
    let (_, held) = two();
    upstream.hold(&held, REPOSITORY, &["v1"]);
    let store = filled(&upstream, &held, true).await;
    for item in [held.largest_blob(), &held.blobs[0], held.top()] {
        let mut bytes = item.bytes.to_vec();
        bytes[item.bytes.len() / 2] ^= 1;
        fs::write(store.blob_file(&item.digest), bytes).unwrap();
    }
    let before = everything(&store);
    let cache = read_only(&upstream, &store).start().await;
    let layer: &Item = held.largest_blob();
    let path = blob_path(REPOSITORY, &layer.digest);
    // A large file is found out while it is read for the first time.
    let first = get(&path).send(&cache.host()).await;
    assert!(!is_a_lie(&first, layer));
    pull(&cache, REPOSITORY, "v1", &held).await;
    assert!(everything(&store) == before);
}
