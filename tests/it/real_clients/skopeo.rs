//! skopeo.

use cistern_tests::clients::Skopeo;
use cistern_tests::need;
use cistern_tests::need::heavy;

use super::{DOCKER, DOORS, OCI, REPOSITORY, Scene};

/// Copies both images, every platform, into new folders and compares every byte with what the upstream was given.
async fn copy_and_compare(skopeo: &Skopeo, scene: &Scene, when: &str) {
    for tag in [OCI, DOCKER] {
        let into = format!("{tag} {when}");
        let copied = skopeo.copy(&scene.image(tag), &into).await;
        assert!(copied.success, "{into}: {}", copied.output);
        let image = scene.picture(tag);
        assert_eq!(skopeo.manifest(&into), image.top().bytes, "{into}");
        for blob in &image.blobs {
            assert_eq!(
                skopeo.blob(&into, &blob.digest).as_deref(),
                Some(&blob.bytes[..]),
                "{into}"
            );
        }
    }
    let list = format!("docker://{}/{REPOSITORY}", scene.cache.host());
    let listed = skopeo
        .run(&["list-tags", "--tls-verify=false", &list])
        .await
        .well();
    assert!(
        listed.contains(OCI) && listed.contains(DOCKER),
        "{when}: {listed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_every_platform_byte_by_byte_whatever_the_upstream_asks_for_and_when_it_is_gone()
 {
    need!("skopeo", "docker-registry", "htpasswd", "static busybox");
    let _alone = heavy().await;
    for door in DOORS {
        let skopeo = Skopeo::new();
        let mut scene = Scene::behind(door).await;
        copy_and_compare(&skopeo, &scene, &format!("{door:?}")).await;
        scene.assert_each_blob_left_once();
        scene
            .through_bad_times(async |scene, when| {
                copy_and_compare(&skopeo, scene, &format!("{door:?}, {when}")).await;
            })
            .await;
    }
}
