use std::collections::BTreeMap;

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Manifest, RepositoryName};
use serde_json::{Value, json};

use crate::{
    Referrer, Storage,
    faults::Operation,
    testing::{Place, image, name, sha256},
};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn app() -> RepositoryName {
    name("local/app")
}

fn about(subject: &Digest, mut body: Value) -> Manifest {
    body["schemaVersion"] = json!(2);
    body["subject"] = json!({ "mediaType": IMAGE, "digest": subject, "size": 7 });
    Manifest::by_tag(None, None, Bytes::from(body.to_string()))
}

async fn digests(storage: &Storage, subject: &Digest) -> Vec<Digest> {
    let found = storage.repositories().referrers(&app(), subject).await;
    found.unwrap()
}

async fn referrers(storage: &Storage, subject: &Digest) -> Vec<Referrer> {
    let mut found = Vec::new();
    for digest in digests(storage, subject).await {
        let referrer = storage
            .repositories()
            .referrer(&app(), subject, &digest)
            .await;
        found.extend(referrer.unwrap());
    }
    found
}

fn config(media_type: &str) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(b"{}"), "size": 2 })
}

#[tokio::test]
async fn what_refers_to_a_manifest_is_listed_with_its_type_and_annotations() {
    let place = Place::new();
    let storage = place.open().await;
    let subject = sha256(b"not here at all");
    let own = json!({ "mediaType": IMAGE, "artifactType": "a/own", "config": config("a/config"), "layers": [],
        "annotations": { "b": "2", "a": "1", "odd": 3 } });
    let by_config = json!({ "mediaType": IMAGE, "config": config("a/config"), "layers": [] });
    let index = json!({ "mediaType": INDEX, "manifests": [], "annotations": null });
    let typed_index = json!({ "mediaType": INDEX, "artifactType": "a/index", "manifests": [] });
    let mut expected = Vec::new();
    for (body, artifact_type, annotations) in [
        (own, Some("a/own"), vec![("a", "1"), ("b", "2")]),
        (by_config, Some("a/config"), vec![]),
        (index, None, vec![]),
        (typed_index, Some("a/index"), vec![]),
    ] {
        let manifest = about(&subject, body);
        storage
            .repositories()
            .keep_manifest(&app(), &manifest)
            .await
            .unwrap();
        let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        expected.push(Referrer {
            digest: manifest.digest,
            media_type: manifest.media_type.clone(),
            size: manifest.bytes.len() as u64,
            artifact_type: artifact_type.map(ToOwned::to_owned),
            annotations: annotations
                .into_iter()
                .map(text)
                .collect::<BTreeMap<_, _>>(),
        });
    }
    let plain = image(b"{}", &[]);
    let other = about(&sha256(b"another"), json!({ "mediaType": INDEX }));
    for manifest in [&plain, &other] {
        let kept = storage.repositories().keep_manifest(&app(), manifest).await;
        kept.unwrap();
    }
    expected.sort_by_key(|referrer| referrer.digest);
    assert_eq!(referrers(&storage, &subject).await, expected);
    assert_eq!(referrers(&storage, &plain.digest).await, []);
    let elsewhere = storage
        .repositories()
        .referrers(&name("local"), &subject)
        .await;
    assert_eq!(elsewhere.unwrap(), []);
    let storage = place.open_again(storage).await;
    assert_eq!(referrers(&storage, &subject).await, expected);
}

#[tokio::test]
async fn a_deleted_referrer_is_listed_no_more() {
    let place = Place::new();
    let storage = place.open().await;
    let subject = image(b"{}", &[]);
    let signature = about(&subject.digest, json!({ "mediaType": IMAGE, "layers": [] }));
    let repositories = storage.repositories();
    repositories.put_manifest(&app(), &subject).await.unwrap();
    repositories.put_manifest(&app(), &signature).await.unwrap();
    assert_eq!(digests(&storage, &subject.digest).await, [signature.digest]);
    repositories
        .drop_manifest(&app(), &subject.digest)
        .await
        .unwrap();
    assert_eq!(
        digests(&storage, &subject.digest).await,
        [signature.digest],
        "a subject that is not there is fine"
    );
    repositories
        .drop_manifest(&app(), &signature.digest)
        .await
        .unwrap();
    assert_eq!(referrers(&storage, &subject.digest).await, []);
}

#[tokio::test]
async fn referrers_are_found_again_when_the_index_is_lost_or_of_the_format_before() {
    for lost in [true, false] {
        let place = Place::new();
        let storage = place.open().await;
        let subject = Digest::of(Algorithm::Sha512, b"a long one");
        let odd = json!({ "mediaType": "application/vnd.oci.artifact.manifest.v1+json", "artifactType": "a/b" });
        let mut expected = Vec::new();
        for body in [json!({ "mediaType": INDEX, "manifests": [] }), odd] {
            let manifest = about(&subject, body);
            let kept = storage
                .repositories()
                .keep_manifest(&app(), &manifest)
                .await;
            kept.unwrap();
            expected.push(manifest.digest);
        }
        expected.sort();
        storage.close().await.unwrap();
        drop(storage);
        if lost {
            std::fs::remove_dir_all(place.root().join("cistern/index")).unwrap();
        } else {
            place.write("cistern/format", br#"{"index":1}"#);
        }
        let storage = place.open().await;
        assert_eq!(digests(&storage, &subject).await, expected);
        let before = place.disk.asked().len();
        assert_eq!(digests(&storage, &subject).await, expected);
        let asked = place.disk.asked().split_off(before);
        assert!(
            !asked.iter().any(|asked| asked.operation == Operation::List),
            "a repository is looked through once: {asked:?}"
        );
    }
}

#[tokio::test]
async fn a_read_only_store_lists_referrers_too() {
    let place = Place::new();
    let storage = place.open().await;
    let subject = sha256(b"subject");
    let manifest = about(&subject, json!({ "mediaType": INDEX, "manifests": [] }));
    storage
        .repositories()
        .keep_manifest(&app(), &manifest)
        .await
        .unwrap();
    storage.close().await.unwrap();
    drop(storage);
    let storage = place.open_read_only().await;
    assert_eq!(digests(&storage, &subject).await, [manifest.digest]);
    let nowhere = storage
        .repositories()
        .referrers(&name("nowhere"), &subject)
        .await;
    assert_eq!(nowhere.unwrap(), []);
}

#[tokio::test]
async fn which_manifests_refer_to_another_is_told_without_reading_them() {
    let place = Place::new();
    let storage = place.open().await;
    let (subject, other) = (sha256(b"subject"), sha256(b"other"));
    let mut expected = Vec::new();
    for number in 0..3 {
        let note = "x".repeat(300_000);
        let body = json!({ "mediaType": INDEX, "annotations": { "number": number.to_string(), "note": note } });
        let manifest = about(&subject, body);
        let kept = storage
            .repositories()
            .keep_manifest(&app(), &manifest)
            .await;
        kept.unwrap();
        expected.push(manifest.digest);
    }
    expected.sort();
    assert_eq!(digests(&storage, &subject).await, expected);
    let before = place.disk.asked().len();
    assert_eq!(digests(&storage, &subject).await, expected);
    assert_eq!(place.disk.asked().len(), before);
    let repositories = storage.repositories();
    for (subject, digest, is_there) in [
        (&subject, &expected[1], true),
        (&other, &expected[1], false),
        (&subject, &other, false),
    ] {
        let referrer = repositories.referrer(&app(), subject, digest).await;
        assert_eq!(referrer.unwrap().is_some(), is_there);
    }
}
