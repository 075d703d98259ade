use std::time::Duration;

use bytes::Bytes;
use cistern_oci::{Digest, Manifest, RepositoryName};

use crate::{
    Checked, Clock, Expired, Storage,
    testing::{Place, blob_path, image, name, sha256, store, tag},
};

const DAY: Duration = Duration::from_hours(24);

/// Stores an image under a tag, as a pull through the cache does.
pub(crate) async fn pull(
    place: &Place,
    storage: &Storage,
    of: &RepositoryName,
    as_tag: &str,
    layers: &[&[u8]],
) -> Manifest {
    let config = as_tag.as_bytes();
    let manifest = image(config, layers);
    storage
        .repositories()
        .put_manifest(of, &manifest)
        .await
        .unwrap();
    for bytes in [config].iter().chain(layers) {
        let digest = store(storage, &Bytes::copy_from_slice(bytes)).await;
        storage.repositories().link_blob(of, &digest).await.unwrap();
    }
    let checked = Checked {
        at: place.clock.now(),
        source: "up".into(),
    };
    storage
        .repositories()
        .set_tag(of, &tag(as_tag), &manifest.digest, checked)
        .await
        .unwrap();
    manifest
}

pub(crate) fn is_there(place: &Place, digest: &Digest) -> bool {
    place.files().contains(&blob_path(digest))
}

#[tokio::test]
async fn what_was_not_used_goes_and_what_was_used_stays_with_all_it_names() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("library/app");
    let old = pull(&place, &storage, &of, "old", &[b"shared", b"only old"]).await;
    let used = pull(&place, &storage, &of, "used", &[b"shared", b"only used"]).await;
    let storage = place.open_again(storage).await;
    place.clock.go_on(DAY * 10);
    storage.blobs().note_use(&used.digest);
    place.clock.go_on(DAY);
    let expired = storage
        .expire(place.clock.now() - DAY * 7, &|_| true)
        .await
        .unwrap();
    let bytes = (old.bytes.len() + b"old".len() + b"only old".len()) as u64;
    assert_eq!(
        expired,
        Expired {
            tags: 1,
            manifests: 1,
            blobs: 3,
            bytes
        }
    );
    for gone in [&old.digest, &sha256(b"only old"), &sha256(b"old")] {
        assert!(!is_there(&place, gone));
        assert!(!storage.repositories().holds_blob(&of, gone).await.unwrap());
    }
    for kept in [
        &used.digest,
        &sha256(b"only used"),
        &sha256(b"used"),
        &sha256(b"shared"),
    ] {
        assert!(is_there(&place, kept));
    }
    let again = storage.expire(place.clock.now() - DAY * 7, &|_| true);
    assert_eq!(again.await.unwrap(), Expired::default());
}

#[tokio::test]
async fn of_what_went_nothing_is_remembered() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("library/app");
    let old = pull(&place, &storage, &of, "old", &[b"only old"]).await;
    let used = pull(&place, &storage, &of, "used", &[b"only used"]).await;
    place.clock.go_on(DAY * 10);
    storage.blobs().note_use(&used.digest);
    storage
        .expire(place.clock.now() - DAY * 7, &|_| true)
        .await
        .unwrap();
    let repositories = storage.repositories();
    assert_eq!(repositories.tag(&of, &tag("old")).await.unwrap(), None);
    assert_eq!(repositories.manifest(&of, &old.digest).await.unwrap(), None);
    assert!(!repositories.holds_manifest(&of, &old.digest).await.unwrap());
    assert_eq!(
        repositories
            .names_digest(&of, &sha256(b"only old"))
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        repositories
            .tag(&of, &tag("used"))
            .await
            .unwrap()
            .unwrap()
            .digest,
        used.digest
    );
    assert_eq!(repositories.tags(&of).await.unwrap(), [tag("used")]);
    assert_eq!(
        storage
            .expire(place.clock.now() - DAY * 7, &|_| true)
            .await
            .unwrap(),
        Expired::default()
    );
}

#[tokio::test]
async fn a_repository_that_may_not_drop_keeps_everything() {
    let place = Place::new();
    let storage = place.open().await;
    let (may, may_not) = (name("may"), name("may-not"));
    let manifest = pull(&place, &storage, &may, "v1", &[b"shared"]).await;
    pull(&place, &storage, &may_not, "v1", &[b"shared"]).await;
    storage
        .repositories()
        .link_blob(
            &may_not,
            &store(&storage, &Bytes::from_static(b"loose")).await,
        )
        .await
        .unwrap();
    place.clock.go_on(DAY * 30);
    let expired = storage
        .expire(place.clock.now() - DAY, &|of| *of == may)
        .await
        .unwrap();
    assert_eq!(expired.blobs, 0);
    for kept in [&manifest.digest, &sha256(b"shared"), &sha256(b"loose")] {
        assert!(is_there(&place, kept));
    }
    assert!(
        storage
            .repositories()
            .manifest(&may_not, &manifest.digest)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn what_is_being_read_or_grown_stays() {
    let place = Place::new();
    let storage = place.open().await;
    let digest = store(&storage, &Bytes::from_static(b"read just now")).await;
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    place.clock.go_on(DAY * 30);
    assert_eq!(
        storage
            .expire(place.clock.now() - DAY, &|_| true)
            .await
            .unwrap()
            .blobs,
        0
    );
    drop(blob);
    assert_eq!(
        storage
            .expire(place.clock.now() - DAY, &|_| true)
            .await
            .unwrap()
            .blobs,
        1
    );
    assert!(!is_there(&place, &digest));
}

#[tokio::test]
async fn the_children_of_a_used_index_stay() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("a");
    let child = pull(&place, &storage, &of, "child", &[b"layer"]).await;
    let body = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"digest":"{}","size":{}}}]}}"#,
        child.digest,
        child.bytes.len()
    );
    let index = Manifest::by_tag(None, None, body.into());
    storage
        .repositories()
        .put_manifest(&of, &index)
        .await
        .unwrap();
    place.clock.go_on(DAY * 30);
    storage.blobs().note_use(&index.digest);
    assert_eq!(
        storage
            .expire(place.clock.now() - DAY, &|_| true)
            .await
            .unwrap(),
        Expired::default()
    );
    assert!(is_there(&place, &sha256(b"layer")));
}

#[tokio::test]
async fn uses_are_remembered_over_a_restart() {
    let place = Place::new();
    let storage = place.open().await;
    let digest = store(&storage, &Bytes::from_static(b"1")).await;
    let other = store(&storage, &Bytes::from_static(b"2")).await;
    place.clock.go_on(DAY * 30);
    storage.blobs().note_use(&digest);
    let storage = place.open_again(storage).await;
    assert_eq!(
        storage
            .expire(place.clock.now() - DAY, &|_| true)
            .await
            .unwrap()
            .blobs,
        1
    );
    assert!(is_there(&place, &digest) && !is_there(&place, &other));
}

#[tokio::test]
async fn a_read_only_store_drops_nothing() {
    let place = Place::new();
    place.adopt_blob(&sha256(b"1"), b"1");
    let storage = place.open_read_only().await;
    assert!(storage.expire(place.clock.now(), &|_| true).await.is_err());
}
