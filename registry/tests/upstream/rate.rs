//! The budget of the link, as bodies meet it.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cistern::metrics::{Counters, Metrics};
use cistern::upstream::{Budget, Part, Priority, RateNow, Upstream};
use futures_util::StreamExt as _;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::server::{Server, ok};
use super::{impatient, name, sha256};

fn blob(size: u32) -> Vec<u8> {
    (0..size / 4).flat_map(u32::to_le_bytes).collect()
}

/// A budget whose rate can be changed; it looks every ten milliseconds.
fn budget(rate: &Arc<AtomicU64>, passed: Counters<Priority>) -> Budget {
    let rate = Arc::clone(rate);
    let judge = move || RateNow {
        rate: NonZeroU64::new(rate.load(Ordering::Relaxed)),
        window: None,
        holds_for: Duration::from_millis(10),
    };
    Budget::new(judge, TaskTracker::new(), passed)
}

/// Takes parts of the link all the time, as other bodies do.
fn others(tasks: &mut JoinSet<()>, budget: &Budget, count: usize) {
    for _ in 0..count {
        let budget = budget.clone();
        tasks.spawn(async move {
            loop {
                budget.take(4 * 1024, Priority::Interactive).await;
                tokio::task::yield_now().await;
            }
        });
    }
}

#[tokio::test]
async fn a_body_that_waits_for_its_share_of_the_link_is_not_silent() {
    let blob = blob(80_000);
    let digest = sha256(&blob);
    let whole = blob.clone();
    let server = Server::start(move |_| ok(whole.clone())).await;
    let rate = Arc::new(AtomicU64::new(32 * 1024));
    // Nothing may come for 400 ms; but each part of this body waits for twelve others, a second and a half.
    let mut options = impatient(&server.url());
    options.budget = budget(&rate, Metrics::new().link_bytes.clone());
    let mut tasks = JoinSet::new();
    others(&mut tasks, &options.budget, 12);
    options.budget.take(64 * 1024, Priority::Interactive).await;
    let upstream = Upstream::new(options).unwrap();
    let answer = upstream.get_blob(&name("a"), &digest, Part::Whole).await;
    let mut body = answer.unwrap().body;
    let mut got = Vec::new();
    while got.len() < 12_000 {
        got.extend_from_slice(&body.next().await.unwrap().unwrap());
    }
    assert!(body.holds_bytes());
    // Without a limit the rest is there at once.
    rate.store(0, Ordering::Relaxed);
    while let Some(piece) = body.next().await {
        got.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(got, blob);
}

#[tokio::test]
async fn all_upstreams_share_one_budget_and_its_bytes_are_counted_by_priority() {
    let blob = blob(30_000);
    let digest = sha256(&blob);
    let metrics = Metrics::new();
    let rate = Arc::new(AtomicU64::new(1_000_000));
    let budget = budget(&rate, metrics.link_bytes.clone());
    for priority in [Priority::Interactive, Priority::Warm] {
        let whole = blob.clone();
        let server = Server::start(move |_| ok(whole.clone())).await;
        let mut options = super::options(&server.url());
        options.budget = budget.clone();
        let upstream = Upstream::new(options).unwrap();
        let answer = upstream.get_blob(&name("a"), &digest, Part::Whole).await;
        let mut body = answer.unwrap().body;
        body.set_priority(priority);
        let mut got = Vec::new();
        while let Some(piece) = body.next().await {
            got.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(got, blob);
        assert_eq!(metrics.link_bytes.total(priority), 30_000);
    }
}
