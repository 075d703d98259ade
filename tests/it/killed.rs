//! A cache that is killed, at whatever moment, never serves half of anything afterwards.

use std::time::Duration;

use cistern_tests::caller::{Ended, get, head};
use cistern_tests::cistern::mirror_of;
use cistern_tests::eventually;
use cistern_tests::images::{Item, image};
use cistern_tests::scripted_upstream::{Answer, Gate, ScriptedUpstream};

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, assert_manifest, at_once, blob_path, chain,
    chain_with_blob, holds, kept, leftovers, manifest_path, no_leftovers, pull, whole_gets,
};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_in_the_middle_of_a_download_nothing_of_it_is_served() {
    for (seed, stop) in [(1, 1), (2, MIB / 2), (3, 2 * MIB), (4, 3 * MIB - 1)] {
        let (upstream, mut cache, blob, path) = chain_with_blob(seed, 3 * MIB).await;
        let gate = Gate::new();
        let stopping = upstream.on("GET", &path, Answer::held().stops_at(stop, &gate));
        let opened = get(&path).open(&cache.host()).await.unwrap();
        gate.wait_reached(1, SOON).await;
        if stop > MIB {
            eventually("writing to disk", SOON, || async {
                !leftovers(&cache).is_empty()
            })
            .await;
        }
        cache.kill();
        let cut = opened.finish().await;
        assert_ne!(cut.ended, Ended::Complete);
        upstream.stop().await;
        cache.start().await;
        assert!(!holds(&cache, &blob.digest));
        assert_eq!(get(&path).send(&cache.host()).await.status, 503);
        assert_eq!(head(&path).send(&cache.host()).await.status, 503);
        let is_partial =
            |name: &String| matches!(name.rsplit_once('.'), Some((_, "part" | "about")));
        assert!(leftovers(&cache).iter().all(is_partial));
        stopping.remove();
        upstream.start_again().await;
        eventually("asking again", SOON, || async {
            get(&path).send(&cache.host()).await.status == 200
        })
        .await;
        assert_blob(&get(&path).send(&cache.host()).await, &blob);
        no_leftovers(&cache).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_served_after_kills_at_any_moment_is_whole() {
    let upstream = ScriptedUpstream::start().await;
    // Who is given what is here of a blob is held for the rest no longer than this.
    let mut cache = mirror_of(&upstream.url())
        .set("REGISTRY_PROXY_HOLD", "1s")
        .start()
        .await;
    let image = image().random_layers(5, 8, MIB).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let manifest = manifest_path(REPOSITORY, "v1");
    for round in 0..8_u64 {
        let mut callers = tokio::task::JoinSet::new();
        for item in &image.blobs {
            let (path, host) = (blob_path(REPOSITORY, &item.digest), cache.host());
            callers.spawn(async move { get(&path).send(&host).await });
        }
        let (path, host) = (manifest.clone(), cache.host());
        callers.spawn(async move { get(&path).send(&host).await });
        // After a different share of the work each time: so much of what is left to send.
        let before = upstream.bytes_sent();
        let share = round * image.blob_bytes() as u64 / 16;
        let enough = async {
            while upstream.bytes_sent() < before + share && !callers.is_empty() {
                let _ = tokio::time::timeout(Duration::from_millis(1), callers.join_next()).await;
            }
        };
        tokio::time::timeout(SOON, enough).await.unwrap();
        cache.kill();
        callers.shutdown().await;
        upstream.stop().await;
        cache.start().await;
        let paths: Vec<_> = image
            .blobs
            .iter()
            .map(|item| blob_path(REPOSITORY, &item.digest))
            .collect();
        for (item, answer) in image.blobs.iter().zip(at_once(&paths, &cache).await) {
            if holds(&cache, &item.digest) {
                assert_blob(&answer, item);
            } else {
                // What is here of it may be given, and is never given out for all of it.
                assert!(
                    answer.status == 503 || answer.status == 200,
                    "{}",
                    answer.status
                );
                assert!(answer.status == 503 || !answer.is_complete());
                assert!(answer.status == 503 || item.bytes.starts_with(&answer.body));
            }
        }
        let answer = get(&manifest).send(&cache.host()).await;
        if answer.status == 200 {
            assert_manifest(&answer, image.top());
        } else {
            assert_eq!(answer.status, 503, "{}", answer.text());
        }
        upstream.start_again().await;
        // What was refused a moment ago is remembered; a start forgets that.
        cache.kill();
        cache.start().await;
    }
    pull(&cache, REPOSITORY, "v1", &image).await;
    no_leftovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_served_as_complete_is_there_after_a_kill() {
    let (upstream, mut cache) = chain().await;
    let image = image().random_layers(6, 4, 300_000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    pull(&cache, REPOSITORY, "v1", &image).await;
    for blob in &image.blobs {
        kept(&cache, &blob.digest).await;
    }
    let count = upstream.count("GET", "/v2/*");
    cache.kill();
    upstream.stop().await;
    cache.start().await;
    pull(&cache, REPOSITORY, "v1", &image).await;
    assert_eq!(upstream.count("GET", "/v2/*"), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_blob_a_kill_kept_from_coming_is_a_miss_like_any_other() {
    let (upstream, mut cache) = chain().await;
    let (blob, small) = (Item::random(7, 2 * MIB), Item::random(8, 1000));
    for item in [&blob, &small] {
        upstream.hold_blob(item, REPOSITORY);
        let path = blob_path(REPOSITORY, &item.digest);
        assert_blob(&get(&path).send(&cache.host()).await, item);
        kept(&cache, &item.digest).await;
    }
    cache.kill();
    for item in [&blob, &small] {
        std::fs::remove_file(cache.store().blob_file(&item.digest)).unwrap();
    }
    cache.start().await;
    upstream.forget_requests();
    for item in [&blob, &small] {
        let path = blob_path(REPOSITORY, &item.digest);
        let told = head(&path).send(&cache.host()).await;
        let size = item.bytes.len().to_string();
        assert_eq!(
            (told.status, told.header("Content-Length")),
            (200, Some(&*size))
        );
        assert_blob(&get(&path).send(&cache.host()).await, item);
        assert_eq!(whole_gets(&upstream, &path), 1);
        kept(&cache, &item.digest).await;
    }
    assert!(!cache.log().contains("damaged"), "{}", cache.log());
}
