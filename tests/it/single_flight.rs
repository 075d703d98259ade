//! However many callers want a blob that is not here yet: one download, and everybody reads along.

use std::time::Duration;

use cistern_tests::caller::{Ended, Opened, get, head};
use cistern_tests::eventually;
use cistern_tests::images::{Item, image};
use cistern_tests::scripted_upstream::{Answer, Cut, Gate, ScriptedUpstream};
use tokio::task::JoinSet;

use crate::common::{
    LAST_PIECE, MIB, REPOSITORY, SOON, assert_blob, assert_manifest, blob_path, chain,
    chain_with_blob, holds, kept, leftovers, manifest_path, many, no_leftovers, whole_gets,
};
use crate::scene::cache_of;

/// Opens `count` answers and reads the first bytes of each.
async fn with_first_byte(count: usize, path: &str, host: &str) -> Vec<(Opened, Vec<u8>)> {
    let mut callers = JoinSet::new();
    for _ in 0..count {
        let (path, host) = (path.to_owned(), host.to_owned());
        callers.spawn(async move {
            let mut opened = get(&path).open(&host).await.unwrap();
            let first = opened.read(1).await.to_vec();
            assert!(!first.is_empty(), "no first byte: {:?}", opened.ended);
            (opened, first)
        });
    }
    tokio::time::timeout(SOON, callers.join_all())
        .await
        .unwrap()
}

/// Reads an answer to its end and gives all its bytes, those that were read before too.
async fn rest(opened: Opened, mut before: Vec<u8>) -> (Vec<u8>, Ended) {
    let answer = opened.finish().await;
    before.extend_from_slice(&answer.body);
    (before, answer.ended)
}

