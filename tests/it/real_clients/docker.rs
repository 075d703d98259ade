//! docker.

use cistern_tests::asset;
use cistern_tests::clients::Docker;
use cistern_tests::need;
use cistern_tests::need::heavy;

use super::{DOCKER, DOORS, Door, LINE, OCI, REPOSITORY, Scene};

/// Pulls these from nothing and runs the first of them.
async fn pull_and_run(docker: &Docker, images: &[String], when: &str) {
    docker.forget_images().await;
    for image in images {
        let pulled = docker.pull(image).await;
        assert!(pulled.success, "{when}: {}", pulled.output);
    }
    let said = docker.run_image(&images[0]).await.well();
    assert_eq!(said.trim(), LINE, "{when}");
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pulls_and_runs_images_whatever_the_upstream_asks_for_and_when_it_is_gone() {
    need!(
        "root",
        "dockerd",
        "docker",
        "containerd",
        "runc",
        "docker-registry",
        "htpasswd",
        "static busybox"
    );
    let _alone = heavy().await;
    let docker = Docker::start().await;
    for door in DOORS {
        let mut scene = Scene::behind(door).await;
        let images = [scene.image(OCI), scene.image(DOCKER)];
        pull_and_run(&docker, &images, &format!("{door:?}")).await;
        let said = docker.run_image(&images[1]).await.well();
        assert_eq!(said.trim(), LINE, "{door:?}");
        scene.assert_each_blob_left_once();
        let other_platform = scene.oci.blobs.last().unwrap().digest.clone();
        assert!(
            !scene
                .blobs_that_left()
                .iter()
                .any(|path| path.ends_with(&other_platform))
        );

        let by_digest = scene.image_by_digest(&scene.oci);
        scene
            .through_bad_times(async |_, when| {
                let when = format!("{door:?}, {when}");
                pull_and_run(&docker, &images, &when).await;
                docker.forget_images().await;
                docker.pull(&by_digest).await.well();
            })
            .await;
        docker.forget_images().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_uses_it_as_a_mirror_of_docker_hub() {
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
    let mut scene = Scene::behind(Door::Open).await;
    let host = scene.cache.host();
    let docker = Docker::configured(&asset("clients/daemon.json", &[("HOST:5000", &host)])).await;
    let images = [format!("{REPOSITORY}:{OCI}")];
    pull_and_run(&docker, &images, "at first").await;
    scene.upstream.stop().await;
    pull_and_run(&docker, &images, "the upstream stopped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_is_told_what_is_missing_and_who_is_away() {
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
    let mut scene = Scene::behind(Door::Open).await;
    let docker = Docker::start().await;
    let said = docker.pull(&scene.image("none")).await.badly();
    assert!(
        said.contains("manifest unknown") || said.contains("not found"),
        "{said}"
    );
    scene.upstream.stop().await;
    let said = docker.pull(&scene.image(OCI)).await.badly();
    assert!(said.contains(&scene.upstream.host()), "{said}");
}
