//! docker pushes, podman pulls.

use cistern_tests::cistern;
use cistern_tests::clients::{Docker, Podman, Skopeo};
use cistern_tests::need;
use cistern_tests::need::heavy;
use cistern_tests::store::Store;

use super::{LINE, PASSWORD, REPOSITORY, Scene, USER, runnable};

async fn login(podman: &Podman, scene: &Scene) {
    let host = scene.registry.host();
    let words = [
        "login",
        "--tls-verify=false",
        "--username",
        USER,
        "--password",
        PASSWORD,
    ];
    let words: Vec<_> = words.into_iter().chain([host.as_str()]).collect();
    podman.run(&words).await.well();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_docker_pushes_podman_pulls_until_it_is_deleted_with_and_without_a_login() {
    need!(
        "root",
        "dockerd",
        "docker",
        "containerd",
        "runc",
        "podman",
        "skopeo",
        "htpasswd",
        "static busybox"
    );
    let _alone = heavy().await;
    let store = Store::new();
    store.put(&runnable(), REPOSITORY, &["v1"]);
    let elsewhere = cistern::hosted().store(&store).start().await;
    let (docker, podman, skopeo) = (Docker::start().await, Podman::new(), Skopeo::new());
    let image = format!("{}/{REPOSITORY}:v1", elsewhere.host());
    docker.pull(&image).await.well();

    for scene in [Scene::open().await, Scene::with_login().await] {
        let name = scene.name("pushed");
        if scene.credentials.is_some() {
            let refused = docker.push(&image, &name).await.badly();
            assert!(refused.contains("no basic auth credentials"), "{refused}");
            let host = scene.registry.host();
            docker.login(&host, USER, "another").await.badly();
            docker.login(&host, USER, PASSWORD).await.well();
        }
        docker.push(&image, &name).await.well();

        if scene.credentials.is_some() {
            podman.pull(&name).await.badly();
            login(&podman, &scene).await;
        }
        podman.pull(&name).await.well();
        docker.forget_images().await;
        docker.pull(&name).await.well();
        assert_eq!(docker.run_image(&name).await.well().trim(), LINE);

        // To another repository of the same registry: what is there already is not sent again.
        let other = format!("{}/team/other:v1", scene.registry.host());
        let said = docker.push(&name, &other).await.well();
        assert!(said.contains("Mounted from team/app"), "{said}");
        let copied = skopeo.copy_as(&other, "other", scene.credentials).await;
        copied.well();

        scene.delete(&skopeo, "pushed").await;
        docker.forget_images().await;
        let gone = docker.pull(&name).await.badly();
        assert!(
            gone.contains("not found") || gone.contains("manifest unknown"),
            "{gone}"
        );
        docker.pull(&other).await.well();
        docker.forget_images().await;
        docker.pull(&image).await.well();
    }
}
