//! The bad link does what a test says, to the byte.

use std::time::{Duration, Instant};

use cistern_tests::caller::{Answered, Ended, get};
use cistern_tests::eventually;
use cistern_tests::images::Item;
use cistern_tests::relay::Relay;
use cistern_tests::scripted_upstream::ScriptedUpstream;

use crate::common::{MIB, REPOSITORY, SOON, assert_blob, blob_path};

/// An upstream that holds one blob, the link to it, and the blob's path.
async fn linked(seed: u64, size: usize) -> (ScriptedUpstream, Relay, Item, String) {
    let upstream = ScriptedUpstream::start().await;
    let blob = Item::random(seed, size);
    upstream.hold_blob(&blob, REPOSITORY);
    let relay = Relay::start(upstream.address());
    let path = blob_path(REPOSITORY, &blob.digest);
    (upstream, relay, blob, path)
}

fn head_of(answer: &Answered) -> u64 {
    // Status line, header lines, the empty line.
    let lines = answer.headers.iter();
    let sum = lines.map(|(name, value)| name.len() + value.len() + 4);
    (sum.sum::<usize>() + "HTTP/1.1 200 OK\r\n\r\n".len()) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_carries_everything_and_counts_both_ways() {
    let (_upstream, relay, blob, path) = linked(1, MIB).await;
    let answer = get(&path).send(&relay.host()).await;
    assert_blob(&answer, &blob);
    assert_eq!(relay.received(), MIB as u64 + head_of(&answer));
    assert!((50..1000).contains(&relay.sent()), "{}", relay.sent());
    assert_eq!((relay.connections(), relay.cuts()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_cut_at_the_planned_byte_and_works_again_at_once() {
    let (_upstream, relay, blob, path) = linked(2, MIB).await;
    relay.cut_after(300_000);
    let answer = get(&path).send(&relay.host()).await;
    assert_eq!(answer.ended, Ended::Short);
    assert_eq!(head_of(&answer) + answer.body.len() as u64, 300_000);
    assert_blob(&get(&path).send(&relay.host()).await, &blob);
    assert_eq!(relay.cuts(), 1);

    relay.cut_every(400_000);
    for cuts in 2..6 {
        let answer = get(&path).send(&relay.host()).await;
        assert_eq!(head_of(&answer) + answer.body.len() as u64, 400_000);
        assert_eq!(relay.cuts(), cuts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_refuses_comes_back_on_the_same_port() {
    let (_upstream, relay, blob, path) = linked(3, MIB).await;
    for _ in 0..3 {
        relay.refuse_after(500_000);
        let broken = get(&path).send(&relay.host()).await;
        assert_eq!((broken.status, broken.ended), (200, Ended::Short));
        eventually("refusing", SOON, || async {
            let answer = get(&path).send(&relay.host()).await;
            answer.status == 0 && answer.ended == Ended::Reset
        })
        .await;
        relay.open();
        assert_blob(&get(&path).send(&relay.host()).await, &blob);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_swallows_is_silent_and_then_goes_on_where_it_was() {
    let (_upstream, relay, blob, path) = linked(4, MIB).await;
    relay.swallow_after(500_000);
    let mut opened = get(&path).open(&relay.host()).await.unwrap();
    let before = opened.read(400_000).await;
    eventually("silence", SOON, || async { relay.received() == 500_000 }).await;
    let patience = Duration::from_millis(200);
    let mute = get("/v2/").patience(patience).send(&relay.host()).await;
    assert_eq!((mute.status, mute.ended), (0, Ended::TimedOut));
    relay.open();
    let rest = opened.finish().await;
    assert!([&before[..], &rest.body[..]].concat() == blob.bytes);
    assert_eq!(relay.cuts(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_link_is_as_slow_as_it_should_be() {
    let (_upstream, relay, blob, path) = linked(5, MIB).await;
    relay.throttle(Some(4 * MIB as u64));
    let began = Instant::now();
    assert_blob(&get(&path).send(&relay.host()).await, &blob);
    assert!(
        began.elapsed() >= Duration::from_millis(230),
        "{:?}",
        began.elapsed()
    );
}
