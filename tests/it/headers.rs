//! When the head of a blob's answer leaves, and what a HEAD costs (law 7).

use std::time::Duration;

use cistern_tests::caller::{Answered, get, head};
use cistern_tests::images::{Item, image};
use cistern_tests::scripted_upstream::{Answer, Cut, Framing, Gate};

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, assert_manifest, assert_part, blob_path, chain,
    chain_with_blob, holds, kept, leftovers, manifest_path, whole_gets,
};

fn assert_head(answer: &Answered, blob: &Item) {
    assert_eq!(answer.status, 200);
    let size = blob.bytes.len().to_string();
    assert_eq!(answer.header("Content-Length"), Some(size.as_str()));
    assert_eq!(
        answer.header("Docker-Content-Digest"),
        Some(blob.digest.as_str())
    );
    assert_eq!(answer.header("Accept-Ranges"), Some("bytes"));
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn a_head_of_a_blob_that_a_served_manifest_names_needs_no_upstream() {
    let (upstream, mut cache) = chain().await;
    let image = image().random_layers(1, 2, 5000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let answer = get(&manifest_path(REPOSITORY, "v1"))
        .send(&cache.host())
        .await;
    assert_manifest(&answer, image.top());
    upstream.stop().await;
    for _ in 0..2 {
        for blob in &image.blobs {
            let path = blob_path(REPOSITORY, &blob.digest);
            assert_head(&head(&path).send(&cache.host()).await, blob);
            assert_head(
                &head(&path).range("bytes=0-9").send(&cache.host()).await,
                blob,
            );
        }
        cache.restart().await;
    }
    assert_eq!(upstream.count("*", "/v2/*/blobs/*"), 0);
}

#[tokio::test]
async fn a_head_of_an_unknown_blob_asks_once_and_downloads_nothing() {
    let (upstream, cache, blob, path) = chain_with_blob(1, MIB).await;
    assert_head(&head(&path).send(&cache.host()).await, &blob);
    assert_eq!(
        (upstream.count("HEAD", &path), upstream.count("GET", &path)),
        (1, 0)
    );
    assert!(!holds(&cache, &blob.digest) && leftovers(&cache).is_empty());
    let missing = blob_path(REPOSITORY, &Item::random(2, 10).digest);
    let answer = head(&missing).send(&cache.host()).await;
    assert_eq!((answer.status, answer.body.len()), (404, 0));
}

#[tokio::test]
async fn a_head_that_the_upstream_refuses_is_answered_by_one_byte() {
    for refusal in [401, 403, 404, 405, 501] {
        let (upstream, cache, blob, path) = chain_with_blob(3, 300_000).await;
        upstream.on("HEAD", "/v2/*", Answer::status(refusal));
        assert_head(&head(&path).send(&cache.host()).await, &blob);
        assert_eq!(whole_gets(&upstream, &path), 0, "{refusal}");
    }
}

#[tokio::test]
async fn no_head_of_a_body_leaves_before_the_upstream_has_answered() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(2, 2, MIB).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let answer = get(&manifest_path(REPOSITORY, "v1"))
        .send(&cache.host())
        .await;
    assert_manifest(&answer, image.top());
    let ranges = [
        None,
        Some("bytes=0-"),
        Some("bytes=100-199"),
        Some("bytes=-10"),
    ];
    for (failure, statuses) in [
        (Answer::status(404), (404, "BLOB_UNKNOWN")),
        (Answer::status(403), (503, "UNAVAILABLE")),
        (Answer::hang_up(Cut::Reset), (503, "UNAVAILABLE")),
    ] {
        for (range, blob) in ranges.iter().zip(image.blobs.iter().cycle().skip(1)) {
            let path = blob_path(REPOSITORY, &blob.digest);
            let gate = Gate::new();
            let failing = upstream.on("GET", &path, failure.clone().behind(&gate));
            let call = range.map_or_else(|| get(&path), |range| get(&path).range(range));
            let host = cache.host();
            let caller = tokio::spawn(async move { call.send(&host).await });
            // A failure of a moment ago is remembered for a while; then nothing comes to the gate.
            let asked = async {
                while gate.reached() == 0 && !caller.is_finished() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(SOON, asked).await.unwrap();
            gate.open();
            let answer = caller.await.unwrap();
            assert!(
                answer.status == statuses.0 || answer.status == 503,
                "{}",
                answer.text()
            );
            assert!(answer.is_complete());
            failing.remove();
        }
    }
}

#[tokio::test]
async fn a_blob_whose_size_nobody_knows_is_answered_with_its_length_when_it_has_come() {
    let (upstream, cache) = chain().await;
    for (seed, framing) in [
        (1, Framing::Chunked),
        (2, Framing::UntilClose),
        (3, Framing::Http10),
    ] {
        for size in [0, 10, 700_000] {
            let blob = Item::random(seed, size);
            upstream.hold_blob(&blob, REPOSITORY);
            let path = blob_path(REPOSITORY, &blob.digest);
            upstream.on("*", &path, Answer::held().framed(framing));
            assert_blob(&get(&path).send(&cache.host()).await, &blob);
            assert_blob(&get(&path).send(&cache.host()).await, &blob);
            assert!(whole_gets(&upstream, &path) <= 1);
        }
        let blob = Item::random(seed + 10, 700_000);
        upstream.hold_blob(&blob, REPOSITORY);
        let path = blob_path(REPOSITORY, &blob.digest);
        upstream.on("*", &path, Answer::held().framed(framing));
        let part = get(&path).range("bytes=600000-").send(&cache.host()).await;
        assert_part(&part, &blob, 600_000, 699_999);
    }
}

#[tokio::test]
async fn a_blob_whose_size_a_manifest_names_streams_although_the_upstream_does_not_tell_it() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(4, 1, 2 * MIB).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let answer = get(&manifest_path(REPOSITORY, "v1"))
        .send(&cache.host())
        .await;
    assert_manifest(&answer, image.top());
    let (layer, gate) = (image.largest_blob(), Gate::new());
    let path = blob_path(REPOSITORY, &layer.digest);
    upstream.on(
        "GET",
        &path,
        Answer::held().framed(Framing::Chunked).stops_at(MIB, &gate),
    );
    let mut opened = get(&path).open(&cache.host()).await.unwrap();
    let size = layer.bytes.len().to_string();
    assert_eq!(opened.header("Content-Length"), Some(size.as_str()));
    let begun = opened.read(1).await;
    assert!(
        !begun.is_empty(),
        "the first byte, before the upstream has sent its last"
    );
    gate.open();
    let rest = opened.finish().await;
    assert!(rest.is_complete() && [begun, rest.body].concat() == layer.bytes);
}

#[tokio::test]
async fn a_caller_waits_for_an_unknown_size_no_longer_than_clients_do_and_the_download_goes_on() {
    let (upstream, cache, blob, path) = chain_with_blob(5, 2 * MIB).await;
    let gate = Gate::new();
    upstream.on(
        "GET",
        &path,
        Answer::held().framed(Framing::Chunked).stops_at(MIB, &gate),
    );
    let answer = get(&path)
        .patience(Duration::from_secs(30))
        .send(&cache.host())
        .await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (503, "UNAVAILABLE")
    );
    assert!(answer.header("Retry-After").is_some());
    gate.open();
    kept(&cache, &blob.digest).await;
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(upstream.count("GET", &path), 1);
}
