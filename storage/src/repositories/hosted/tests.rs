use std::time::Duration;

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Manifest, MediaType, RepositoryName};

use crate::{
    Storage, StorageError, TagRecord,
    testing::{Place, image, name, read, sha256, some_bytes, spawn, store, tag, until},
};

fn app() -> RepositoryName {
    name("local/app")
}

async fn are_bytes_there(storage: &Storage, digest: &Digest) -> bool {
    storage.blobs().open(digest).await.unwrap().is_some()
}

async fn tag_of(storage: &Storage, text: &str) -> Option<Digest> {
    let record = storage.repositories().tag(&app(), &tag(text)).await;
    record.unwrap().map(|record| record.digest)
}

/// An image with a tag, kept.
async fn keep(storage: &Storage, text: &str, config: &[u8]) -> Manifest {
    let manifest = image(config, &[]);
    let repositories = storage.repositories();
    repositories.keep_manifest(&app(), &manifest).await.unwrap();
    repositories
        .keep_tag(&app(), &tag(text), &manifest.digest)
        .await
        .unwrap();
    manifest
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = keep(&storage, "v1", b"{}").await;
    let odd = Manifest::by_tag(
        None,
        Some("application/vnd.example.thing+json"),
        Bytes::from_static(br#"{"any":"thing"}"#),
    );
    let repositories = storage.repositories();
    repositories.keep_manifest(&app(), &odd).await.unwrap();
    repositories
        .keep_tag(&app(), &tag("odd"), &odd.digest)
        .await
        .unwrap();
    let storage = place.open_again(storage).await;
    let repositories = storage.repositories();
    for expected in [&manifest, &odd] {
        let found = repositories.manifest(&app(), &expected.digest).await;
        assert_eq!(found.unwrap().as_ref(), Some(expected));
    }
    let record = repositories.tag(&app(), &tag("v1")).await.unwrap();
    let expected = TagRecord {
        digest: manifest.digest,
        checked_at: None,
        source: None,
    };
    assert_eq!(record, Some(expected));
    assert_eq!(tag_of(&storage, "odd").await, Some(odd.digest));
    assert_eq!(repositories.list().await.unwrap(), [app()]);
}

#[tokio::test]
async fn a_manifest_may_be_kept_again_as_another_type() {
    let place = Place::new();
    let storage = place.open().await;
    let body = Bytes::from_static(br#"{"schemaVersion":2,"layers":[],"config":{}}"#);
    let docker = MediaType::docker_manifest();
    let as_docker = Manifest::by_tag(None, Some(docker.as_str()), body.clone());
    let untold = Manifest::by_tag(None, None, body);
    assert_ne!(as_docker.media_type, untold.media_type);
    for manifest in [&as_docker, &untold, &as_docker] {
        let repositories = storage.repositories();
        repositories.keep_manifest(&app(), manifest).await.unwrap();
        let found = repositories.manifest(&app(), &manifest.digest).await;
        assert_eq!(found.unwrap().as_ref(), Some(manifest));
    }
    let storage = place.open_again(storage).await;
    let found = storage
        .repositories()
        .manifest(&app(), &as_docker.digest)
        .await;
    assert_eq!(found.unwrap(), Some(as_docker));
}

#[tokio::test]
async fn a_blob_is_mounted_if_its_bytes_are_there() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(100_000, 1);
    let repositories = storage.repositories();
    let digest = sha256(&bytes);
    assert!(!repositories.keep_blob(&app(), &digest).await.unwrap());
    assert!(!repositories.holds_blob(&app(), &digest).await.unwrap());
    store(&storage, &bytes).await;
    assert!(!repositories.holders(&digest).await.unwrap());
    assert!(repositories.keep_blob(&app(), &digest).await.unwrap());
    assert!(repositories.holds_blob(&app(), &digest).await.unwrap());
    assert!(repositories.holders(&digest).await.unwrap());
    let storage = place.open_again(storage).await;
    assert!(storage.repositories().holders(&digest).await.unwrap());
}

#[tokio::test]
async fn a_deleted_blob_is_gone_at_once_here_and_mounted_copies_stay() {
    let place = Place::new();
    let storage = place.open().await;
    let (other, bytes) = (name("local/other"), some_bytes(100_000, 2));
    let digest = store(&storage, &bytes).await;
    let repositories = storage.repositories();
    for of in [&app(), &other] {
        assert!(repositories.keep_blob(of, &digest).await.unwrap());
    }
    assert!(repositories.drop_blob(&app(), &digest).await.unwrap());
    assert!(!repositories.drop_blob(&app(), &digest).await.unwrap());
    assert!(!repositories.holds_blob(&app(), &digest).await.unwrap());
    assert!(repositories.holds_blob(&other, &digest).await.unwrap());
    assert!(repositories.holders(&digest).await.unwrap());
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    assert!(read(blob.read_all()).await == bytes);
    drop(blob);
    assert!(repositories.drop_blob(&other, &digest).await.unwrap());
    assert!(!repositories.holders(&digest).await.unwrap());
    assert!(!are_bytes_there(&storage, &digest).await);
    let storage = place.open_again(storage).await;
    let holds = storage.repositories().holds_blob(&app(), &digest).await;
    assert!(!holds.unwrap());
}

#[tokio::test]
async fn bytes_that_are_being_read_go_with_their_last_reader() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(100_000, 3);
    let digest = store(&storage, &bytes).await;
    let repositories = storage.repositories();
    repositories.keep_blob(&app(), &digest).await.unwrap();
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    assert!(repositories.drop_blob(&app(), &digest).await.unwrap());
    assert!(!repositories.holds_blob(&app(), &digest).await.unwrap());
    storage.flush().await.unwrap();
    assert!(read(blob.read_all()).await == bytes);
    assert!(are_bytes_there(&storage, &digest).await);
    until("nobody reads", || {
        !storage.leases().is_held(&digest) || storage.leases().held() == 1
    })
    .await;
    drop(blob);
    storage.flush().await.unwrap();
    assert!(!are_bytes_there(&storage, &digest).await);
}

