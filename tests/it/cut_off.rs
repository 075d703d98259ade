//! No byte twice: what a cut link or a killed cache costs is counted where it is paid, on the link.

use std::time::Duration;

use cistern_tests::caller::{Answered, get};
use cistern_tests::cistern::mirror_of;
use cistern_tests::eventually;
use cistern_tests::images::Item;
use cistern_tests::registry::Registry;
use cistern_tests::relay::Relay;
use cistern_tests::scripted_upstream::{Request, ScriptedUpstream};

use crate::common::{MIB, REPOSITORY, SOON, assert_blob, blob_path, whole_gets};

/// What a killed process may cost of what it has received.
const LOST_BY_A_KILL: u64 = 4 * MIB as u64;

/// An upstream that holds one blob, a link to it, and a cache at its near end.
struct Line {
    upstream: ScriptedUpstream,
    relay: Relay,
    cache: Registry,
    blob: Item,
    path: String,
}

impl Line {
    async fn of(seed: u64, size: usize) -> Self {
        let upstream = ScriptedUpstream::start().await;
        let blob = Item::random(seed, size);
        upstream.hold_blob(&blob, REPOSITORY);
        let relay = Relay::start(upstream.address());
        let cache = mirror_of(&relay.url()).start().await;
        let path = blob_path(REPOSITORY, &blob.digest);
        Self {
            upstream,
            relay,
            cache,
            blob,
            path,
        }
    }

    fn size(&self) -> u64 {
        self.blob.bytes.len() as u64
    }

    /// Somebody asks for the blob, whatever becomes of it.
    fn ask(&self) -> tokio::task::JoinHandle<Answered> {
        let (call, host) = (get(&self.path).patience(SOON), self.cache.host());
        tokio::spawn(async move { call.send(&host).await })
    }

    /// Whole, right and uninterrupted, with no more than `extra` bytes over the link beside the blob's own.
    fn assert_paid(&self, answer: &Answered, extra: u64) {
        assert_blob(answer, &self.blob);
        let (received, size) = (self.relay.received(), self.size());
        assert!(
            received <= size + extra,
            "{received} bytes over the link for {size}:\n{}",
            self.cache.log()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_cut_at_95_percent_costs_no_byte_twice_and_the_caller_sees_nothing_of_it() {
    let line = Line::of(1, 200 * MIB).await;
    line.relay.cut_after(line.size() / 100 * 95);
    let answer = line.ask().await.unwrap();
    line.assert_paid(&answer, MIB as u64);
    assert_eq!(line.relay.cuts(), 1);
    assert_eq!(whole_gets(&line.upstream, &line.path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_stays_away_for_seconds_costs_no_byte_twice_either() {
    let line = Line::of(2, 50 * MIB).await;
    line.relay.refuse_after(line.size() / 2);
    let asked = line.ask();
    eventually("the cut", SOON, || async { line.relay.cuts() == 1 }).await;
    // The outage itself: nothing else is waited for.
    tokio::time::sleep(Duration::from_secs(3)).await;
    line.relay.open();
    line.assert_paid(&asked.await.unwrap(), MIB as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_callers_over_a_link_that_is_cut_again_and_again_are_all_served_from_one_copy() {
    let line = Line::of(3, 15 * MIB).await;
    line.relay.cut_every(3 * MIB as u64);
    let callers: Vec<_> = (0..20).map(|_| line.ask()).collect();
    for caller in callers {
        line.assert_paid(&caller.await.unwrap(), MIB as u64);
    }
    assert!(line.relay.cuts() >= 4, "{}", line.relay.cuts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_killed_again_and_again_pays_at_most_4_mib_for_each_time() {
    const ROUNDS: u64 = 20;
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let mut dice = Dice(u64::from(since.subsec_nanos()));
    eprintln!("seed {}", dice.0);
    let mut line = Line::of(4, 128 * MIB).await;
    line.relay.throttle(Some(50_000_000));
    let (mut begun, mut here) = (0, 0);
    for round in 0..ROUNDS {
        let before = line.relay.received();
        let asked = line.ask();
        // So that all rounds together come nearly to the end, and each ends anywhere.
        let stop = dice.below((line.size() - here) * 2 / (ROUNDS - round + 1));
        eventually("so much, or all", SOON, || async {
            line.relay.received() >= before + stop || asked.is_finished()
        })
        .await;
        line.cache.kill();
        asked.await.unwrap();
        let from = line.begins(begun);
        eprintln!("round {round}: from {from} on, killed after {stop}");
        assert!(
            from >= begun,
            "it had {begun} bytes, and asked for those from {from} on"
        );
        begun = from;
        here = line.size().min(from + line.relay.received() - before);
        line.cache.start().await;
    }
    let answer = line.ask().await.unwrap();
    eprintln!("{} bytes over the link", line.relay.received());
    line.assert_paid(&answer, ROUNDS * LOST_BY_A_KILL);
}

impl Line {
    /// From where on the run that ended has asked for the blob; if it has not asked at all, from where one did before.
    fn begins(&self, before: u64) -> u64 {
        let asked = self.upstream.requests_of("GET", &self.path);
        self.upstream.forget_requests();
        let begins = asked.iter().map(|request| begins_at(request));
        begins.min().unwrap_or(before)
    }
}

/// The first byte that a request asks for.
fn begins_at(request: &Request) -> u64 {
    let range = request.header("Range").and_then(|range| {
        let (first, _) = range.strip_prefix("bytes=")?.split_once('-')?;
        first.parse().ok()
    });
    range.unwrap_or(0)
}

/// Numbers that depend on a seed only (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % end.max(1)
    }
}
