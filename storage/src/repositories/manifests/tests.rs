use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Manifest, MediaType};

use crate::{
    Checked, Clock,
    testing::{Place, blob_path, image, name, sha256, spawn, tag},
};

const REPOSITORY: &str = "docker/registry/v2/repositories/library/app";

fn checked(place: &Place, source: &str) -> Checked {
    Checked {
        at: place.clock.now(),
        source: source.into(),
    }
}

#[tokio::test]
async fn a_repository_names_what_its_manifests_name() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, other, layer) = (name("a"), name("a/b"), sha256(b"layer"));
    let repositories = storage.repositories();
    repositories
        .put_manifest(&of, &image(b"{}", &[b"layer"]))
        .await
        .unwrap();
    repositories.link_blob(&other, &layer).await.unwrap();
    assert_eq!(
        repositories.names_digest(&of, &layer).await.unwrap(),
        Some(5)
    );
    assert_eq!(
        repositories
            .names_digest(&of, &sha256(b"{}"))
            .await
            .unwrap(),
        Some(2)
    );
    assert_eq!(
        repositories.names_digest(&of, &sha256(b"?")).await.unwrap(),
        None
    );
    assert_eq!(
        repositories.names_digest(&other, &layer).await.unwrap(),
        None
    );
    assert_eq!(
        repositories
            .names_digest(&name("nowhere"), &layer)
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn the_media_type_that_came_with_a_manifest_is_kept() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("library/app");
    let plain = |text: &'static str| Bytes::from_static(text.as_bytes());
    let manifests = [
        Manifest::by_tag(
            None,
            Some("application/vnd.example.thing+json"),
            plain(r#"{"any":"thing"}"#),
        ),
        Manifest::by_tag(
            None,
            None,
            plain(r#"{"schemaVersion":1,"fsLayers":[],"signatures":[]}"#),
        ),
        Manifest::by_tag(
            None,
            Some("application/vnd.docker.distribution.manifest.v2+json"),
            plain(r#"{"schemaVersion":2,"layers":[],"config":{}}"#),
        ),
        Manifest::by_tag(None, None, plain(r#"{"schemaVersion":2,"manifests":[]}"#)),
        Manifest::by_tag(None, Some("text/plain"), plain("not json at all")),
    ];
    for manifest in &manifests {
        storage
            .repositories()
            .put_manifest(&of, manifest)
            .await
            .unwrap();
    }
    let storage = place.open_again(storage).await;
    for manifest in &manifests {
        let found = storage
            .repositories()
            .manifest(&of, &manifest.digest)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&found, manifest);
        assert!(
            storage
                .repositories()
                .holds_manifest(&of, &manifest.digest)
                .await
                .unwrap()
        );
    }
    let files = place.files();
    let readable = |manifest: &Manifest| {
        files.contains(&format!(
            "{REPOSITORY}/_manifests/revisions/sha256/{}/link",
            manifest.digest.hex()
        ))
    };
    assert_eq!(
        manifests.iter().map(readable).collect::<Vec<_>>(),
        [false, false, true, true, false]
    );
}

#[tokio::test]
async fn a_damaged_manifest_is_absent_and_leaves_no_link_behind() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("library/app");
    let manifest = image(b"{}", &[]);
    storage
        .repositories()
        .put_manifest(&of, &manifest)
        .await
        .unwrap();
    let storage = place.open_again(storage).await;
    place.write(&blob_path(&manifest.digest), b"");
    assert_eq!(
        storage
            .repositories()
            .manifest(&of, &manifest.digest)
            .await
            .unwrap(),
        None
    );
    assert!(
        !storage
            .repositories()
            .holds_manifest(&of, &manifest.digest)
            .await
            .unwrap()
    );
    storage
        .repositories()
        .put_manifest(&of, &manifest)
        .await
        .unwrap();
    assert_eq!(
        storage
            .repositories()
            .manifest(&of, &manifest.digest)
            .await
            .unwrap(),
        Some(manifest)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_manifest_may_be_put_by_many_at_once() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = image(b"{}", &[b"1"]);
    let puts: Vec<_> = (0..20)
        .map(|number| {
            let (storage, manifest) = (storage.clone(), manifest.clone());
            let of = name(if number % 2 == 0 { "a" } else { "b" });
            spawn(async move { storage.repositories().put_manifest(&of, &manifest).await })
        })
        .collect();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    for of in ["a", "b"] {
        let found = storage
            .repositories()
            .manifest(&name(of), &manifest.digest)
            .await
            .unwrap();
        assert_eq!(found.as_ref(), Some(&manifest));
    }
}

#[tokio::test]
async fn sha512_manifests_and_layers_are_held_too() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("library/app");
    let bytes = Bytes::from_static(br#"{"schemaVersion":2,"manifests":[]}"#);
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    let manifest = Manifest {
        digest,
        media_type: MediaType::oci_index(),
        bytes,
    };
    storage
        .repositories()
        .put_manifest(&of, &manifest)
        .await
        .unwrap();
    storage
        .repositories()
        .link_blob(&of, &digest)
        .await
        .unwrap();
    storage
        .repositories()
        .set_tag(&of, &tag("x"), &digest, checked(&place, "up"))
        .await
        .unwrap();
    let storage = place.open_again(storage).await;
    assert_eq!(
        storage.repositories().manifest(&of, &digest).await.unwrap(),
        Some(manifest)
    );
    assert!(
        storage
            .repositories()
            .holds_blob(&of, &digest)
            .await
            .unwrap()
    );
    assert_eq!(
        storage
            .repositories()
            .tag(&of, &tag("x"))
            .await
            .unwrap()
            .unwrap()
            .digest,
        digest
    );
}
