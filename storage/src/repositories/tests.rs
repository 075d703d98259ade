use cistern_oci::RepositoryName;

use crate::{
    Checked, Clock, StorageError,
    faults::Operation,
    testing::{Place, blob_path, image, name, sha256, tag},
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

#[tokio::test]
async fn what_was_fetched_is_made_durable_once_it_is_there_and_again_only_when_there_is_more() {
    let place = Place::new();
    let storage = place.open().await;
    while storage.settle().await.unwrap() {}
    let asked = || {
        let asked = place.disk.asked().into_iter();
        asked
            .filter(|asked| asked.operation == Operation::SyncEverything)
            .count()
    };
    let before = asked();
    assert!(!storage.settle().await.unwrap());
    assert_eq!(asked(), before);
    let (of, manifest) = (name("library/app"), image(b"{}", &[b"layer"]));
    let repositories = storage.repositories();
    repositories.put_manifest(&of, &manifest).await.unwrap();
    place.disk.fail(Operation::SyncEverything, "", 0, 5);
    storage.settle().await.unwrap_err();
    place.disk.heal();
    assert!(
        storage.settle().await.unwrap(),
        "what failed is tried again"
    );
    assert!(!storage.settle().await.unwrap());
    assert_eq!(asked(), before + 2);
}
