use std::sync::atomic::{AtomicU32, Ordering};

use cistern_storage::{Options, Storage, SystemClock};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::*;
use crate::metrics::Metrics;
use crate::pull::{Pull, PullOptions};
use crate::upstream::UpstreamOptions;

const HOST: &str = "registry.example";

fn lost() -> UpstreamError {
    UpstreamError {
        host: HOST.into(),
        fault: Fault::Unreachable {
            link: LinkFault::Connect,
            detail: "refused".to_owned(),
        },
    }
}

fn broken() -> (Links, watch::Receiver<LinkState>) {
    let links = Links::new(Arc::new(SystemClock), Arc::new(Metrics::new()));
    let changes = links.watch_host(HOST);
    links.note_silence(HOST);
    (links, changes)
}

/// When each probe came, if so many fail before one is answered.
async fn probes(failures: u32) -> (Vec<Duration>, bool, LinkState) {
    let (links, mut changes) = broken();
    let (began, at) = (Instant::now(), Mutex::new(Vec::new()));
    let ask = || async {
        let mut at = at.lock();
        at.push(began.elapsed());
        if at.len() > usize::try_from(failures).unwrap() {
            Ok(())
        } else {
            Err(lost())
        }
    };
    let outage = Outage {
        links: &links,
        host: HOST,
    };
    let was_lost = outage.probe(&mut changes, ask).await;
    let at = at.lock().clone();
    (at, was_lost, links.state(HOST))
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_comes_a_second_after_the_fault_and_may_end_the_outage() {
    let (at, was_lost, state) = probes(0).await;
    assert_eq!((at.len(), was_lost, state), (1, false, LinkState::Online));
    assert!(at[0].as_secs_f64() > 0.79 && at[0].as_secs_f64() < 1.21);
}

#[tokio::test(start_paused = true)]
async fn probes_grow_rare_but_never_rarer_than_every_36_seconds() {
    let (at, was_lost, state) = probes(40).await;
    assert_eq!((at.len(), was_lost, state), (41, true, LinkState::Online));
    for (before, pair) in (1_u32..).zip(at.windows(2)) {
        let pause = pair[1].abs_diff(pair[0]).as_secs_f64();
        let meant = 2.0_f64.powf(f64::from(before)).min(30.0);
        assert!(
            pause > meant * 0.79 && pause < meant * 1.21,
            "{pause} for {meant}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn probing_ends_when_somebody_else_got_an_answer() {
    let (links, mut changes) = broken();
    let asked = AtomicU32::new(0);
    let ask = || async {
        asked.fetch_add(1, Ordering::SeqCst);
        Err(lost())
    };
    let outage = Outage {
        links: &links,
        host: HOST,
    };
    let answered = async {
        sleep(Duration::from_secs(10)).await;
        assert_eq!(links.state(HOST), LinkState::Offline);
        links.note_answer(HOST);
    };
    let (was_lost, ()) = tokio::join!(outage.probe(&mut changes, ask), answered);
    assert!(was_lost);
    assert_eq!(asked.into_inner(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_meets_silence_is_given_up() {
    let (links, mut changes) = broken();
    let outage = Outage {
        links: &links,
        host: HOST,
    };
    let probing = outage.probe(&mut changes, std::future::pending);
    let limit = Duration::from_secs(12);
    assert!(timeout(limit, probing).await.is_err());
    assert_eq!(links.state(HOST), LinkState::Offline);
}

#[tokio::test]
async fn who_watches_a_link_stops_with_the_server() {
    let root = tempfile::tempdir().unwrap();
    let storage = Storage::open(Options::new(root.path())).await.unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let pull = Pull::new(PullOptions {
        stop: stop.clone(),
        ..PullOptions::of_tests(&storage, &tasks)
    });
    // Nobody listens there: the port of a socket that is gone.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let upstream = Upstream::new(UpstreamOptions::new(url.parse().unwrap())).unwrap();
    pull.watch_link(&upstream, stop.clone());
    pull.links().note_silence(upstream.host());
    tasks.close();
    stop.cancel();
    timeout(Duration::from_secs(20), tasks.wait())
        .await
        .unwrap();
}

#[test]
fn a_pause_is_never_changed_by_more_than_a_fifth() {
    let pause = Duration::from_secs(10);
    for chance in [0, 1, 200, 400, 401, u64::MAX] {
        let jittered = jittered(pause, chance);
        assert!(jittered >= pause * 4 / 5 && jittered <= pause * 6 / 5);
    }
}
