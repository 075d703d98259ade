//! `proxy.rate`: what comes from upstreams takes no more of the link than it may, all together, and the upstream is held back.

use std::time::{Duration, Instant};

use cistern_tests::caller::get;
use cistern_tests::eventually;
use cistern_tests::images::Item;

use crate::common::{MIB, REPOSITORY, SOON, assert_blob, blob_path};
use crate::scene::{Scene, cache_of, upstream};

/// What the buffers of two kernels may hold of one connection.
const BUFFERS: u64 = 12 * MIB as u64;

#[tokio::test(flavor = "multi_thread")]
async fn several_blobs_together_take_no_more_than_the_rate() {
    let (upstream, _) = upstream().await;
    let cache = cache_of(&upstream, &[("PROXY_RATE", "200kB")])
        .start()
        .await;
    let blobs: Vec<_> = (0..4).map(|seed| Item::random(seed, 200_000)).collect();
    for blob in &blobs {
        upstream.hold_blob(blob, REPOSITORY);
    }
    let began = Instant::now();
    let mut pulls = Vec::new();
    for blob in &blobs {
        let (path, host) = (blob_path(REPOSITORY, &blob.digest), cache.host());
        pulls.push(tokio::spawn(async move { get(&path).send(&host).await }));
    }
    for (pull, blob) in pulls.into_iter().zip(&blobs) {
        assert_blob(&pull.await.unwrap(), blob);
    }
    // 800 kB: one second's worth passes at once, the rest takes three.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(2_950), "{took:?}");
    // What is here costs nothing of the link.
    let again = Instant::now();
    assert_blob(
        &get(&blob_path(REPOSITORY, &blobs[0].digest))
            .send(&cache.host())
            .await,
        &blobs[0],
    );
    assert!(again.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_itself_is_held_back_and_not_only_the_caller() {
    let scene = Scene::with(&[
        ("PROXY_RATE", "300kB"),
        ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true"),
    ])
    .await;
    let blob = Item::random(1, 48 * MIB);
    scene.upstream.hold_blob(&blob, REPOSITORY);
    let path = blob_path(REPOSITORY, &blob.digest);
    let mut opened = get(&path).open(&scene.cache.host()).await.unwrap();
    // Two seconds' worth.
    let mut got = 0;
    while got < 600_000 {
        let piece = tokio::time::timeout(SOON, opened.read(64 * 1024))
            .await
            .unwrap();
        assert!(!piece.is_empty());
        got += piece.len();
    }
    let sent = scene.upstream.bytes_sent();
    assert!(
        sent < got as u64 + BUFFERS,
        "{sent} bytes were sent for {got}"
    );
    let metrics = scene.get("/metrics").await.text();
    assert!(
        metrics.contains("cistern_link_rate_limit 300000"),
        "{metrics}"
    );
    let passed = passed(&scene, "interactive").await;
    assert!((got..got + 4 * MIB).contains(&passed), "{passed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_nobody_waits_for_any_more_leaves_the_link_to_those_that_somebody_waits_for()
 {
    let scene = Scene::with(&[
        ("PROXY_RATE", "300kB"),
        ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true"),
    ])
    .await;
    let blob = Item::random(2, 48 * MIB);
    scene.upstream.hold_blob(&blob, REPOSITORY);
    let path = blob_path(REPOSITORY, &blob.digest);
    let mut opened = get(&path).open(&scene.cache.host()).await.unwrap();
    opened.read(64 * 1024).await;
    assert_eq!(passed(&scene, "warm").await, 0);
    drop(opened);
    eventually("what is left alone is fetched ahead", SOON, || async {
        passed(&scene, "warm").await > 0
    })
    .await;
    let mut again = get(&path).open(&scene.cache.host()).await.unwrap();
    again.read(64 * 1024).await;
    let before = passed(&scene, "interactive").await;
    eventually("somebody waits for it again", SOON, || async {
        passed(&scene, "interactive").await > before
    })
    .await;
}

/// How many bytes the link has brought at this priority.
async fn passed(scene: &Scene, priority: &str) -> usize {
    let metrics = scene.get("/metrics").await.text();
    let name = format!("cistern_link_bytes_total{{priority=\"{priority}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap().parse().unwrap()
}
