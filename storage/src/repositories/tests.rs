use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Manifest, MediaType, RepositoryName};

use crate::{
    Checked, Clock, StorageError, TagRecord,
    faults::Operation,
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
async fn links_are_written_exactly_as_distribution_writes_them() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, layer) = (name("library/app"), sha256(b"layer"));
    let manifest = image(b"{}", &[b"layer"]);
    let digest = manifest.digest;
    let repositories = storage.repositories();
    repositories.put_manifest(&of, &manifest).await.unwrap();
    repositories.link_blob(&of, &layer).await.unwrap();
    repositories
        .set_tag(&of, &tag("v1"), &digest, checked(&place, "up"))
        .await
        .unwrap();
    let expected = [
        ("_layers/sha256/", layer, "/link"),
        ("_manifests/revisions/sha256/", digest, "/link"),
        ("_manifests/tags/v1/index/sha256/", digest, "/link"),
    ];
    for (before, to, after) in expected {
        assert_eq!(
            place.text(&format!("{REPOSITORY}/{before}{}{after}", to.hex())),
            to.to_string()
        );
    }
    assert_eq!(
        place.text(&format!("{REPOSITORY}/_manifests/tags/v1/current/link")),
        digest.to_string()
    );
    assert_eq!(
        place.text(&blob_path(&digest)).as_bytes(),
        &manifest.bytes[..]
    );
    let others = place
        .files()
        .into_iter()
        .filter(|path| !path.starts_with("docker/"))
        .collect::<Vec<_>>();
    assert_eq!(
        others,
        ["cistern/format", "cistern/lock"],
        "nothing else is kept of an ordinary image"
    );
}

#[tokio::test]
async fn what_a_repository_holds_is_its_own() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, other, layer) = (name("a"), name("a/b"), sha256(b"layer"));
    let manifest = image(b"{}", &[b"layer"]);
    let repositories = storage.repositories();
    repositories.put_manifest(&of, &manifest).await.unwrap();
    repositories.link_blob(&of, &layer).await.unwrap();
    let storage = place.open_again(storage).await;
    let repositories = storage.repositories();
    for _ in 0..2 {
        assert!(repositories.holds_blob(&of, &layer).await.unwrap());
        assert!(
            repositories
                .holds_manifest(&of, &manifest.digest)
                .await
                .unwrap()
        );
        assert_eq!(
            repositories.manifest(&of, &manifest.digest).await.unwrap(),
            Some(manifest.clone())
        );
        assert!(!repositories.holds_blob(&other, &layer).await.unwrap());
        assert!(
            !repositories
                .holds_manifest(&other, &manifest.digest)
                .await
                .unwrap()
        );
        assert_eq!(
            repositories
                .manifest(&other, &manifest.digest)
                .await
                .unwrap(),
            None
        );
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

#[tokio::test]
async fn a_tag_is_remembered_with_when_and_by_whom_it_was_confirmed() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, v1, digest) = (name("a/b"), tag("v1"), sha256(b"1"));
    assert_eq!(storage.repositories().tag(&of, &v1).await.unwrap(), None);
    let checked = checked(&place, "up.example");
    storage
        .repositories()
        .set_tag(&of, &v1, &digest, checked.clone())
        .await
        .unwrap();
    let expected = TagRecord {
        digest,
        checked_at: Some(checked.at),
        source: Some(checked.source),
    };
    assert_eq!(
        storage.repositories().tag(&of, &v1).await.unwrap(),
        Some(expected.clone())
    );
    let storage = place.open_again(storage).await;
    assert_eq!(
        storage.repositories().tag(&of, &v1).await.unwrap(),
        Some(expected)
    );
    assert!(storage.repositories().remove_tag(&of, &v1).await.unwrap());
    assert!(!storage.repositories().remove_tag(&of, &v1).await.unwrap());
    assert_eq!(storage.repositories().tag(&of, &v1).await.unwrap(), None);
    assert!(storage.repositories().tags(&of).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_tag_that_another_program_moved_or_made_is_known_from_its_file_only() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, v1, v2) = (name("library/app"), tag("v1"), tag("v2"));
    storage
        .repositories()
        .set_tag(&of, &v1, &sha256(b"1"), checked(&place, "up"))
        .await
        .unwrap();
    let storage = place.open_again(storage).await;
    let link = |tag: &str| format!("{REPOSITORY}/_manifests/tags/{tag}/current/link");
    place.write(&link("v1"), sha256(b"2").to_string().as_bytes());
    place.write(&link("v2"), sha256(b"3").to_string().as_bytes());
    place.write(&link("v3"), b"");
    let from_file = |seed: &[u8]| {
        Some(TagRecord {
            digest: sha256(seed),
            checked_at: None,
            source: None,
        })
    };
    assert_eq!(
        storage.repositories().tag(&of, &v1).await.unwrap(),
        from_file(b"2")
    );
    assert_eq!(
        storage.repositories().tag(&of, &v2).await.unwrap(),
        from_file(b"3")
    );
    assert_eq!(
        storage.repositories().tag(&of, &tag("v3")).await.unwrap(),
        None,
        "what a power cut left"
    );
    assert_eq!(storage.repositories().tags(&of).await.unwrap(), [v1, v2]);
}

