use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::task::Waker;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use tokio::task::JoinSet;

use super::*;
use crate::config::{RateWindow, TimeWindow};
use crate::upstream::Rates;

const KB: u64 = 1_000;
const MB: u64 = 1_000_000;

fn always(rate: u64) -> RateNow {
    RateNow {
        rate: NonZeroU64::new(rate),
        window: None,
        holds_for: Duration::from_mins(1),
    }
}

fn budget_of(rate: u64) -> Budget {
    Budget::new(
        move || always(rate),
        TaskTracker::new(),
        Counters::new("priority"),
    )
}

/// A budget whose clock on the wall starts at a moment in Berlin and goes with the paused time.
fn budget_at(rates: Rates, local: &str) -> Budget {
    let local: DateTime = local.parse().unwrap();
    let start = local.to_zoned(rates.time_zone.clone()).unwrap().timestamp();
    let (start, began) = (std::time::SystemTime::from(start), Instant::now());
    Budget::new(
        move || rates.at(start + began.elapsed()),
        TaskTracker::new(),
        Counters::new("priority"),
    )
}

/// A body that takes pieces until the task ends, and counts what it got.
fn body(
    tasks: &mut JoinSet<()>,
    budget: &Budget,
    piece: usize,
    priority: Priority,
) -> Arc<AtomicU64> {
    let got = Arc::new(AtomicU64::new(0));
    let (budget, counted) = (budget.clone(), Arc::clone(&got));
    tasks.spawn(async move {
        loop {
            budget.take(piece, priority).await;
            counted.fetch_add(piece as u64, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    got
}

fn bytes(of: &AtomicU64) -> u64 {
    of.load(Ordering::Relaxed)
}

fn within(per_mille: u64, got: u64, wanted: u64) {
    let slack = wanted * per_mille / 1000;
    assert!(got.abs_diff(wanted) <= slack, "{got} instead of {wanted}");
}

#[tokio::test(start_paused = true)]
async fn a_minute_brings_a_minute_of_the_rate_within_two_per_cent() {
    for rate in [20 * KB, 125 * KB, 2 * MB, 900 * MB] {
        let budget = budget_of(rate);
        let mut tasks = JoinSet::new();
        let bodies: Vec<_> = [16 * 1024, 200_000, 1_460]
            .map(|piece| piece.min(budget.part()))
            .map(|part| body(&mut tasks, &budget, part, Priority::Interactive))
            .into();
        tokio::time::sleep(Duration::from_mins(1)).await;
        let got = bodies.iter().map(|body| bytes(body)).sum();
        // 64 KiB pass at once, however slow the link is.
        within(20, got, rate * 60 + (64 * 1024_u64).saturating_sub(rate));
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_get_equal_shares_whatever_the_size_of_their_pieces() {
    let budget = budget_of(MB);
    let mut tasks = JoinSet::new();
    let bodies: Vec<_> = [32 * 1024, 64 * 1024, 500_000]
        .map(|piece| body(&mut tasks, &budget, piece, Priority::Interactive))
        .into();
    tokio::time::sleep(Duration::from_mins(2)).await;
    let all: u64 = bodies.iter().map(|body| bytes(body)).sum();
    for body in &bodies {
        // The smallest pieces are smaller than a part, and take their turn with less.
        assert!(bytes(body) * 6 > all, "{} of {all}", bytes(body));
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_waits_for_comes_first_and_warming_gets_the_rest() {
    let budget = budget_of(MB);
    let mut tasks = JoinSet::new();
    let warm = body(&mut tasks, &budget, 50_000, Priority::Warm);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let alone = bytes(&warm);
    within(20, alone, 11 * MB);
    let wanted = body(&mut tasks, &budget, 50_000, Priority::Interactive);
    tokio::time::sleep(Duration::from_mins(1)).await;
    within(20, bytes(&wanted), 60 * MB);
    let trickle = bytes(&warm) - alone;
    assert!((50_000..=250_000).contains(&trickle), "{trickle}");
}

#[tokio::test(start_paused = true)]
async fn a_warm_body_is_never_left_without_a_byte_for_longer_than_a_connection_lives() {
    let budget = budget_of(100 * KB);
    let mut tasks = JoinSet::new();
    for _ in 0..5 {
        body(&mut tasks, &budget, 64 * 1024, Priority::Interactive);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    for _ in 0..4 {
        let asked = Instant::now();
        budget.take(10_000, Priority::Warm).await;
        assert!(
            asked.elapsed() < Duration::from_secs(22),
            "{:?}",
            asked.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_warm_body_that_somebody_joins_is_served_as_one_that_is_waited_for() {
    let budget = budget_of(100 * KB);
    let mut tasks = JoinSet::new();
    body(&mut tasks, &budget, 10_000, Priority::Interactive);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut taken = pin!(budget.take(10_000, Priority::Warm));
    assert!(futures_util::poll!(&mut taken).is_pending());
    let joined = Instant::now();
    taken.set_priority(Priority::Interactive);
    taken.await;
    assert!(joined.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_take_that_is_dropped_gives_its_bytes_back() {
    let budget = budget_of(100 * KB);
    budget.take(100_000, Priority::Interactive).await;
    let mut dropped = Box::pin(budget.take(90_000, Priority::Interactive));
    assert!(futures_util::poll!(&mut dropped).is_pending());
    tokio::time::sleep(Duration::from_millis(850)).await;
    assert!(budget.now().interactive_waiting == 1);
    drop(dropped);
    assert!(budget.now().interactive_waiting == 0);
    let again = Instant::now();
    budget.take(90_000, Priority::Interactive).await;
    assert!(
        again.elapsed() <= Duration::from_millis(60),
        "{:?}",
        again.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_take_that_nobody_polls_holds_up_nobody() {
    let budget = budget_of(100 * KB);
    budget.take(100_000, Priority::Interactive).await;
    let mut forgotten = Box::pin(budget.take(50_000, Priority::Interactive));
    let mut context = Context::from_waker(Waker::noop());
    assert!(forgotten.as_mut().poll(&mut context).is_pending());
    let asked = Instant::now();
    budget.take(50_000, Priority::Interactive).await;
    assert!(asked.elapsed() <= Duration::from_millis(1_050));
    assert!(forgotten.as_mut().poll(&mut context).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_piece_larger_than_the_burst_passes_when_its_time_has_come() {
    let budget = budget_of(100 * KB);
    let began = Instant::now();
    budget.take(1_000_000, Priority::Interactive).await;
    let took = began.elapsed().as_millis();
    assert!((8_900..9_200).contains(&took), "{took} ms");
}

fn night() -> Rates {
    let window = |from, to, rate| RateWindow {
        time: TimeWindow {
            days: [true; 7],
            from,
            to,
        },
        rate: NonZeroU64::new(rate),
    };
    Rates {
        rate: NonZeroU64::new(10 * KB),
        windows: vec![window(22 * 60, 23 * 60, MB), window(23 * 60, 5 * 60, 0)],
        time_zone: TimeZone::get("Europe/Berlin").unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_begins_on_time_for_those_that_wait_already() {
    let budget = budget_at(night(), "2024-07-05T21:59:30");
    budget.take(64 * 1024, Priority::Interactive).await;
    let began = Instant::now();
    // Would take 200 s at the rate of the day: 30 s of it bring 300 kB, the rest comes at the rate of the evening.
    budget.take(2_300_000, Priority::Interactive).await;
    let took = began.elapsed().as_millis();
    assert!((31_900..32_100).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn when_a_limit_ends_all_that_wait_go_and_when_it_begins_they_wait_at_once() {
    let budget = budget_at(night(), "2024-07-05T22:59:58");
    let began = Instant::now();
    let both = [Priority::Interactive, Priority::Warm];
    let waiting = both.map(|priority| budget.take(50_000_000, priority));
    futures_util::future::join_all(waiting).await;
    assert_eq!(began.elapsed().as_millis(), 2_000);
    assert_eq!(budget.part(), usize::MAX);
    budget.take(usize::MAX, Priority::Warm).await;
    assert_eq!(began.elapsed().as_millis(), 2_000);

    let morning = budget_at(night(), "2024-07-06T04:59:59");
    morning.take(1_000_000_000, Priority::Interactive).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    morning.take(20_000, Priority::Interactive).await;
    assert_eq!(
        began.elapsed().as_secs(),
        2,
        "nothing is left over from the night"
    );
}

#[tokio::test]
async fn without_a_limit_everything_passes_at_once_and_is_counted() {
    let passed = Counters::new("priority");
    let budget = Budget::counted(passed.clone());
    budget.take(7, Priority::Warm).await;
    budget.take(5, Priority::Interactive).await;
    assert_eq!(passed.total(Priority::Warm), 7);
    assert_eq!(passed.total(Priority::Interactive), 5);
    assert_eq!(budget.now().rate, None);
}

/// What one body of the property does: when it comes, what it takes, and after how long it gives up a take.
#[derive(Clone, Debug)]
struct Plan {
    comes_after: u64,
    pieces: Vec<usize>,
    patience: Option<u64>,
    is_warm: bool,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (
        0_u64..4_000,
        prop::collection::vec(1_usize..300_000, 1..12),
        prop::option::weighted(0.3, 1_u64..3_000),
        any::<bool>(),
    );
    let plan = plan.prop_map(|(comes_after, pieces, patience, is_warm)| Plan {
        comes_after,
        pieces,
        patience,
        is_warm,
    });
    prop::collection::vec(plan, 1..8)
}

/// What passed, and when, in milliseconds.
type Passed = Arc<Mutex<Vec<(u64, u64)>>>;

async fn follow(plan: Plan, budget: Budget, began: Instant, passed: Passed) {
    tokio::time::sleep(Duration::from_millis(plan.comes_after)).await;
    let priority = if plan.is_warm {
        Priority::Warm
    } else {
        Priority::Interactive
    };
    for piece in plan.pieces {
        let take = budget.take(piece, priority);
        let patience = plan
            .patience
            .map_or(Duration::from_hours(9), Duration::from_millis);
        if tokio::time::timeout(patience, take).await.is_ok() {
            let at = u64::try_from(began.elapsed().as_millis()).unwrap();
            passed.lock().push((at, piece as u64));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever comes, takes and gives up: between any two moments no more passes than the rate brings and the burst holds, and
    /// whoever does not give up gets everything.
    #[test]
    fn never_more_than_the_rate_and_one_burst_passes_and_no_waiter_is_forgotten(
        rate in 1_u64..2_000_000,
        plans in plans(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let all: usize = plans.iter().filter(|plan| plan.patience.is_none()).map(|plan| plan.pieces.len()).sum();
        let passed: Passed = Arc::default();
        let waiting = runtime.block_on(async {
            let (budget, began) = (budget_of(rate), Instant::now());
            let mut tasks = JoinSet::new();
            for plan in plans {
                tasks.spawn(follow(plan, budget.clone(), began, Arc::clone(&passed)));
            }
            tasks.join_all().await;
            budget.now()
        });
        let passed = passed.lock();
        prop_assert!(passed.len() >= all);
        prop_assert_eq!((waiting.interactive_waiting, waiting.warm_waiting), (0, 0));
        // A piece larger than the burst has been paid for before it passes at once.
        let largest = passed.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
        for (first, (begin, _)) in passed.iter().enumerate() {
            let mut sum = 0;
            for (at, bytes) in passed.iter().skip(first) {
                sum += bytes;
                let most = rate.max(64 * 1024) + rate * (at - begin + 1) / 1000 + 7 * largest;
                prop_assert!(sum <= most, "{} bytes from {} to {} ms", sum, begin, at);
            }
        }
        let total: u64 = passed.iter().map(|(_, bytes)| bytes).sum();
        let last = passed.iter().map(|(at, _)| *at).max().unwrap_or_default();
        prop_assert!(total <= rate.max(64 * 1024) + rate * (last + 1) / 1000);
    }
}
