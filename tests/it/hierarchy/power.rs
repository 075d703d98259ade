//! The power of the top gateway fails while the uplink is down.
//!
//! What is simulated: the file system of the Cistern is shut down with its journal unwritten, so that whatever was not synced is lost, then every
//! program of the gateway is killed at once, and both are started on what the disk then holds. What is not: a disk that lies about what it has
//! synced, and the loss of the device's clock.

use cistern_tests::hierarchy::{AGENT, Cut, HUB, Hierarchy, LARGE, Plan};
use cistern_tests::need;
use cistern_tests::need::heavy;

use super::pull_and_run;

/// Longer than what was fetched stays unwritten.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn the_bootstrap_pull_works_after_a_power_cut_of_the_top_gateway_while_the_uplink_is_down() {
    need!(
        "network namespaces",
        "power cuts",
        "nginx",
        "docker-registry",
        "htpasswd",
        "static busybox",
        "dockerd",
        "docker",
        "containerd",
        "runc"
    );
    let _alone = heavy().await;
    let mut hierarchy = Hierarchy::build(Plan {
        can_lose_power: true,
        ..Plan::default()
    })
    .await;
    let docker = hierarchy.docker().await;
    pull_and_run(&docker, &hierarchy, &[AGENT, HUB], "cold").await;
    // What has just come is made durable within a second or two; until then it is the kernel's to lose.
    tokio::time::sleep(SETTLED).await;
    hierarchy.uplink.cut(Cut::Down);
    hierarchy.top.lose_power().await;
    hierarchy.top.start_again().await;
    let when = "after the power cut, without the uplink";
    pull_and_run(&docker, &hierarchy, &[AGENT, HUB], when).await;

    hierarchy.top.lose_power().await;
    hierarchy.top.start_again().await;
    pull_and_run(&docker, &hierarchy, &[AGENT], "after another one").await;
    hierarchy.uplink.mend();
    let size = hierarchy.images.large.blob_bytes();
    cistern_tests::eventually("the large image", crate::common::SOON, || async {
        hierarchy.puller().pull(LARGE).await == Ok(size)
    })
    .await;
}
