//! buildah builds and pushes, podman and skopeo pull.

use cistern_tests::clients::{Buildah, Podman, Skopeo};
use cistern_tests::need;
use cistern_tests::need::heavy;

use super::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn what_buildah_builds_and_pushes_others_pull_until_it_is_deleted_with_and_without_a_login() {
    need!("root", "buildah", "podman", "skopeo", "htpasswd");
    let _alone = heavy().await;
    let (buildah, podman, skopeo) = (Buildah::new(), Podman::new(), Skopeo::new());
    buildah.build("localhost/built", "made here").await;
    for (scene, into) in [
        (Scene::open().await, "open"),
        (Scene::with_login().await, "login"),
    ] {
        let name = scene.name("built");
        if scene.credentials.is_some() {
            buildah.push("localhost/built", &name, None).await.badly();
        }
        let pushed = buildah.push("localhost/built", &name, scene.credentials);
        pushed.await.well();
        scene.pull_back(&skopeo, "built", into).await;
        if scene.credentials.is_none() {
            podman.pull(&name).await.well();
        }
        assert_eq!(scene.manifest("built").await.body, skopeo.manifest(into));
        scene.delete(&skopeo, "built").await;
    }
}
