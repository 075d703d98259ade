//! A hierarchy of devices as it is deployed: a device at the bottom that reaches nothing but its parent, and pulls what the cloud holds.

mod bootstrap;
mod cut;
mod headers;
mod many;
mod power;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cistern_tests::clients::Docker;
use cistern_tests::hierarchy::{AGENT, AGENT_SAYS, Caches, Cut, HUB, Hierarchy, Place, Plan};
use cistern_tests::need;
use cistern_tests::need::heavy;

/// Pulls these from nothing, and runs the first, which is the agent.
async fn pull_and_run(docker: &Docker, hierarchy: &Hierarchy, images: &[&str], when: &str) {
    docker.forget_images().await;
    for image in images {
        let pulled = docker.pull(&hierarchy.name_of(image)).await;
        let (top, middle) = (hierarchy.top.proxy.log(), hierarchy.middle.proxy.log());
        let cache = hierarchy.top.cache().log();
        assert!(
            pulled.success,
            "{when}: {}\ntop:\n{top}\nmiddle:\n{middle}\ncache:\n{cache}",
            pulled.output
        );
    }
    let said = docker.run_image(&hierarchy.name_of(images[0])).await.well();
    assert_eq!(said.trim(), AGENT_SAYS, "{when}");
}

/// How a connection from the bottom goes to a port that somebody has.
async fn reaches(from: &Place, to: impl Into<SocketAddr>) -> bool {
    let host = to.into().to_string();
    let connecting = from.namespace().connect(&host);
    matches!(
        tokio::time::timeout(Duration::from_secs(3), connecting).await,
        Ok(Ok(_))
    )
}

async fn assert_reaches_its_parent_alone(hierarchy: &Hierarchy) {
    let bottom = &hierarchy.bottom;
    let (own, top) = (
        hierarchy.lower.upper_address(),
        hierarchy.upper.upper_address(),
    );
    assert!(reaches(bottom, (own, 443)).await);
    let elsewhere = [
        // The top layer's proxy and its other leg, the cloud, the middle layer's other leg, and the registry module itself.
        (top, 443),
        (hierarchy.uplink.lower_address(), 443),
        (hierarchy.uplink.upper_address(), 443),
        (hierarchy.upper.lower_address(), 443),
        ([127, 0, 0, 5].into(), 5000),
        (own, 5000),
    ];
    for (address, port) in elsewhere {
        assert!(!reaches(bottom, (address, port)).await, "{address}:{port}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_at_the_bottom_pulls_and_runs_the_agent_cold_warm_and_with_the_uplink_cut() {
    need!(
        "network namespaces",
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
    let hierarchy = Hierarchy::build(Plan::default()).await;
    assert_reaches_its_parent_alone(&hierarchy).await;
    let docker = hierarchy.docker().await;
    let images = [AGENT, HUB];
    pull_and_run(&docker, &hierarchy, &images, "cold").await;
    pull_and_run(&docker, &hierarchy, &images, "warm").await;
    let paid = hierarchy.uplink.came_down();
    for cut in [Cut::Down, Cut::Silent] {
        hierarchy.uplink.cut(cut);
        let began = Instant::now();
        pull_and_run(&docker, &hierarchy, &images, &format!("cut: {cut:?}")).await;
        assert!(began.elapsed() < Duration::from_secs(40), "{cut:?}");
        hierarchy.uplink.mend();
    }
    let paid = hierarchy.uplink.came_down() - paid;
    assert!(paid < 20_000, "{paid} bytes for what was here");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_gateway_may_have_a_cache_of_its_own() {
    need!(
        "network namespaces",
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
    let hierarchy = Hierarchy::build(Plan {
        caches: Caches::Chained,
        ..Plan::default()
    })
    .await;
    let docker = hierarchy.docker().await;
    pull_and_run(&docker, &hierarchy, &[AGENT, HUB], "cold").await;
    let paid = (hierarchy.uplink.came_down(), hierarchy.upper.came_down());
    for cut in [Cut::Down, Cut::Silent] {
        // What the middle layer has is enough when even the top is away.
        hierarchy.upper.cut(cut);
        pull_and_run(&docker, &hierarchy, &[AGENT, HUB], &format!("cut: {cut:?}")).await;
        hierarchy.upper.mend();
    }
    let now = (hierarchy.uplink.came_down(), hierarchy.upper.came_down());
    assert!(
        now.0 - paid.0 < 20_000 && now.1 - paid.1 < 60_000,
        "{paid:?} {now:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_not_given_the_root_of_the_hierarchy_pulls_nothing() {
    need!(
        "network namespaces",
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
    let hierarchy = Hierarchy::build(Plan::default()).await;
    let other = cistern_tests::certificates::Authority::new("another plant").bundle();
    let docker = Docker::start_in(&hierarchy.bottom, &other, &[]).await;
    let said = docker.pull(&hierarchy.name_of(AGENT)).await.badly();
    assert!(
        said.contains("certificate signed by unknown authority"),
        "{said}"
    );
}
