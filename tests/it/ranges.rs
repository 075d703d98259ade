//! Ranges are answered the same way for a cold, a warm and a growing blob.

use cistern_tests::caller::{Answered, get, head};
use cistern_tests::images::{Item, image};
use cistern_tests::scripted_upstream::{Answer, Gate};

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, assert_manifest, assert_part, blob_path, chain,
    chain_with_blob, kept, manifest_path, whole_gets,
};

/// What a range must be answered with.
#[derive(Clone, Copy, Debug)]
enum Due {
    Part(usize, usize),
    Whole,
    Nothing,
    Refused,
}

const SIZE: usize = 2048;

fn cases() -> Vec<(String, Due)> {
    let ranges = |count: usize| {
        let each: Vec<_> = (0..count)
            .map(|number| format!("{number}-{number}"))
            .collect();
        format!("bytes={}", each.join(","))
    };
    let fixed = [
        ("bytes=500-1499", Due::Part(500, 1499)),
        ("bytes=500-", Due::Part(500, 2047)),
        ("bytes=-500", Due::Part(1548, 2047)),
        ("bytes=2000-5000", Due::Part(2000, 2047)),
        ("bytes=500-0", Due::Nothing),
        ("bytes=5000-10000", Due::Nothing),
        ("bytes=0-", Due::Part(0, 2047)),
        ("bytes=0-0", Due::Part(0, 0)),
        ("bytes=0-1", Due::Part(0, 1)),
        ("bytes=0-2047", Due::Part(0, 2047)),
        ("bytes=0-2048", Due::Part(0, 2047)),
        ("bytes=2047-", Due::Part(2047, 2047)),
        ("bytes=2047-2048", Due::Part(2047, 2047)),
        ("bytes=2048-", Due::Nothing),
        ("bytes=2048-2048", Due::Nothing),
        ("bytes=-1", Due::Part(2047, 2047)),
        ("bytes=-5000", Due::Part(0, 2047)),
        ("bytes=-0", Due::Nothing),
        ("BYTES=1-2", Due::Part(1, 2)),
        ("bytes=10-99999999999999999999999999", Due::Part(10, 2047)),
        ("bytes=99999999999999999999999999-", Due::Nothing),
        ("bytes=-99999999999999999999999999", Due::Part(0, 2047)),
        ("items=0-1", Due::Whole),
        ("bytes", Due::Whole),
        ("bytes=", Due::Whole),
        ("bytes=-", Due::Whole),
        ("bytes=a-b", Due::Whole),
        ("bytes=1-2-3", Due::Whole),
        ("bytes=--1", Due::Whole),
        ("bytes=0x0-1", Due::Whole),
        ("bytes=+1-2", Due::Whole),
        ("bytes=0-1,garbage", Due::Whole),
        ("bytes=0-1,5-6,2000-", Due::Refused),
        ("bytes=0-1, 1-2", Due::Refused),
    ];
    let mut cases: Vec<_> = fixed.map(|(range, due)| (range.to_owned(), due)).to_vec();
    cases.extend([(ranges(3), Due::Refused), (ranges(1024), Due::Refused)]);
    cases
}