async fn all_complete(begun: Vec<(Opened, Vec<u8>)>, blob: &Item) {
    for (opened, first) in begun {
        assert_eq!(opened.status, 200);
        let (body, ended) = rest(opened, first).await;
        assert!(ended == Ended::Complete && body == blob.bytes, "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_cost_one_get_and_each_has_its_first_byte_before_the_last_was_sent() {
    let (upstream, cache, blob, path) = chain_with_blob(1, 2 * MIB).await;
    let gate = Gate::new();
    upstream.on("GET", &path, Answer::held().stops_at(MIB, &gate));
    let begun = with_first_byte(100, &path, &cache.host()).await;
    let asked = upstream.requests_of("*", &path);
    assert_eq!((asked.len(), asked[0].bytes_sent()), (1, MIB as u64));
    assert!(!asked[0].is_done());
    gate.open();
    all_complete(begun, &blob).await;
    kept(&cache, &blob.digest).await;
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(upstream.count("*", &path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_of_a_cold_tag_cost_one_head_and_one_get() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(1, 1, 3000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let (path, gate) = (manifest_path(REPOSITORY, "v1"), Gate::new());
    upstream.on("HEAD", &path, Answer::held().behind(&gate));
    let mut callers = JoinSet::new();
    for number in 0..100 {
        let (path, host) = (path.clone(), cache.host());
        callers.spawn(async move {
            let call = if number % 2 == 0 {
                get(&path)
            } else {
                head(&path)
            };
            (number, call.send(&host).await)
        });
    }
    gate.wait_reached(1, SOON).await;
    gate.open();
    while let Some(answered) = callers.join_next().await {
        let (number, answer) = answered.unwrap();
        assert_eq!(answer.header("Docker-Content-Digest"), Some(image.digest()));
        if number % 2 == 0 {
            assert_manifest(&answer, image.top());
        }
    }
    assert_eq!(upstream.count("HEAD", &path), 1);
    assert_eq!(upstream.count("GET", "/v2/*"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_of_a_cold_digest_cost_one_get() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(1, 1, 3000).build();
    upstream.hold(&image, REPOSITORY, &[]);
    let path = manifest_path(REPOSITORY, image.digest());
    for answer in many(100, &path, &cache).await {
        assert_manifest(&answer, image.top());
    }
    assert_eq!(upstream.count("*", "/v2/*"), 1);
}

/// Law 1: the download belongs to the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_disturbs_nobody_not_even_the_one_who_started_the_download() {
    let (upstream, cache, blob, path) = chain_with_blob(2, 2 * MIB).await;
    let gate = Gate::new();
    upstream.on("GET", &path, Answer::held().stops_at(MIB, &gate));
    let mut first = get(&path).open(&cache.host()).await.unwrap();
    assert!(!first.read(1).await.is_empty());
    let mut others = with_first_byte(10, &path, &cache.host()).await;
    drop(first);
    others.drain(..5);
    let late = with_first_byte(5, &path, &cache.host()).await;
    gate.open();
    all_complete(others, &blob).await;
    all_complete(late, &blob).await;
    assert_eq!(upstream.count("*", &path), 1);
    kept(&cache, &blob.digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_callers_leave_the_download_still_ends_as_a_whole_blob() {
    let (upstream, cache, blob, path) = chain_with_blob(3, 2 * MIB).await;
    let gate = Gate::new();
    upstream.on("GET", &path, Answer::held().stops_at(MIB, &gate));
    drop(with_first_byte(5, &path, &cache.host()).await);
    gate.open();
    kept(&cache, &blob.digest).await;
    no_leftovers(&cache).await;
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(upstream.count("*", &path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_joiner_starts_at_the_first_byte_at_once() {
    let (upstream, cache, blob, path) = chain_with_blob(4, 3 * MIB).await;
    let gate = Gate::new();
    upstream.on("GET", &path, Answer::held().stops_at(2 * MIB, &gate));
    let early = with_first_byte(1, &path, &cache.host()).await;
    gate.wait_reached(1, SOON).await;
    let mut late = get(&path).open(&cache.host()).await.unwrap();
    let mut body = late.read(2 * MIB).await.to_vec();
    assert!(
        body == blob.bytes[..2 * MIB],
        "all that is here, while nothing comes"
    );
    gate.open();
    let (whole, ended) = rest(late, std::mem::take(&mut body)).await;
    assert!(ended == Ended::Complete && whole == blob.bytes);
    all_complete(early, &blob).await;
    assert_eq!(upstream.count("*", &path), 1);
}

/// Law 2: the file is the buffer.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_stand_still_slow_nobody_and_cost_no_memory() {
    let (upstream, cache, blob, path) = chain_with_blob(5, 32 * MIB).await;
    let still = with_first_byte(40, &path, &cache.host()).await;
    let quick = get(&path).send(&cache.host()).await;
    assert_blob(&quick, &blob);
    assert!(upstream.requests_of("GET", &path)[0].is_done());
    kept(&cache, &blob.digest).await;
    let most = cache.peak_rss();
    assert!(
        most < 200 * MIB as u64,
        "{most} bytes for 41 readers of 32 MiB"
    );
    let mut still = still.into_iter();
    for (opened, first) in still.by_ref().take(3) {
        let (body, ended) = rest(opened, first).await;
        assert!(ended == Ended::Complete && body == blob.bytes);
    }
    assert_eq!(upstream.count("*", &path), 1);
}

/// Law 3: nobody hangs, and nobody takes a short body for a complete one.
#[tokio::test(flavor = "multi_thread")]
async fn when_the_upstream_fails_before_its_answer_every_caller_is_told_and_the_next_starts_anew() {
    let mut failures = JoinSet::new();
    for failure in [
        Answer::hang_up(Cut::Fin),
        Answer::hang_up(Cut::Reset),
        Answer::status(500),
        Answer::status(503),
        Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        Answer::raw("nonsense\r\n\r\n"),
    ] {
        failures.spawn(fails_before_its_answer(failure));
    }
    while let Some(ended) = failures.join_next().await {
        ended.unwrap();
    }
}

async fn fails_before_its_answer(failure: Answer) {
    let (upstream, cache, blob, path) = chain_with_blob(6, MIB).await;
    upstream.on("GET", &path, failure);
    for answer in many(20, &path, &cache).await {
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (503, "UNAVAILABLE")
        );
        assert!(answer.is_complete() && answer.header("Retry-After").is_some());
        assert!(
            answer.text().contains(&upstream.host()),
            "{}",
            answer.text()
        );
    }
    assert!(
        upstream.count("GET", &path) <= 6,
        "{}",
        upstream.count("GET", &path)
    );
    assert!(!holds(&cache, &blob.digest) && leftovers(&cache).is_empty());
    upstream.forget_script();
    eventually("asking again", SOON, || async {
        get(&path).send(&cache.host()).await.status == 200
    })
    .await;
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_upstream_fails_in_the_middle_every_body_is_whole_all_the_same() {
    for cut in [Cut::Fin, Cut::Reset] {
        let (upstream, cache, blob, path) = chain_with_blob(7, 2 * MIB).await;
        let gate = Gate::new();
        let broken = Answer::held().stops_at(MIB, &gate).cut_at(MIB, cut);
        upstream.on_next(1, "GET", &path, broken);
        let begun = with_first_byte(20, &path, &cache.host()).await;
        gate.open();
        all_complete(begun, &blob).await;
        assert_eq!(
            (whole_gets(&upstream, &path), upstream.count("GET", &path)),
            (1, 2)
        );
        kept(&cache, &blob.digest).await;
        no_leftovers(&cache).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_upstream_goes_away_in_the_middle_nobody_hangs() {
    let upstream = ScriptedUpstream::start().await;
    let cache = cache_of(&upstream, &[("PROXY_HOLD", "1s")]).start().await;
    let blob = Item::random(8, 2 * MIB);
    upstream.hold_blob(&blob, REPOSITORY);
    let (path, gate) = (blob_path(REPOSITORY, &blob.digest), Gate::new());
    upstream.on("GET", &path, Answer::held().stops_at(MIB, &gate));
    let begun = with_first_byte(10, &path, &cache.host()).await;
    upstream.stop().await;
    for (opened, first) in begun {
        let ended = tokio::time::timeout(SOON, rest(opened, first))
            .await
            .unwrap();
        assert_eq!(ended.1, Ended::Short);
    }
    let answer = get(&path).send(&cache.host()).await;
    assert_eq!(answer.status, 503);
}

/// Law 5: what was committed is found in the store or in the running download, always in one of them.
#[tokio::test(flavor = "multi_thread")]
async fn no_gap_between_the_end_of_a_download_and_the_store_starts_a_second_one() {
    let (upstream, cache) = chain().await;
    let blobs: Vec<_> = (0..20)
        .map(|number| Item::random(number, LAST_PIECE * 2))
        .collect();
    for blob in &blobs {
        upstream.hold_blob(blob, REPOSITORY);
    }
    for blob in &blobs {
        let path = blob_path(REPOSITORY, &blob.digest);
        let mut callers = JoinSet::new();
        for start in 0..8 {
            let (path, host, blob) = (path.clone(), cache.host(), blob.clone());
            callers.spawn(async move {
                tokio::time::sleep(Duration::from_micros(300 * start)).await;
                for _ in 0..6 {
                    assert_blob(&get(&path).send(&host).await, &blob);
                }
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended.unwrap();
        }
        assert_eq!(whole_gets(&upstream, &path), 1);
    }
    assert_eq!(upstream.requests().len(), blobs.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_gap_between_the_end_of_a_check_and_its_record_asks_about_a_tag_twice() {
    let (upstream, cache) = chain().await;
    for number in 0..30 {
        let image = image()
            .created(&format!("2001-01-{:02}T00:00:00Z", number + 1))
            .build();
        let tag = format!("v{number}");
        upstream.hold(&image, REPOSITORY, &[&tag]);
        let mut callers = JoinSet::new();
        for start in 0..8 {
            let (host, image) = (cache.host(), image.clone());
            let path = manifest_path(
                REPOSITORY,
                if start % 2 == 0 { &tag } else { image.digest() },
            );
            callers.spawn(async move {
                tokio::time::sleep(Duration::from_micros(300 * start)).await;
                for _ in 0..4 {
                    assert_manifest(&get(&path).send(&host).await, image.top());
                }
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended.unwrap();
        }
        assert_eq!(upstream.count("HEAD", &manifest_path(REPOSITORY, &tag)), 1);
        assert_eq!(
            upstream.count("GET", &manifest_path(REPOSITORY, image.digest())),
            1
        );
    }
}

#[tokio::test]
async fn hundreds_of_callers_that_come_and_go_leave_nothing_behind() {
    let (upstream, cache, blob, path) = chain_with_blob(9, MIB).await;
    let gate = Gate::new();
    upstream.on("GET", &path, Answer::held().stops_at(MIB / 2, &gate));
    for _ in 0..10 {
        drop(with_first_byte(20, &path, &cache.host()).await);
    }
    gate.open();
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    kept(&cache, &blob.digest).await;
    no_leftovers(&cache).await;
    let connections = format!("/proc/{}/fd", cache.id());
    eventually("closing every connection and file", SOON, || async {
        let open = std::fs::read_dir(&connections).unwrap().flatten();
        let links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let blobs = links.filter(|link| link.starts_with(cache.store().path().join("docker")));
        blobs.count() == 0
    })
    .await;
    assert_eq!(upstream.count("*", &path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_a_blob_that_is_on_its_way_asks_nobody_for_its_size() {
    let (upstream, cache, blob, path) = chain_with_blob(21, 2 * MIB).await;
    let gate = Gate::new();
    upstream.on("GET", &path, Answer::held().stops_at(MIB, &gate));
    let begun = with_first_byte(1, &path, &cache.host()).await;
    let told = head(&path).send(&cache.host()).await;
    let size = blob.bytes.len().to_string();
    assert_eq!(
        (told.status, told.header("Content-Length")),
        (200, Some(&*size))
    );
    assert_eq!(upstream.count("HEAD", "*"), 0);
    // It is no answer to a repository that is not known to hold it.
    let theirs = blob_path("team/other", &blob.digest);
    assert_eq!(head(&theirs).send(&cache.host()).await.status, 404);
    gate.open();
    all_complete(begun, &blob).await;
}
