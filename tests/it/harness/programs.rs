//! Child processes: found, started, stopped, never left behind.

use std::time::Duration;

use cistern_tests::need;
use cistern_tests::process::{Process, launch, run};

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

#[test]
fn the_product_is_built_from_this_working_tree() {
    assert!(cistern_tests::cistern::program().is_file());
}
