//! A real docker that trusts the hierarchy's root alone pulls over HTTPS on port 5000, and one that does not is refused.
//!
//! In a network namespace: on 127.0.0.0/8 docker looks at no certificate.

use std::net::SocketAddr;

use cistern_tests::certificates::Authority;
use cistern_tests::cistern::mirror_of;
use cistern_tests::clients::Docker;
use cistern_tests::hierarchy::{Namespace, Place};
use cistern_tests::need;
use cistern_tests::need::heavy;
use cistern_tests::store::Store;
use cistern_tests::workload_api::WorkloadApi;

use crate::common::pull_and_keep;
use crate::scene::{REPOSITORY, TAG, upstream};

const GATEWAY: &str = "gateway.example";

#[tokio::test(flavor = "multi_thread")]
async fn docker_with_the_root_of_the_hierarchy_pulls_over_https_and_without_it_does_not() {
    need!(
        "network namespaces",
        "dockerd",
        "docker",
        "containerd",
        "runc"
    );
    let _alone = heavy().await;
    let (upstream, image) = upstream().await;
    let store = Store::new();
    let mut warm = mirror_of(&upstream.url()).store(&store).start().await;
    pull_and_keep(&warm, REPOSITORY, TAG, &image).await;
    warm.stop().await;

    let address: SocketAddr = "10.9.0.1:5000".parse().unwrap();
    let namespace = Namespace::new("gateway");
    namespace.ip(&["addr", "add", "10.9.0.1/32", "dev", "lo"]);
    namespace.know(GATEWAY, "10.9.0.1".parse().unwrap());
    let place = Place::new(&namespace);
    let root = Authority::new("root of the plant");
    let folder = tempfile::tempdir().unwrap();
    let api = WorkloadApi::start(folder.path(), &root);
    let mut cache = mirror_of(&upstream.url())
        .store(&store)
        .address(address)
        .place(&place)
        .set("REGISTRY_HTTP_TLS_SOURCE", "iotedge");
    for (name, value) in api.environment(GATEWAY) {
        cache = cache.set(name, &value);
    }
    let cache = cache.start().await;
    cache
        .logs("certificate received from the workload API")
        .await;

    let name = format!("{GATEWAY}:5000/{REPOSITORY}:{TAG}");
    let trusting = Docker::start_in(&place, &root.bundle(), &[]).await;
    trusting.pull(&name).await.well();
    drop(trusting);
    let other = Authority::new("another plant").bundle();
    let stranger = Docker::start_in(&place, &other, &[]).await;
    let said = stranger.pull(&name).await.badly();
    assert!(
        said.contains("certificate signed by unknown authority"),
        "{said}"
    );
    cache.logs("reason=not_trusted").await;
}
