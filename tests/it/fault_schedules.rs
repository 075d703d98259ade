//! Whatever goes wrong, in whatever order: right bytes or a clean error, never a hang, and an upstream that is not asked for
//! more than it takes.
//!
//! `FAULT_SEEDS=17,100-120` runs other schedules than the usual ones; a failure names its seed.

mod random;
mod run;
mod schedule;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::run::Run;
use self::schedule::Schedule;

/// The usual seeds.
const USUAL: &str = "1-60";
/// How many runs at once; most of each is waiting.
const AT_ONCE: usize = 14;

#[tokio::test(flavor = "multi_thread")]
async fn any_schedule_of_faults_ends_with_right_bytes_or_a_clean_error() {
    let began = Instant::now();
    let seeds = seeds(&std::env::var("FAULT_SEEDS").unwrap_or_else(|_| USUAL.to_owned()));
    let count = seeds.len();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for seed in seeds {
        let turns = Arc::clone(&turns);
        running.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let schedule = Schedule::of(seed);
            let wrong = Run::new(schedule.clone()).await.to_the_end().await;
            (schedule, wrong)
        });
    }
    let mut failed = Vec::new();
    while let Some(run) = running.join_next().await {
        let (schedule, wrong) = run.unwrap();
        if !wrong.is_empty() {
            failed.push(format!("{}\nin {schedule:?}", wrong.join("\n")));
        }
    }
    eprintln!("{count} schedules in {:?}", began.elapsed());
    assert!(
        failed.is_empty(),
        "{} of {count} schedules:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

fn seeds(text: &str) -> Vec<u64> {
    let number = |text: &str| text.trim().parse::<u64>().unwrap();
    text.split(',')
        .flat_map(|part| match part.split_once('-') {
            Some((first, last)) => (number(first)..=number(last)).collect(),
            None => vec![number(part)],
        })
        .collect()
}
