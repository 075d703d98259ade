//! Ranges that many callers ask for while a blob is on its way: pieces of parallel pulls, and the far ends that lazy pullers
//! want first (law 9).

use cistern_tests::caller::{Answered, get, head};
use cistern_tests::images::{Item, image};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, Ranges, ScriptedUpstream};
use tokio::task::{JoinHandle, JoinSet};

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, assert_manifest, assert_part, blob_path, chain,
    chain_with_blob, kept, manifest_path, part_gets, stop_whole_bodies_at, whole_gets,
};

const LARGE: usize = 16 * MIB;

fn asking(cache: &Registry, path: &str, range: &str) -> JoinHandle<Answered> {
    let (call, host) = (get(path).range(range), cache.host());
    tokio::spawn(async move { call.send(&host).await })
}

async fn ask(cache: &Registry, path: &str, range: &str) -> Answered {
    tokio::time::timeout(SOON, get(path).range(range).send(&cache.host()))
        .await
        .unwrap()
}

/// containerd asks for open-ended ranges, reads its share of each and closes.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_open_ended_ranges_closed_after_their_share_cost_one_download() {
    let (upstream, cache, blob, path) = chain_with_blob(1, 10 * MIB).await;
    let gate = Gate::new();
    upstream.on("GET", &path, Answer::held().stops_at(3 * MIB / 2, &gate));
    let mut callers = JoinSet::new();
    for number in 0..10 {
        let (call, host) = (
            get(&path).range(&format!("bytes={}-", number * MIB)),
            cache.host(),
        );
        let blob = blob.clone();
        callers.spawn(async move {
            let mut opened = call.open(&host).await.unwrap();
            assert_eq!(opened.status, 206);
            let place = format!("bytes {}-{}/{}", number * MIB, 10 * MIB - 1, 10 * MIB);
            assert_eq!(opened.header("Content-Range"), Some(place.as_str()));
            let share = opened.read(MIB).await;
            drop(opened);
            assert!(
                share.len() >= MIB && share[..MIB] == blob.bytes[number * MIB..(number + 1) * MIB]
            );
            number
        });
    }
    assert_eq!(
        callers.join_next().await.unwrap().unwrap(),
        0,
        "what is here does not wait"
    );
    gate.open();
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    kept(&cache, &blob.digest).await;
    assert_eq!(upstream.count("*", &path), 1);
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_footer_of_a_large_cold_blob_does_not_wait_for_the_blob() {
    let (upstream, cache, blob, path) = chain_with_blob(2, LARGE).await;
    let gate = Gate::new();
    stop_whole_bodies_at(&upstream, &path, MIB, &gate);
    let footer = ask(&cache, &path, "bytes=-51").await;
    assert_part(&footer, &blob, LARGE - 51, LARGE - 1);
    assert_eq!(
        (whole_gets(&upstream, &path), part_gets(&upstream, &path)),
        (1, 1)
    );
    assert_eq!(
        upstream
            .requests_of("GET", &path)
            .last()
            .unwrap()
            .bytes_sent(),
        51
    );
    gate.open();
    kept(&cache, &blob.digest).await;
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(whole_gets(&upstream, &path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lazy_puller_reads_what_it_wants_of_a_large_blob_while_the_download_stands_still() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(3, 1, LARGE).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let manifest = get(&manifest_path(REPOSITORY, "v1"))
        .send(&cache.host())
        .await;
    assert_manifest(&manifest, image.top());
    let layer = image.largest_blob();
    let (path, gate, size) = (
        blob_path(REPOSITORY, &layer.digest),
        Gate::new(),
        layer.bytes.len(),
    );
    stop_whole_bodies_at(&upstream, &path, MIB, &gate);
    assert_part(&ask(&cache, &path, "bytes=0-1").await, layer, 0, 1);
    let told = head(&path).send(&cache.host()).await;
    assert_eq!(
        told.header("Content-Length"),
        Some(size.to_string().as_str())
    );
    assert_part(
        &ask(&cache, &path, "bytes=-51").await,
        layer,
        size - 51,
        size - 1,
    );
    for number in 0..20 {
        let first = 6 * MIB + number * 400_000;
        let range = format!("bytes={first}-{}", first + 49_999);
        assert_part(
            &ask(&cache, &path, &range).await,
            layer,
            first,
            first + 49_999,
        );
    }
    let parts = part_gets(&upstream, &path);
    assert_eq!((whole_gets(&upstream, &path), parts), (1, 21));
    gate.open();
    kept(&cache, &layer.digest).await;
    assert_part(
        &ask(&cache, &path, "bytes=-51").await,
        layer,
        size - 51,
        size - 1,
    );
    assert_eq!(part_gets(&upstream, &path), parts);
}

/// A blob whose download stands still after its first MiB, known to be running.
async fn standing_still(seed: u64) -> (ScriptedUpstream, Registry, Item, String, Gate) {
    let (upstream, cache, blob, path) = chain_with_blob(seed, LARGE).await;
    let gate = Gate::new();
    stop_whole_bodies_at(&upstream, &path, MIB, &gate);
    let first = get(&path).range("bytes=0-9").send(&cache.host()).await;
    assert_part(&first, &blob, 0, 9);
    (upstream, cache, blob, path, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_are_near_or_long_or_open_wait_for_the_running_download() {
    let (upstream, cache, blob, path, gate) = standing_still(4).await;
    let end = LARGE - 1;
    let ranges = [
        (
            format!("bytes={}-{}", 2 * MIB, 2 * MIB + 9),
            2 * MIB,
            2 * MIB + 9,
        ),
        (
            format!("bytes={}-{}", 4 * MIB, 4 * MIB + 9),
            4 * MIB,
            4 * MIB + 9,
        ),
        (
            format!("bytes={}-{}", 10 * MIB, 11 * MIB),
            10 * MIB,
            11 * MIB,
        ),
        (format!("bytes=-{}", MIB + 1), LARGE - MIB - 1, end),
        (format!("bytes={}-", 10 * MIB), 10 * MIB, end),
        (format!("bytes={}-", LARGE - 51), LARGE - 51, end),
    ];
    let waiting: Vec<_> = ranges
        .iter()
        .map(|(range, ..)| asking(&cache, &path, range))
        .collect();
    // They stand before the gate; a far range that comes after them is answered all the same.
    assert_part(
        &ask(&cache, &path, "bytes=-51").await,
        &blob,
        LARGE - 51,
        end,
    );
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    gate.open();
    for (waiting, (_, first, last)) in waiting.into_iter().zip(ranges) {
        assert_part(&waiting.await.unwrap(), &blob, first, last);
    }
    assert_eq!(
        (whole_gets(&upstream, &path), part_gets(&upstream, &path)),
        (1, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_two_far_ranges_of_a_blob_are_fetched_at_once() {
    let (upstream, cache, blob, path, gate) = standing_still(5).await;
    upstream.forget_script();
    let parts = Gate::new();
    upstream.on("GET", &path, Answer::held().behind(&parts));
    let one = |number: usize| {
        let first = (8 + number) * MIB;
        (format!("bytes={first}-{}", first + 999), first)
    };
    let first_two: Vec<_> = (0..2)
        .map(|number| asking(&cache, &path, &one(number).0))
        .collect();
    parts.wait_reached(2, SOON).await;
    let others: Vec<_> = (2..5)
        .map(|number| asking(&cache, &path, &one(number).0))
        .collect();
    gate.open();
    for (number, waiting) in (2..).zip(others) {
        assert_part(
            &waiting.await.unwrap(),
            &blob,
            one(number).1,
            one(number).1 + 999,
        );
    }
    assert_eq!(part_gets(&upstream, &path), 2);
    parts.open();
    for (number, waiting) in (0..).zip(first_two) {
        assert_part(
            &waiting.await.unwrap(),
            &blob,
            one(number).1,
            one(number).1 + 999,
        );
    }
    assert_eq!(part_gets(&upstream, &path), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn far_ranges_never_fetch_more_than_the_blob_in_all() {
    let (upstream, cache, blob, path, gate) = standing_still(6).await;
    let (first, last) = (15 * MIB, LARGE - 1);
    let range = format!("bytes={first}-{last}");
    for _ in 0..16 {
        assert_part(&ask(&cache, &path, &range).await, &blob, first, last);
    }
    assert_eq!(part_gets(&upstream, &path), 16);
    let one_more = asking(&cache, &path, &range);
    gate.open();
    assert_part(&one_more.await.unwrap(), &blob, first, last);
    assert_eq!(
        (whole_gets(&upstream, &path), part_gets(&upstream, &path)),
        (1, 16)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_for_a_far_range_is_not_kept_and_not_taken_for_the_blob() {
    let (upstream, mut cache, blob, path, gate) = standing_still(7).await;
    assert_part(
        &ask(&cache, &path, "bytes=-51").await,
        &blob,
        LARGE - 51,
        LARGE - 1,
    );
    cache.kill();
    gate.open();
    upstream.stop().await;
    cache.start().await;
    assert_eq!(ask(&cache, &path, "bytes=-51").await.status, 503);
    assert_eq!(get(&path).send(&cache.host()).await.status, 503);
    assert!(cache.store().digests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_range_waits_for_the_download_when_the_upstream_has_no_true_ranges() {
    let lies = [
        Ranges::Ignore,
        Ranges::WrongStart,
        Ranges::NoHeader,
        Ranges::NoTotal,
        Ranges::Refuse(400),
        Ranges::Refuse(416),
        Ranges::Refuse(501),
    ];
    for (seed, lie) in (8..).zip(lies) {
        let (upstream, cache, blob, path, gate) = standing_still(seed).await;
        upstream.forget_script();
        // What such an upstream sends stands still too: nobody may need it.
        let (begun, never) = (Gate::new(), Gate::new());
        let told = Answer::held()
            .ranges(lie)
            .stops_at(0, &begun)
            .stops_at(1, &never);
        upstream.on("GET", &path, told);
        let (first, last) = (9 * MIB, 9 * MIB + 99_999);
        let far = asking(&cache, &path, &format!("bytes={first}-{last}"));
        upstream.wait_for("GET", &path, 2, SOON).await;
        begun.open();
        gate.open();
        if lie == Ranges::NoTotal {
            // The bytes are those that were asked for, and the size is known from elsewhere.
            never.open();
        }
        let answer = tokio::time::timeout(SOON, far).await.unwrap().unwrap();
        assert_part(&answer, &blob, first, last);
        assert_eq!(whole_gets(&upstream, &path), 1, "{lie:?}");
        kept(&cache, &blob.digest).await;
        assert_blob(&get(&path).send(&cache.host()).await, &blob);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_range_that_breaks_off_ends_short_and_the_download_goes_on() {
    let (upstream, cache, blob, path, gate) = standing_still(20).await;
    upstream.forget_script();
    let cut = cistern_tests::scripted_upstream::Cut::Fin;
    let breaking = upstream.on("GET", &path, Answer::held().cut_at(1000, cut));
    let (first, last) = (9 * MIB, 9 * MIB + 99_999);
    let answer = ask(&cache, &path, &format!("bytes={first}-{last}")).await;
    if answer.is_complete() {
        assert_part(&answer, &blob, first, last);
    } else {
        assert!(answer.body == blob.bytes[first..first + answer.body.len()]);
    }
    breaking.remove();
    gate.open();
    kept(&cache, &blob.digest).await;
    assert_eq!(whole_gets(&upstream, &path), 1);
}
