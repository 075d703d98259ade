//! podman pushes, skopeo pulls.

use cistern_tests::cistern;
use cistern_tests::clients::{Podman, Skopeo};
use cistern_tests::need;
use cistern_tests::need::heavy;
use cistern_tests::store::Store;

use super::{REPOSITORY, Scene, runnable};

#[tokio::test(flavor = "multi_thread")]
async fn what_podman_pushes_skopeo_pulls_until_it_is_deleted_with_and_without_a_login() {
    need!("root", "podman", "skopeo", "htpasswd", "static busybox");
    let _alone = heavy().await;
    let store = Store::new();
    store.put(&runnable(), REPOSITORY, &["v1"]);
    let elsewhere = cistern::hosted().store(&store).start().await;
    let (podman, skopeo) = (Podman::new(), Skopeo::new());
    let image = format!("{}/{REPOSITORY}:v1", elsewhere.host());
    podman.pull(&image).await.well();
    for scene in [Scene::open().await, Scene::with_login().await] {
        let name = scene.name("pushed");
        podman.run(&["tag", &image, &name]).await.well();
        if scene.credentials.is_some() {
            podman.push(&name, None).await.badly();
            podman.push(&name, Some("writer:wrong")).await.badly();
        }
        podman.push(&name, scene.credentials).await.well();
        // And again: everything is there already.
        podman.push(&name, scene.credentials).await.well();
        scene.pull_back(&skopeo, "pushed", "back").await;
        scene.delete(&skopeo, "pushed").await;
        podman.push(&name, scene.credentials).await.well();
        scene.pull_back(&skopeo, "pushed", "again").await;
        assert_eq!(skopeo.manifest("back"), skopeo.manifest("again"));
        std::fs::remove_dir_all(skopeo.copied("back")).unwrap();
        std::fs::remove_dir_all(skopeo.copied("again")).unwrap();
    }
}
