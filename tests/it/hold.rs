//! While the link is down in the middle of a blob its callers are held, and go on when it is back: so many, and for so long, as
//! the settings say.

use std::time::{Duration, Instant};

use cistern_tests::caller::{Answered, Ended, Opened, get};
use cistern_tests::images::Item;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, ScriptedUpstream};

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, blob_path, kept, leftovers, part_gets, whole_gets,
};
use crate::scene::{assert_refused, cache_of};

/// What containerd waits for the head of an answer.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// A cache whose upstream will stop in the middle of a blob of two mebibytes, and `count` callers who have read some of it.
struct InTheMiddle {
    upstream: ScriptedUpstream,
    cache: Registry,
    blob: Item,
    path: String,
    callers: Vec<(Opened, Vec<u8>)>,
}

impl InTheMiddle {
    async fn of(seed: u64, count: usize, settings: &[(&str, &str)]) -> Self {
        let upstream = ScriptedUpstream::start().await;
        let cache = cache_of(&upstream, settings).start().await;
        let blob = Item::random(seed, 2 * MIB);
        upstream.hold_blob(&blob, REPOSITORY);
        let path = blob_path(REPOSITORY, &blob.digest);
        let gate = Gate::new();
        upstream.on_next(1, "GET", &path, Answer::held().stops_at(MIB, &gate));
        let mut scene = Self {
            upstream,
            cache,
            blob,
            path,
            callers: Vec::new(),
        };
        for _ in 0..count {
            let opened = scene.open().await;
            scene.callers.push(opened);
        }
        gate.wait_reached(1, SOON).await;
        scene
    }

    /// The upstream is there again, and counts anew; whoever asks then is served.
    async fn comes_back(&mut self) {
        self.upstream.start_again().await;
        self.upstream.forget_requests();
        cistern_tests::eventually("asking again", SOON, || async {
            self.get().await.status == 200
        })
        .await;
    }

    /// A caller who has read all that is there but a little.
    async fn open(&self) -> (Opened, Vec<u8>) {
        let mut opened = get(&self.path)
            .patience(Duration::from_secs(90))
            .open(&self.cache.host())
            .await
            .unwrap();
        assert_eq!(opened.status, 200);
        let first = opened.read(MIB / 2).await.to_vec();
        assert!(first.len() >= MIB / 2, "{:?}", opened.ended);
        (opened, first)
    }

    async fn get(&self) -> Answered {
        get(&self.path).send(&self.cache.host()).await
    }

    /// Reads every caller's answer to its end.
    async fn finish(callers: Vec<(Opened, Vec<u8>)>) -> Vec<(Vec<u8>, Ended)> {
        let mut tasks = Vec::new();
        for (opened, mut body) in callers {
            tasks.push(tokio::spawn(async move {
                let answer = opened.finish().await;
                body.extend_from_slice(&answer.body);
                (body, answer.ended)
            }));
        }
        let mut ended = Vec::new();
        for task in tasks {
            ended.push(task.await.unwrap());
        }
        ended
    }

