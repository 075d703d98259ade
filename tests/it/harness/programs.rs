//! Child processes: found, started, stopped, never left behind.

use std::time::Duration;

use cistern_tests::caller::get;
use cistern_tests::cistern;
use cistern_tests::images::image;
use cistern_tests::need;
use cistern_tests::process::{Process, launch, run};
use cistern_tests::scripted_upstream::ScriptedUpstream;

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let sleep = launch(need::program("sleep"), folder.path(), ["30"]);
    let ran = run(&sleep, Duration::from_millis(200)).await;
    assert!(!ran.success && ran.duration < Duration::from_secs(10));
    assert!(
        run(
            &launch(need::program("true"), folder.path(), [""]),
            Duration::from_secs(10)
        )
        .await
        .success
    );
}

#[tokio::test]
async fn a_dropped_process_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(&launch(need::program("sleep"), folder.path(), ["30"]));
    assert!(process.ended().is_none() && process.resident_bytes() > 0);
    let proc = format!("/proc/{}", process.id());
    drop(process);
    assert!(!std::path::Path::new(&proc).exists());
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        need::missing(&["sh", "no-such-program"]).as_deref(),
        Some("no-such-program")
    );
    assert_eq!(need::missing(&["sh", "ls"]), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_is_built_from_this_working_tree_starts_answers_and_stops() {
    let upstream = ScriptedUpstream::start().await;
    let image = image().random_layers(1, 1, 1000).build();
    upstream.hold(&image, "team/app", &["v1"]);
    let mut cistern = cistern::mirror_of(&upstream.url()).start().await;
    let answer = get("/v2/team/app/manifests/v1").send(&cistern.host()).await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &image.top().bytes),
        "{}",
        cistern.log()
    );
    assert!(
        cistern.rss() > 0 && cistern.stop().await.success(),
        "{}",
        cistern.log()
    );
}
