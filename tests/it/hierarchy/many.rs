//! Many devices at once.

use cistern_tests::hierarchy::{Caches, Hierarchy, LARGE, Plan};
use cistern_tests::need;
use cistern_tests::need::heavy;

/// How many devices ask at once.
const DEVICES: usize = 20;

async fn twenty_pull_at_once(caches: Caches) {
    let hierarchy = Hierarchy::build(Plan {
        caches,
        ..Plan::default()
    })
    .await;
    let docker = hierarchy.docker().await;
    let size = hierarchy.images.large.blob_bytes() as u64;
    let before = (hierarchy.uplink.came_down(), hierarchy.upper.came_down());
    let mut devices = tokio::task::JoinSet::new();
    for _ in 1..DEVICES {
        let device = hierarchy.puller();
        devices.spawn(async move { device.pull(LARGE).await });
    }
    docker.pull(&hierarchy.name_of(LARGE)).await.well();
    while let Some(pulled) = devices.join_next().await {
        let log = hierarchy.top.cache().log();
        let bytes = pulled.unwrap().unwrap_or_else(|why| panic!("{why}\n{log}"));
        assert_eq!(bytes as u64, size);
    }
    let paid = hierarchy.uplink.came_down() - before.0;
    assert_one_copy(paid, size, "the uplink");
    let upper = hierarchy.upper.came_down() - before.1;
    match caches {
        Caches::Chained => assert_one_copy(upper, size, "the link between the layers"),
        // Without a cache in the middle, the plant's own network carries them all: the count that the other is judged by.
        Caches::Top => assert!(upper > size * DEVICES as u64, "{upper}"),
    }
    for layer in [&hierarchy.top, &hierarchy.middle] {
        let spooled = layer.proxy.has_spooled();
        // nginx of the middle layer does not see the header that the top's has obeyed.
        let nearest = layer.cache.is_some();
        assert!(!(nearest && spooled), "{}", layer.proxy.log());
    }
}

fn assert_one_copy(paid: u64, size: u64, link: &str) {
    assert!(
        (size..size + size / 10).contains(&paid),
        "{paid} bytes over {link} for {size}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_devices_at_once_cost_one_copy_over_the_uplink() {
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
    twenty_pull_at_once(Caches::Top).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_cache_in_every_layer_they_cost_one_copy_between_the_layers_too() {
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
    twenty_pull_at_once(Caches::Chained).await;
}