    fn is_whole(&self, (body, ended): &(Vec<u8>, Ended)) -> bool {
        *ended == Ended::Complete && *body == self.blob.bytes
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_held_while_the_link_is_down_and_go_on_when_it_is_back() {
    let mut scene = InTheMiddle::of(1, 5, &[]).await;
    scene.upstream.stop().await;
    scene.cache.logs("download waits for its upstream").await;
    // As long as it takes to be sure that it is tried more than once.
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.upstream.start_again().await;
    let began = Instant::now();
    let callers = std::mem::take(&mut scene.callers);
    for answer in InTheMiddle::finish(callers).await {
        assert!(scene.is_whole(&answer), "{:?}", answer.1);
    }
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    kept(&scene.cache, &scene.blob.digest).await;
    assert_eq!(whole_gets(&scene.upstream, &scene.path), 1);
    assert_eq!(
        scene
            .upstream
            .requests_of("GET", &scene.path)
            .last()
            .unwrap()
            .header("Range"),
        Some(&*format!("bytes={MIB}-"))
    );
    assert!(scene.upstream.bytes_sent() <= 3 * MIB as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_falls_silent_in_the_middle_is_given_up_and_the_body_goes_on_at_a_new_one() {
    let mut scene = InTheMiddle::of(2, 2, &[]).await;
    // The gate is never opened: this connection is a black hole from here on. The next one is not.
    let callers = std::mem::take(&mut scene.callers);
    for answer in InTheMiddle::finish(callers).await {
        assert!(scene.is_whole(&answer), "{:?}", answer.1);
    }
    assert_eq!(part_gets(&scene.upstream, &scene.path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_callers_were_held_for_as_long_as_they_may_be_they_are_cut_and_what_came_is_kept() {
    let mut scene = InTheMiddle::of(3, 3, &[("PROXY_HOLD", "2s")]).await;
    scene.upstream.stop().await;
    let began = Instant::now();
    let callers = std::mem::take(&mut scene.callers);
    for (body, ended) in InTheMiddle::finish(callers).await {
        assert_eq!(
            ended,
            Ended::Short,
            "an orderly end that can be resumed after"
        );
        assert!(scene.blob.bytes.starts_with(&body) && body.len() >= MIB);
    }
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    scene.cache.logs("download suspended").await;
    assert!(!leftovers(&scene.cache).is_empty());
    scene.comes_back().await;
    assert_blob(&scene.get().await, &scene.blob);
    assert_eq!(whole_gets(&scene.upstream, &scene.path), 0);
    assert!(scene.upstream.bytes_sent() <= 2 * MIB as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_callers_are_held_than_may_be_and_later_ones_are_refused_at_once() {
    let mut scene = InTheMiddle::of(4, 3, &[("PROXY_HOLDLIMIT", "2")]).await;
    scene.upstream.stop().await;
    scene.cache.logs("download waits for its upstream").await;
    let began = Instant::now();
    let refused = scene.get().await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let host = scene.upstream.host();
    assert_refused(
        &refused,
        503,
        "UNAVAILABLE",
        &["as many callers as this cache holds", &host],
    );
    assert!(refused.header("Retry-After").is_some());
    let callers = std::mem::take(&mut scene.callers);
    let finishing = tokio::spawn(InTheMiddle::finish(callers));
    scene.cache.logs("proxy.holdlimit").await;
    scene.upstream.start_again().await;
    let ended = finishing.await.unwrap();
    let whole = ended.iter().filter(|answer| scene.is_whole(answer)).count();
    let cut = ended
        .iter()
        .filter(|(_, ended)| *ended == Ended::Short)
        .count();
    assert_eq!((whole, cut), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_nobody_waits_for_stops_while_the_link_is_down_and_the_next_request_goes_on()
 {
    let mut scene = InTheMiddle::of(5, 2, &[]).await;
    scene.callers.clear();
    scene.upstream.stop().await;
    scene.cache.logs("download suspended").await;
    assert!(!leftovers(&scene.cache).is_empty());
    scene.comes_back().await;
    kept(&scene.cache, &scene.blob.digest).await;
    assert_eq!(whole_gets(&scene.upstream, &scene.path), 0);
    assert!(part_gets(&scene.upstream, &scene.path) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_nobody_waits_for_any_more_makes_room_for_one_that_somebody_waits_for() {
    let mut scene = InTheMiddle::of(9, 1, &[("PROXY_DOWNLOADS", "1")]).await;
    scene.callers.clear();
    let other = Item::random(10, MIB);
    scene.upstream.hold_blob(&other, REPOSITORY);
    let path = blob_path(REPOSITORY, &other.digest);
    assert_blob(&get(&path).send(&scene.cache.host()).await, &other);
    // What came of the first is not lost.
    assert_eq!(scene.get().await.status, 200);
    kept(&scene.cache, &scene.blob.digest).await;
    assert_eq!(part_gets(&scene.upstream, &scene.path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_caller_that_leaves_while_the_link_is_down_ends_the_wait() {
    let mut scene = InTheMiddle::of(6, 2, &[]).await;
    scene.upstream.stop().await;
    scene.cache.logs("download waits for its upstream").await;
    assert!(!scene.cache.log().contains("download suspended"));
    scene.callers.clear();
    scene.cache.logs("download suspended").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_bytes_that_are_not_here_while_the_link_is_down_is_told_before_it_gives_up() {
    let scene = InTheMiddle::of(7, 1, &[]).await;
    scene.upstream.stop().await;
    scene.cache.logs("download waits for its upstream").await;
    let began = Instant::now();
    let call = get(&scene.path)
        .range(&format!("bytes={}-", MIB + MIB / 2))
        .patience(Duration::from_secs(60));
    let answer = call.send(&scene.cache.host()).await;
    assert!(began.elapsed() < HEAD_WITHIN, "{:?}", began.elapsed());
    assert_refused(&answer, 503, "UNAVAILABLE", &[&scene.upstream.host()]);
    scene.upstream.start_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_has_too_many_requests_is_waited_for_in_the_middle_of_a_body() {
    let upstream = ScriptedUpstream::start().await;
    let cache = cache_of(&upstream, &[]).start().await;
    let blob = Item::random(8, 2 * MIB);
    upstream.hold_blob(&blob, REPOSITORY);
    let path = blob_path(REPOSITORY, &blob.digest);
    let cut = cistern_tests::scripted_upstream::Cut::Fin;
    upstream.on_next(1, "GET", &path, Answer::held().cut_at(MIB, cut));
    let limited = Answer::status(429).header("Retry-After", "2");
    upstream.on_next(1, "GET", &path, limited);
    upstream.on_next(3, "GET", &path, Answer::status(503));
    let began = Instant::now();
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert!(began.elapsed() >= Duration::from_secs(2));
}
