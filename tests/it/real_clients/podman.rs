//! podman.

use cistern_tests::asset;
use cistern_tests::clients::Podman;
use cistern_tests::need;
use cistern_tests::need::heavy;

use super::{DOCKER, DOORS, Door, OCI, REPOSITORY, Scene};

/// Pulls these from nothing.
async fn pull(podman: &Podman, images: &[String], when: &str) {
    podman.forget_images().await;
    for image in images {
        let pulled = podman.pull(image).await;
        assert!(pulled.success, "{when}: {}", pulled.output);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_images_whatever_the_upstream_asks_for_and_when_it_is_gone() {
    need!(
        "root",
        "podman",
        "docker-registry",
        "htpasswd",
        "static busybox"
    );
    let _alone = heavy().await;
    for door in DOORS {
        let podman = Podman::new();
        let mut scene = Scene::behind(door).await;
        let images = [
            scene.image(OCI),
            scene.image(DOCKER),
            scene.image_by_digest(&scene.oci),
        ];
        pull(&podman, &images, &format!("{door:?}")).await;
        scene.assert_each_blob_left_once();
        scene
            .through_bad_times(async |_, when| {
                pull(&podman, &images, &format!("{door:?}, {when}")).await;
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_uses_it_as_a_mirror_that_registries_conf_names() {
    need!("root", "podman", "docker-registry", "static busybox");
    let _alone = heavy().await;
    let mut scene = Scene::behind(Door::Open).await;
    let host = scene.cache.host();
    let words = [
        ("mcr.microsoft.com", "registry.example.com"),
        ("HOST:5000", &*host),
    ];
    let podman = Podman::with_registries(&asset("clients/registries.conf", &words));
    let images = [format!("registry.example.com/{REPOSITORY}:{OCI}")];
    pull(&podman, &images, "at first").await;
    scene.upstream.stop().await;
    pull(&podman, &images, "the upstream stopped").await;
}