#[tokio::test]
async fn bytes_that_are_a_manifest_somewhere_stay_when_the_blob_goes() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = keep(&storage, "v1", b"{}").await;
    let other = name("local/other");
    let repositories = storage.repositories();
    let digest = manifest.digest;
    assert!(repositories.keep_blob(&other, &digest).await.unwrap());
    assert!(repositories.drop_blob(&other, &digest).await.unwrap());
    let found = repositories.manifest(&app(), &digest).await.unwrap();
    assert_eq!(found, Some(manifest));
    assert!(repositories.keep_blob(&other, &digest).await.unwrap());
    assert!(repositories.drop_manifest(&app(), &digest).await.unwrap());
    assert!(are_bytes_there(&storage, &digest).await);
}

#[tokio::test]
async fn a_deleted_manifest_takes_its_tags_along_and_leaves_others() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = keep(&storage, "v1", b"1").await;
    let other = keep(&storage, "v2", b"2").await;
    let repositories = storage.repositories();
    let (of, digest) = (app(), manifest.digest);
    for text in ["latest", "v1.0"] {
        let kept = repositories.keep_tag(&of, &tag(text), &digest).await;
        kept.unwrap();
    }
    // Once pointed at it, and moved on.
    let moved = repositories
        .keep_tag(&of, &tag("latest"), &other.digest)
        .await;
    moved.unwrap();
    repositories
        .keep_manifest(&name("local/copy"), &manifest)
        .await
        .unwrap();
    assert!(repositories.drop_manifest(&of, &digest).await.unwrap());
    assert!(!repositories.drop_manifest(&of, &digest).await.unwrap());
    assert!(!repositories.holds_manifest(&of, &digest).await.unwrap());
    assert_eq!(repositories.manifest(&of, &digest).await.unwrap(), None);
    assert_eq!(
        repositories.tags(&of).await.unwrap(),
        [tag("latest"), tag("v2")]
    );
    assert_eq!(tag_of(&storage, "v1").await, None);
    assert_eq!(tag_of(&storage, "latest").await, Some(other.digest));
    let copy = repositories.manifest(&name("local/copy"), &digest).await;
    assert_eq!(copy.unwrap(), Some(manifest));
    let dropped = repositories
        .drop_manifest(&name("local/copy"), &digest)
        .await;
    assert!(dropped.unwrap());
    assert!(!are_bytes_there(&storage, &digest).await);
    assert!(are_bytes_there(&storage, &other.digest).await);
    let storage = place.open_again(storage).await;
    let tags = storage.repositories().tags(&of).await.unwrap();
    assert_eq!(tags, [tag("latest"), tag("v2")]);
}