#[tokio::test]
async fn an_unmoved_tag_is_not_written_again() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, v1, digest) = (name("a"), tag("v1"), sha256(b"1"));
    storage
        .repositories()
        .set_tag(&of, &v1, &digest, checked(&place, "up"))
        .await
        .unwrap();
    let writes = || {
        place
            .disk
            .asked()
            .iter()
            .filter(|asked| asked.operation == Operation::Rename)
            .count()
    };
    let before = writes();
    place.clock.go_on(Duration::from_secs(30));
    storage
        .repositories()
        .set_tag(&of, &v1, &digest, checked(&place, "up"))
        .await
        .unwrap();
    assert_eq!(writes(), before);
    let record = storage.repositories().tag(&of, &v1).await.unwrap().unwrap();
    assert_eq!(record.checked_at, Some(place.clock.now()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_of_many_answers_about_a_tag_wins() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, v1) = (name("library/app"), tag("v1"));
    place.clock.go_on(Duration::from_secs(1000));
    let now = place.clock.now();
    let answers: Vec<_> = (0..40_u64)
        .map(|age| {
            let (storage, of, v1) = (storage.clone(), of.clone(), v1.clone());
            spawn(async move {
                let checked = Checked {
                    at: now - Duration::from_secs(age),
                    source: Arc::from("up"),
                };
                storage
                    .repositories()
                    .set_tag(&of, &v1, &sha256(&age.to_le_bytes()), checked)
                    .await
                    .unwrap();
            })
        })
        .collect();
    for answer in answers {
        answer.await.unwrap();
    }
    let newest = sha256(&0_u64.to_le_bytes());
    assert_eq!(
        storage
            .repositories()
            .tag(&of, &v1)
            .await
            .unwrap()
            .unwrap()
            .digest,
        newest
    );
    assert_eq!(
        place.text(&format!("{REPOSITORY}/_manifests/tags/v1/current/link")),
        newest.to_string()
    );
}

#[tokio::test]
async fn an_answer_from_the_future_does_not_keep_a_tag_from_moving() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, v1) = (name("a"), tag("v1"));
    let later = Checked {
        at: place.clock.now() + Duration::from_hours(1),
        source: "up".into(),
    };
    storage
        .repositories()
        .set_tag(&of, &v1, &sha256(b"1"), later)
        .await
        .unwrap();
    storage
        .repositories()
        .set_tag(&of, &v1, &sha256(b"2"), checked(&place, "up"))
        .await
        .unwrap();
    assert_eq!(
        storage
            .repositories()
            .tag(&of, &v1)
            .await
            .unwrap()
            .unwrap()
            .digest,
        sha256(b"2")
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
async fn repositories_are_listed_whatever_lies_between_them() {
    let place = Place::new();
    let storage = place.open().await;
    for of in ["b", "a/b/c", "a", "a-b"] {
        storage
            .repositories()
            .link_blob(&name(of), &sha256(b"1"))
            .await
            .unwrap();
    }
    place.write("docker/registry/v2/repositories/No-Name/_layers/x", b"");
    place.write("docker/registry/v2/repositories/stray", b"");
    place.write("docker/registry/v2/repositories/a/b/_uploads/x", b"");
    let listed = storage.repositories().list().await.unwrap();
    assert_eq!(
        listed
            .iter()
            .map(RepositoryName::as_str)
            .collect::<Vec<_>>(),
        ["a", "a-b", "a/b/c", "b"]
    );
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

#[tokio::test]
async fn a_disk_that_refuses_a_link_says_so_and_the_repository_does_not_hold_it() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, layer) = (name("a"), sha256(b"1"));
    place.disk.fail(Operation::Rename, "_layers", 0, 28);
    assert!(matches!(
        storage.repositories().link_blob(&of, &layer).await,
        Err(StorageError::Full)
    ));
    place.disk.heal();
    assert!(
        !storage
            .repositories()
            .holds_blob(&of, &layer)
            .await
            .unwrap()
    );
    storage.repositories().link_blob(&of, &layer).await.unwrap();
    assert!(
        storage
            .repositories()
            .holds_blob(&of, &layer)
            .await
            .unwrap()
    );
}
