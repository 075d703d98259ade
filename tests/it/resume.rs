//! A download that breaks goes on from its last good byte, inside the same answer: no byte twice, and never a wrong one.

use cistern_tests::caller::{Ended, get};
use cistern_tests::cistern::mirror_of;
use cistern_tests::eventually;
use cistern_tests::images::Item;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{
    Answer, Cut, Gate, Protection, Ranges, ScriptedUpstream, Signed, TokenDesk,
};

use crate::common::{
    LAST_PIECE, MIB, REPOSITORY, SOON, assert_blob, assert_part, blob_path, chain, chain_with_blob,
    holds, is_a_lie, kept, leftovers, many, no_leftovers, part_gets, whole_gets,
};

/// What may be fetched twice in all, however often the link breaks.
const TWICE: u64 = MIB as u64;

/// From which byte each request for a part of this path asked the upstream.
fn asked_from(upstream: &ScriptedUpstream, path: &str) -> Vec<usize> {
    let ranges = upstream.requests_of("GET", path);
    let ranges = ranges
        .iter()
        .filter_map(|request| request.header("Range").map(str::to_owned));
    let first = |range: String| {
        let first = range
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'));
        first.unwrap().0.parse().unwrap()
    };
    ranges.map(first).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_anywhere_is_one_whole_answer_at_the_client() {
    let size = 4 * MIB;
    let places = [
        1,
        LAST_PIECE,
        size * 3 / 10,
        size / 2,
        size - LAST_PIECE,
        size - 1,
    ];
    for (seed, place) in (1..).zip(places) {
        let (upstream, cache, blob, path) = chain_with_blob(seed, size).await;
        upstream.on_next(1, "GET", &path, Answer::held().cut_at(place, Cut::Fin));
        assert_blob(&get(&path).send(&cache.host()).await, &blob);
        assert_eq!(
            asked_from(&upstream, &path),
            [place],
            "cut after {place} bytes"
        );
        assert_eq!(whole_gets(&upstream, &path), 1);
        assert!(
            upstream.bytes_sent() <= size as u64 + TWICE,
            "{}",
            upstream.bytes_sent()
        );
        kept(&cache, &blob.digest).await;
        no_leftovers(&cache).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_reset_is_one_whole_answer_at_the_client_too() {
    let (upstream, cache, blob, path) = chain_with_blob(11, 4 * MIB).await;
    upstream.on_next(1, "GET", &path, Answer::held().cut_at(2 * MIB, Cut::Reset));
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(part_gets(&upstream, &path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_every_mebibyte_costs_every_byte_once() {
    let (upstream, cache, blob, path) = chain_with_blob(12, 12 * MIB).await;
    upstream.on("GET", &path, Answer::held().cut_at(MIB, Cut::Fin));
    for answer in many(10, &path, &cache).await {
        assert_blob(&answer, &blob);
    }
    assert_eq!(whole_gets(&upstream, &path), 1);
    assert_eq!(part_gets(&upstream, &path), 11);
    assert!(upstream.bytes_sent() <= 12 * MIB as u64 + TWICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_waits_for_a_broken_download_is_whole_too() {
    let (upstream, cache, blob, path) = chain_with_blob(13, 4 * MIB).await;
    upstream.on_next(1, "GET", &path, Answer::held().cut_at(MIB, Cut::Fin));
    let call = get(&path).range(&format!("bytes={}-", 2 * MIB));
    assert_part(&call.send(&cache.host()).await, &blob, 2 * MIB, 4 * MIB - 1);
    assert!(upstream.bytes_sent() <= 4 * MIB as u64 + TWICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_body_that_ends_neatly_is_gone_on_with() {
    let (upstream, cache, blob, path) = chain_with_blob(14, 4 * MIB).await;
    // A range that is answered with less than was asked for, again and again.
    let some = Answer::by(|request| {
        let first: usize = match request.header("Range") {
            None => return Answer::held().cut_at(MIB, Cut::Fin),
            Some(range) => range["bytes=".len()..]
                .trim_end_matches('-')
                .parse()
                .unwrap(),
        };
        let last = (first + MIB).min(4 * MIB) - 1;
        let bytes = Item::random(14, 4 * MIB).bytes.slice(first..=last);
        Answer::body(206, "application/octet-stream", bytes).header(
            "Content-Range",
            &format!("bytes {first}-{last}/{}", 4 * MIB),
        )
    });
    upstream.on("GET", &path, some);
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(asked_from(&upstream, &path), [MIB, 2 * MIB, 3 * MIB]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_from_a_signed_address_goes_on_at_a_new_one() {
    let (upstream, cache, blob, path) = chain_with_blob(15, 4 * MIB).await;
    let storage = ScriptedUpstream::start().await;
    storage.on_next(1, "GET", "/signed/*", Answer::held().cut_at(MIB, Cut::Fin));
    let signed = Signed {
        uses: 1,
        ..Signed::default()
    };
    upstream.redirect_blobs_to(&storage, 307, signed);
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(
        upstream.count("GET", &path),
        2,
        "the registry is asked for an address again"
    );
    assert_eq!(storage.count("GET", "/signed/*"), 2);
    assert!(storage.bytes_sent() <= 4 * MIB as u64 + TWICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_expires_while_the_link_is_cut_is_renewed() {
    for (seed, refusal) in [(16, 403), (17, 400)] {
        let (upstream, cache, blob, path) = chain_with_blob(seed, 4 * MIB).await;
        let storage = ScriptedUpstream::start().await;
        storage.on_next(1, "GET", "/signed/*", Answer::held().cut_at(MIB, Cut::Fin));
        let expired = Answer::body(refusal, "application/xml", "<Error>expired</Error>");
        storage.on_next(1, "GET", "/signed/*", expired);
        upstream.redirect_blobs_to(&storage, 307, Signed::default());
        assert_blob(&get(&path).send(&cache.host()).await, &blob);
        assert_eq!(asked_from(&storage, "/signed/*"), [MIB, MIB], "{refusal}");
        assert_eq!(upstream.count("GET", &path), 3);
        let _ = cache;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_in_the_middle_of_a_blob_is_renewed() {
    let (upstream, cache, blob, path) = chain_with_blob(18, 4 * MIB).await;
    let (desk, gate) = (TokenDesk::new(), Gate::new());
    upstream.protect(Protection::Bearer(desk.clone()));
    let cut = Answer::held().stops_at(MIB, &gate).cut_at(MIB, Cut::Fin);
    upstream.on_next(1, "GET", &path, cut);
    let (call, host) = (get(&path), cache.host());
    let pull = tokio::spawn(async move { call.send(&host).await });
    gate.wait_reached(1, SOON).await;
    desk.revoke_all();
    gate.open();
    assert_blob(&pull.await.unwrap(), &blob);
    assert_eq!(desk.issued(), 2);
    assert!(upstream.bytes_sent() <= 4 * MIB as u64 + TWICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_ignores_ranges_is_read_from_its_beginning_and_no_byte_is_sent_on_twice() {
    let (upstream, cache, blob, path) = chain_with_blob(19, 4 * MIB).await;
    upstream.on_next(1, "GET", &path, Answer::held().cut_at(MIB, Cut::Fin));
    upstream.on("GET", &path, Answer::held().ranges(Ranges::Ignore));
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(upstream.count("GET", &path), 2);
    kept(&cache, &blob.digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_sends_the_same_bytes_again_and_again_is_left_alone_after_a_while() {
    let (upstream, cache, blob, path) = chain_with_blob(24, 4 * MIB).await;
    let always_cut = Answer::held()
        .cut_at(3 * MIB, Cut::Fin)
        .ranges(Ranges::Ignore);
    let rule = upstream.on("GET", &path, always_cut);
    let answer = get(&path).send(&cache.host()).await;
    assert!(answer.body.len() < blob.bytes.len() && blob.bytes.starts_with(&answer.body));
    // The first time, three times more, and the one in which it is noticed.
    let sent = upstream.bytes_sent();
    assert!(sent <= 5 * 3 * MIB as u64 + 64 * 1024, "{sent}");
    rule.remove();
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_another_part_than_was_asked_for_is_refused() {
    for (seed, lie) in [
        (20, Ranges::WrongStart),
        (21, Ranges::NoHeader),
        (22, Ranges::Refuse(416)),
        (23, Ranges::Refuse(501)),
    ] {
        let (upstream, cache, blob, path) = chain_with_blob(seed, 2 * MIB).await;
        upstream.on_next(1, "GET", &path, Answer::held().cut_at(MIB, Cut::Fin));
        upstream.on("GET", &path, Answer::held().ranges(lie));
        // The whole is asked for instead.
        assert_blob(&get(&path).send(&cache.host()).await, &blob);
        assert_eq!(
            (whole_gets(&upstream, &path), part_gets(&upstream, &path)),
            (2, 1),
            "{lie:?}"
        );
        kept(&cache, &blob.digest).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_gives_nothing_but_lies_cuts_its_callers_and_can_be_gone_on_with() {
    let (upstream, cache, blob, path) = chain_with_blob(24, 2 * MIB).await;
    upstream.on_next(1, "GET", &path, Answer::held().cut_at(MIB, Cut::Fin));
    let lie = Answer::body(206, "application/octet-stream", "nothing of it")
        .header("Content-Range", "bytes 5-17/18");
    let lying = upstream.on("GET", &path, lie);
    let answer = get(&path).send(&cache.host()).await;
    assert_eq!(answer.ended, Ended::Short);
    assert!(!is_a_lie(&answer, &blob) && blob.bytes.starts_with(&answer.body));
    assert!(!holds(&cache, &blob.digest));
    lying.remove();
    upstream.forget_requests();
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(asked_from(&upstream, &path), [MIB]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_portal_in_the_way_is_no_part_of_a_blob_and_costs_nothing_that_came() {
    let (upstream, cache, blob, path) = chain_with_blob(25, 2 * MIB).await;
    upstream.on_next(1, "GET", &path, Answer::held().cut_at(MIB, Cut::Fin));
    upstream.on_next(
        1,
        "GET",
        &path,
        Answer::body(200, "text/html", "<html>Please log in"),
    );
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(asked_from(&upstream, &path), [MIB, MIB]);
    kept(&cache, &blob.digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_wrong_after_a_cut_end_short_and_are_not_kept() {
    let (upstream, cache, blob, path) = chain_with_blob(26, 2 * MIB).await;
    upstream.on_next(1, "GET", &path, Answer::held().cut_at(MIB, Cut::Fin));
    upstream.on_next(1, "GET", &path, Answer::held().flips(MIB + MIB / 2));
    let answer = get(&path).send(&cache.host()).await;
    assert_eq!((answer.status, answer.ended), (200, Ended::Short));
    assert!(answer.body.len() <= 2 * MIB - LAST_PIECE && !holds(&cache, &blob.digest));
    no_leftovers(&cache).await;
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
}

/// A cache that was killed after so many bytes of a blob had come, and runs again.
async fn killed_after(
    bytes: usize,
    seed: u64,
    size: usize,
) -> (ScriptedUpstream, Registry, Item, String) {
    let (upstream, mut cache, blob, path) = chain_with_blob(seed, size).await;
    let gate = Gate::new();
    let stopping = upstream.on("GET", &path, Answer::held().stops_at(bytes, &gate));
    let mut opened = get(&path).open(&cache.host()).await.unwrap();
    gate.wait_reached(1, SOON).await;
    // What a reader was given is in the file.
    let given = opened.read(bytes.min(size - LAST_PIECE)).await;
    assert!(given.len() >= bytes.min(size - LAST_PIECE));
    cache.kill();
    stopping.remove();
    drop(opened);
    cache.start().await;
    (upstream, cache, blob, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_after_a_kill_and_a_restart() {
    for (seed, bytes) in [(30, MIB), (31, 5 * MIB), (32, 8 * MIB - 1)] {
        let (upstream, cache, blob, path) = killed_after(bytes, seed, 8 * MIB).await;
        assert_blob(&get(&path).send(&cache.host()).await, &blob);
        assert_eq!(whole_gets(&upstream, &path), 1);
        assert!(
            upstream.bytes_sent() <= 12 * MIB as u64,
            "{} bytes for 8 MiB, killed after {bytes}",
            upstream.bytes_sent()
        );
        kept(&cache, &blob.digest).await;
        no_leftovers(&cache).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_left_is_no_answer_for_a_repository_that_may_not_have_it() {
    let (upstream, cache, blob, path) = killed_after(2 * MIB, 33, 4 * MIB).await;
    let theirs = blob_path("team/other", &blob.digest);
    let answer = get(&theirs).send(&cache.host()).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    upstream.hold_blob(&blob, "team/other");
    upstream.forget_requests();
    assert_blob(&get(&theirs).send(&cache.host()).await, &blob);
    assert_eq!(whole_gets(&upstream, &theirs), 0);
    assert_eq!(get(&path).send(&cache.host()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_keeps_what_came() {
    let (upstream, mut cache, blob, path) = chain_with_blob(34, 4 * MIB).await;
    let gate = Gate::new();
    let stopping = upstream.on("GET", &path, Answer::held().stops_at(2 * MIB, &gate));
    let mut opened = get(&path).open(&cache.host()).await.unwrap();
    assert!(opened.read(MIB).await.len() >= MIB);
    gate.wait_reached(1, SOON).await;
    drop(opened);
    cache.stop().await;
    assert!(!leftovers(&cache).is_empty());
    stopping.remove();
    upstream.forget_requests();
    cache.start().await;
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(whole_gets(&upstream, &path), 0);
    assert!(upstream.bytes_sent() <= 3 * MIB as u64 + TWICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_while_a_download_was_cut_disturbs_nobody_and_the_download_ends_as_a_blob() {
    let (upstream, cache, blob, path) = chain_with_blob(35, 4 * MIB).await;
    let gate = Gate::new();
    let cut = Answer::held().stops_at(MIB, &gate).cut_at(MIB, Cut::Fin);
    upstream.on_next(1, "GET", &path, cut);
    let opened = get(&path).open(&cache.host()).await.unwrap();
    gate.wait_reached(1, SOON).await;
    drop(opened);
    gate.open();
    kept(&cache, &blob.digest).await;
    assert_eq!(asked_from(&upstream, &path), [MIB]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_continuation_is_counted() {
    let upstream = ScriptedUpstream::start().await;
    let settings = mirror_of(&upstream.url()).set("REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED", "true");
    let cache = settings.start().await;
    let blob = Item::random(36, 4 * MIB);
    upstream.hold_blob(&blob, REPOSITORY);
    let path = blob_path(REPOSITORY, &blob.digest);
    upstream.on_next(1, "GET", &path, Answer::held().cut_at(MIB, Cut::Fin));
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    let host = upstream.host();
    let wanted = [
        format!("cistern_download_resumes_total{{upstream=\"{host}\",after=\"cut\"}} 1"),
        format!("cistern_partial_bytes_saved_total {MIB}"),
        "cistern_held_callers 0".to_owned(),
    ];
    eventually("counting it", SOON, || async {
        let page = get("/metrics").send(&cache.host()).await.text();
        wanted.iter().all(|line| page.contains(line))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_before_the_first_byte_is_told_at_once() {
    let (upstream, cache) = chain().await;
    let path = blob_path(REPOSITORY, &Item::random(37, 10).digest);
    upstream.on("GET", &path, Answer::hang_up(Cut::Fin));
    let answer = get(&path).send(&cache.host()).await;
    assert_eq!(answer.status, 503);
    assert!(leftovers(&cache).is_empty());
}
