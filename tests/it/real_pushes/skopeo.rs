//! skopeo copies whole indexes to us, and back.

use cistern_tests::cistern;
use cistern_tests::clients::Skopeo;
use cistern_tests::images::{Family, Item};
use cistern_tests::need;
use cistern_tests::store::Store;

use super::{REPOSITORY, Scene, three_platforms};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_several_platforms_is_copied_to_us_and_back_byte_by_byte_until_it_is_deleted() {
    need!("skopeo", "htpasswd");
    let (oci, docker) = (
        three_platforms(Family::Oci, 1),
        three_platforms(Family::Docker, 10),
    );
    let store = Store::new();
    store.put(&oci, REPOSITORY, &["oci"]);
    store.put(&docker, REPOSITORY, &["docker"]);
    let elsewhere = cistern::hosted().store(&store).start().await;
    let skopeo = Skopeo::new();
    for tag in ["oci", "docker"] {
        let source = format!("{}/{REPOSITORY}:{tag}", elsewhere.host());
        skopeo.copy(&source, tag).await.well();
    }
    for (scene, back) in [
        (Scene::open().await, "open"),
        (Scene::with_login().await, "login"),
    ] {
        for (tag, image) in [("oci", &oci), ("docker", &docker)] {
            let name = scene.name(tag);
            if scene.credentials.is_some() {
                skopeo.push(tag, &name, None).await.badly();
            }
            skopeo.push(tag, &name, scene.credentials).await.well();
            let back = format!("{back}-{tag}");
            scene.pull_back(&skopeo, tag, &back).await;
            assert_eq!(skopeo.manifest(&back), image.top().bytes);
            for blob in &image.blobs {
                assert_eq!(skopeo.blob(&back, &blob.digest).unwrap(), blob.bytes);
            }
            let got = async |item: &Item| scene.manifest(&item.digest).await;
            for child in &image.manifests {
                let answer = got(child).await;
                assert_eq!((answer.status, &answer.body), (200, &child.bytes));
            }
            scene.delete(&skopeo, tag).await;
            // What it consists of was pushed by itself, and stays until somebody deletes it.
            for child in &image.manifests[..3] {
                assert_eq!(got(child).await.status, 200);
            }
        }
    }
}
