//! An artifact about an image, pushed as oras does it, by plain HTTP.

use cistern_tests::clients::Skopeo;
use cistern_tests::images::{OCI_INDEX, image, referring_artifact, sha256};
use cistern_tests::need;
use serde_json::json;

use super::{REPOSITORY, Scene};

const KIND: &str = "application/vnd.example.signature";

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_about_an_image_is_found_by_the_image_until_it_is_deleted_with_and_without_a_login()
 {
    need!("skopeo", "htpasswd");
    let subject = image().random_layers(1, 2, 5000).build();
    let artifact = referring_artifact(KIND, "signed", subject.top());
    let manifest = artifact.top();
    for scene in [Scene::open().await, Scene::with_login().await] {
        let caller = scene.caller();
        // The signature before what it signs: that is allowed.
        for blob in &artifact.blobs {
            assert_eq!(caller.blob(REPOSITORY, blob).await.status, 201);
        }
        let pushed = caller
            .manifest(REPOSITORY, &manifest.digest, manifest)
            .await;
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        assert_eq!(pushed.header("OCI-Subject"), Some(subject.digest()));
        caller.image(&subject, REPOSITORY, &["v1"]).await;

        let path = format!("/v2/{REPOSITORY}/referrers/{}", subject.digest());
        let found = caller.ask("GET", &path).await;
        assert_eq!(found.header("Content-Type"), Some(OCI_INDEX));
        let expected = json!([{
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": manifest.bytes.len(),
            "artifactType": KIND,
            "annotations": { "org.example.note": "made by a test" },
        }]);
        assert_eq!(found.json()["manifests"], expected, "{}", found.text());
        let filtered = |kind: &str| format!("{path}?artifactType={kind}");
        let found = caller.ask("GET", &filtered(KIND)).await;
        assert_eq!(found.header("OCI-Filters-Applied"), Some("artifactType"));
        assert_eq!(found.json()["manifests"], expected);
        let found = caller.ask("GET", &filtered("application/other")).await;
        assert_eq!(found.json()["manifests"], json!([]));

        let got = scene.manifest(&manifest.digest).await;
        assert_eq!(sha256(&got.body), manifest.digest);
        for blob in &artifact.blobs {
            let path = format!("/v2/{REPOSITORY}/blobs/{}", blob.digest);
            assert_eq!(caller.ask("GET", &path).await.body, blob.bytes);
        }

        let target = format!("/v2/{REPOSITORY}/manifests/{}", manifest.digest);
        assert_eq!(caller.ask("DELETE", &target).await.status, 202);
        assert_eq!(caller.ask("GET", &target).await.status, 404);
        let found = caller.ask("GET", &path).await;
        assert_eq!(
            (found.status, &found.json()["manifests"]),
            (200, &json!([]))
        );
        scene.delete(&Skopeo::new(), "v1").await;
    }
}
