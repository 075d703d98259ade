//! Behind nginx as the IoT Edge API proxy sets it up: on the top layer, and a layer below it.

use cistern_tests::api_proxy::ApiProxy;
use cistern_tests::clients::{Docker, Podman};
use cistern_tests::images::{Image, image};
use cistern_tests::need::heavy;
use cistern_tests::registry::Registry;
use cistern_tests::store::Store;
use cistern_tests::{cistern, distribution, need};

use super::{LINE, REPOSITORY};

/// An image that prints, with a layer that no proxy holds in its memory.
fn large() -> Image {
    image().prints(LINE).random_layers(1, 1, 8 << 20).build()
}

async fn chain() -> (Registry, Registry) {
    let store = Store::new();
    store.put(&large(), REPOSITORY, &["v1"]);
    let upstream = distribution::on_store(&store).start().await;
    let cache = cistern::mirror_of(&upstream.url()).start().await;
    (upstream, cache)
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pulls_through_the_api_proxies_of_two_layers_also_when_the_upstream_is_gone() {
    need!(
        "root",
        "dockerd",
        "docker",
        "containerd",
        "runc",
        "docker-registry",
        "nginx",
        "static busybox"
    );
    let _alone = heavy().await;
    let (mut upstream, mut cache) = chain().await;
    let top = ApiProxy::of(&cache).await;
    let middle = ApiProxy::below(&top).await;
    let docker = Docker::start().await;
    let pull_and_run = async |proxy: &ApiProxy| {
        let name = format!("{}/{REPOSITORY}:v1", proxy.host());
        docker.forget_images().await;
        docker.pull(&name).await.well();
        assert_eq!(docker.run_image(&name).await.well().trim(), LINE);
    };
    pull_and_run(&top).await;
    upstream.stop().await;
    pull_and_run(&top).await;
    cache.restart().await;
    pull_and_run(&middle).await;

    let said = docker
        .pull(&format!("{}/{REPOSITORY}:none", middle.host()))
        .await
        .badly();
    assert!(said.contains(&upstream.host()), "{said}");
    assert!(!top.has_spooled(), "{}", top.log());
    assert!(
        top.requests().iter().any(|line| line.contains("/blobs/")),
        "{:?}",
        top.requests()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_through_the_api_proxy() {
    need!(
        "root",
        "podman",
        "docker-registry",
        "nginx",
        "static busybox"
    );
    let _alone = heavy().await;
    let (mut upstream, cache) = chain().await;
    let proxy = ApiProxy::of(&cache).await;
    let podman = Podman::new();
    let name = format!("{}/{REPOSITORY}:v1", proxy.host());
    podman.pull(&name).await.well();
    upstream.stop().await;
    podman.forget_images().await;
    podman.pull(&name).await.well();
}
