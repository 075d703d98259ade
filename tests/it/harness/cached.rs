//! Real clients through a real cache: the same steps that the product will be put through, walked with the program it
//! replaces, so that a failure there is the product's and not the harness's.

use cistern_tests::clients::{Containerd, Docker, Podman, Skopeo};
use cistern_tests::images::{Image, image, index};
use cistern_tests::need;
use cistern_tests::need::heavy;
use cistern_tests::registry::Registry;
use cistern_tests::store::Store;
use cistern_tests::{caller, distribution};

fn runnable() -> Image {
    index(&[
        image()
            .prints("hello from the cache")
            .random_layers(1, 1, 3000),
        image().platform("s390x", None).random_layers(2, 1, 3000),
    ])
}

/// An upstream with the image and a cache in front of it, both Distribution.
async fn chain() -> (Registry, Registry, Image) {
    let image = runnable();
    let store = Store::new();
    store.put(&image, "team/app", &["v1"]);
    let upstream = distribution::on_store(&store).start().await;
    let cache = distribution::mirror_of(&upstream.url()).start().await;
    (upstream, cache, image)
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pulls_and_runs_an_image_also_when_the_upstream_is_gone() {
    need!(
        "root",
        "dockerd",
        "docker",
        "containerd",
        "runc",
        "docker-registry",
        "static busybox"
    );
    let _alone = heavy().await;
    let (mut upstream, cache, _) = chain().await;
    let name = format!("{}/team/app:v1", cache.host());
    let docker = Docker::start().await;
    docker.pull(&name).await.well();
    assert_eq!(
        docker.run_image(&name).await.well().trim(),
        "hello from the cache"
    );
    upstream.stop().await;
    docker.forget_images().await;
    docker.pull(&name).await.well();
    assert!(
        docker
            .pull(&format!("{}/team/app:none", cache.host()))
            .await
            .badly()
            .contains("not found")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_an_image_also_when_the_upstream_is_gone() {
    need!("root", "podman", "docker-registry", "static busybox");
    let _alone = heavy().await;
    let (mut upstream, cache, _) = chain().await;
    let name = format!("{}/team/app:v1", cache.host());
    let podman = Podman::new();
    podman.pull(&name).await.well();
    upstream.stop().await;
    podman.forget_images().await;
    podman.pull(&name).await.well();
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_every_platform_byte_by_byte() {
    need!("skopeo", "docker-registry", "static busybox");
    let _alone = heavy().await;
    let (_upstream, cache, image) = chain().await;
    let skopeo = Skopeo::new();
    skopeo
        .copy(&format!("{}/team/app:v1", cache.host()), "copy")
        .await
        .well();
    assert_eq!(skopeo.manifest("copy"), image.top().bytes);
    for blob in &image.blobs {
        assert_eq!(
            skopeo.blob("copy", &blob.digest).as_deref(),
            Some(&blob.bytes[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pulls_through_a_mirror_that_hosts_toml_names() {
    need!(
        "root",
        "containerd",
        "ctr",
        "docker-registry",
        "static busybox"
    );
    let _alone = heavy().await;
    let (mut upstream, cache, _) = chain().await;
    let containerd = Containerd::start().await;
    containerd.set_mirror("registry.example.com", &cache.url());
    containerd
        .pull("registry.example.com/team/app:v1")
        .await
        .well();
    let asked = distribution::requests(&cache);
    assert!(
        asked
            .iter()
            .any(|(_, path, _)| path.contains("ns=registry.example.com")),
        "{asked:?}"
    );
    upstream.stop().await;
    containerd.forget_images().await;
    containerd
        .pull_with(&["--all-platforms"], "registry.example.com/team/app:v1")
        .await
        .badly();
    containerd
        .pull("registry.example.com/team/app:v1")
        .await
        .well();
    assert_eq!(caller::get("/v2/").send(&upstream.host()).await.status, 0);
}