fn assert_due(answer: &Answered, due: Due, blob: &Item, what: &str) {
    let status = match due {
        Due::Part(..) => 206,
        Due::Whole => 200,
        Due::Nothing => 416,
        Due::Refused => 400,
    };
    assert_eq!(answer.status, status, "{what}");
    match due {
        Due::Part(first, last) => assert_part(answer, blob, first, last),
        Due::Whole => assert_blob(answer, blob),
        Due::Nothing => {
            let place = format!("bytes */{}", blob.bytes.len());
            assert_eq!(answer.header("Content-Range"), Some(place.as_str()));
        }
        Due::Refused => assert!(!answer.error_code().is_empty(), "{what}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_answered_alike_whether_the_blob_is_cold_or_warm() {
    let (upstream, cache) = chain().await;
    for (seed, (range, due)) in (0..).zip(cases()) {
        let blob = Item::random(seed, SIZE);
        upstream.hold_blob(&blob, REPOSITORY);
        let path = blob_path(REPOSITORY, &blob.digest);
        for temperature in ["cold", "warm", "hot"] {
            let answer = get(&path).range(&range).send(&cache.host()).await;
            assert_due(&answer, due, &blob, &format!("{temperature}: {range:.60}"));
            if temperature == "warm" {
                assert_blob(&get(&path).send(&cache.host()).await, &blob);
                kept(&cache, &blob.digest).await;
            }
        }
        assert!(upstream.count("GET", &path) <= 1, "{range}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_answered_alike_when_a_manifest_names_the_blob() {
    let (upstream, cache) = chain().await;
    for (seed, (range, due)) in (0..).zip(cases()) {
        let mut image = image().random_layers(seed, 0, 0).build();
        let blob = Item::random(1000 + seed, SIZE);
        let text = serde_json::json!({
            "schemaVersion": 2, "mediaType": image.top().media_type,
            "config": image.blobs[0].descriptor(), "layers": [blob.descriptor()],
        });
        image.manifests = vec![Item::new(&image.top().media_type, text.to_string())];
        image.blobs.push(blob.clone());
        let tag = format!("v{seed}");
        upstream.hold(&image, REPOSITORY, &[&tag]);
        let manifest = get(&manifest_path(REPOSITORY, &tag))
            .send(&cache.host())
            .await;
        assert_manifest(&manifest, image.top());
        let path = blob_path(REPOSITORY, &blob.digest);
        let answer = get(&path).range(&range).send(&cache.host()).await;
        assert_due(&answer, due, &blob, &format!("{range:.60}"));
    }
}

#[tokio::test]
async fn a_range_in_a_head_is_not_looked_at() {
    let (_upstream, cache, blob, path) = chain_with_blob(1, SIZE).await;
    for range in ["bytes=0-9", "bytes=5000-", "bytes=0-1,3-4", "nonsense"] {
        for _ in 0..2 {
            let answer = head(&path).range(range).send(&cache.host()).await;
            assert_eq!(
                (answer.status, answer.header("Content-Length")),
                (200, Some("2048")),
                "{range}"
            );
            assert_blob(&get(&path).send(&cache.host()).await, &blob);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_broke_off_is_resumed_while_the_download_runs_and_after_it() {
    let (upstream, cache, blob, path) = chain_with_blob(2, 5 * MIB).await;
    let gate = Gate::new();
    upstream.on("GET", &path, Answer::held().stops_at(3 * MIB, &gate));
    let mut first = get(&path).open(&cache.host()).await.unwrap();
    let have = first.read(2 * MIB).await;
    drop(first);
    let mut again = get(&path)
        .range(&format!("bytes={}-", have.len()))
        .open(&cache.host())
        .await
        .unwrap();
    assert_eq!(again.status, 206);
    let place = format!(
        "bytes {}-{}/{}",
        have.len(),
        blob.bytes.len() - 1,
        blob.bytes.len()
    );
    assert_eq!(again.header("Content-Range"), Some(place.as_str()));
    let more = again.read(MIB / 2).await;
    assert!(more == blob.bytes[have.len()..have.len() + more.len()]);
    drop(again);
    let range = format!("bytes={}-", have.len());
    let (host, call) = (cache.host(), get(&path).range(&range));
    let running = tokio::spawn(async move { call.send(&host).await });
    gate.wait_reached(1, SOON).await;
    gate.open();
    assert_part(
        &running.await.unwrap(),
        &blob,
        have.len(),
        blob.bytes.len() - 1,
    );
    kept(&cache, &blob.digest).await;
    let after = get(&path).range(&range).send(&cache.host()).await;
    assert_part(&after, &blob, have.len(), blob.bytes.len() - 1);
    assert!([have, after.body].concat() == blob.bytes);
    assert_eq!(
        (upstream.count("GET", &path), whole_gets(&upstream, &path)),
        (1, 1)
    );
}

#[tokio::test]
async fn an_empty_blob_is_served_whole_and_has_no_ranges() {
    let (upstream, cache, blob, path) = chain_with_blob(3, 0).await;
    for _ in 0..2 {
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            let answer = get(&path).range(range).send(&cache.host()).await;
            assert_due(&answer, Due::Nothing, &blob, range);
        }
        assert_blob(&get(&path).send(&cache.host()).await, &blob);
        let told = head(&path).send(&cache.host()).await;
        assert_eq!(
            (told.status, told.header("Content-Length")),
            (200, Some("0"))
        );
    }
    assert!(upstream.count("GET", &path) <= 1);
}