#[tokio::test]
async fn manifests_of_unusual_types_can_be_deleted_too() {
    let place = Place::new();
    let storage = place.open().await;
    let body = Bytes::from_static(br#"{"any":"thing"}"#);
    let digest = Digest::of(Algorithm::Sha512, &body);
    let odd = Manifest {
        digest,
        media_type: MediaType::new("application/vnd.example+json"),
        bytes: body,
    };
    let repositories = storage.repositories();
    repositories.keep_manifest(&app(), &odd).await.unwrap();
    repositories
        .keep_tag(&app(), &tag("odd"), &digest)
        .await
        .unwrap();
    assert!(repositories.drop_manifest(&app(), &digest).await.unwrap());
    assert_eq!(repositories.tags(&app()).await.unwrap(), []);
    assert!(!repositories.holds_manifest(&app(), &digest).await.unwrap());
    let mut left = place.files();
    left.retain(|path| path.contains("revisions") || path.contains("blobs/"));
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn a_deleted_tag_leaves_its_manifest() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = keep(&storage, "v1", b"1").await;
    let repositories = storage.repositories();
    assert!(repositories.drop_tag(&app(), &tag("v1")).await.unwrap());
    assert!(!repositories.drop_tag(&app(), &tag("v1")).await.unwrap());
    assert_eq!(tag_of(&storage, "v1").await, None);
    let found = repositories.manifest(&app(), &manifest.digest).await;
    assert_eq!(found.unwrap(), Some(manifest));
}

#[tokio::test]
async fn a_manifest_that_is_gone_gets_no_tag() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = keep(&storage, "v1", b"1").await;
    let repositories = storage.repositories();
    let digest = manifest.digest;
    repositories.drop_manifest(&app(), &digest).await.unwrap();
    repositories
        .keep_tag(&app(), &tag("v2"), &digest)
        .await
        .unwrap();
    assert_eq!(repositories.tags(&app()).await.unwrap(), []);
}

#[tokio::test]
async fn a_read_only_store_keeps_and_drops_nothing() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = keep(&storage, "v1", b"1").await;
    let digest = store(&storage, &Bytes::from_static(b"layer")).await;
    storage
        .repositories()
        .keep_blob(&app(), &digest)
        .await
        .unwrap();
    storage.close().await.unwrap();
    drop(storage);
    let before = place.files();
    let storage = place.open_read_only().await;
    let repositories = storage.repositories();
    let (of, v1) = (app(), tag("v1"));
    let answers = [
        repositories.keep_blob(&of, &digest).await.err(),
        repositories.keep_manifest(&of, &manifest).await.err(),
        repositories
            .keep_tag(&of, &v1, &manifest.digest)
            .await
            .err(),
        repositories.drop_tag(&of, &v1).await.err(),
        repositories
            .drop_manifest(&of, &manifest.digest)
            .await
            .err(),
        repositories.drop_blob(&of, &digest).await.err(),
    ];
    for answer in answers {
        assert!(matches!(answer, Some(StorageError::ReadOnly)), "{answer:?}");
    }
    assert!(repositories.holders(&digest).await.unwrap());
    storage.flush().await.unwrap();
    assert_eq!(place.files(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_and_deletions_of_one_manifest_leave_no_tag_without_it() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = image(b"{}", &[]);
    let digest = manifest.digest;
    for round in 0..30_u64 {
        let deleting = {
            let storage = storage.clone();
            spawn(async move {
                tokio::time::sleep(Duration::from_micros(round * 100)).await;
                storage
                    .repositories()
                    .drop_manifest(&app(), &digest)
                    .await
                    .unwrap();
            })
        };
        let repositories = storage.repositories();
        repositories.keep_manifest(&app(), &manifest).await.unwrap();
        for text in ["v1", "v2", "v3"] {
            repositories
                .keep_tag(&app(), &tag(text), &digest)
                .await
                .unwrap();
        }
        deleting.await.unwrap();
        let is_held = repositories.holds_manifest(&app(), &digest).await.unwrap();
        let tags = repositories.tags(&app()).await.unwrap();
        assert!(is_held || tags.is_empty(), "{round}: {tags:?}");
        let found = repositories.manifest(&app(), &digest).await.unwrap();
        assert_eq!(found.is_some(), is_held, "{round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_many_push_at_once_points_at_one_of_their_manifests() {
    let place = Place::new();
    let storage = place.open().await;
    let pushes: Vec<_> = (0..16_u8)
        .map(|number| {
            let storage = storage.clone();
            spawn(async move { keep(&storage, "latest", &[number]).await.digest })
        })
        .collect();
    let mut digests = Vec::new();
    for push in pushes {
        digests.push(push.await.unwrap());
    }
    let now = tag_of(&storage, "latest").await.unwrap();
    assert!(digests.contains(&now));
    let storage = place.open_again(storage).await;
    assert_eq!(tag_of(&storage, "latest").await, Some(now));
}
