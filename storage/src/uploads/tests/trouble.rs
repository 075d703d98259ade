//! Trouble: a full or failing disk, a store that may not be written to, many who push and delete the same.

use std::time::Duration;

use bytes::Bytes;
use cistern_oci::{Algorithm, Manifest, UploadId};

use super::{app, begin, holds, is_unknown, push, turn, turn_soon, uploads_on_disk};
use crate::{
    Clock, CommitError, Options, Reserve, Storage, StorageError,
    faults::Operation,
    testing::{
        Place, blob_path, image, in_memory, name, sha256, some_bytes, spawn, store, tag, until,
    },
};

const EIO: i32 = 5;

#[tokio::test]
async fn no_push_begins_or_grows_below_the_reserve() {
    let place = Place::new();
    let options = Options {
        reserve: Reserve::Bytes(1_000_000),
        ..place.options()
    };
    let storage = Storage::open(options).await.unwrap();
    place.disk.set_free(2_000_000);
    let id = begin(&storage).await;
    let bytes = some_bytes(400_000, 9);
    let mut upload = turn(&storage, &id).await;
    upload.append(bytes.slice(..200_000)).await.unwrap();
    upload.pause().await.unwrap();
    place.disk.set_free(900_000);
    assert!(matches!(
        storage.uploads().begin(&app(), Algorithm::Sha256).await,
        Err(StorageError::Full)
    ));
    let mut upload = turn(&storage, &id).await;
    let mut refused = upload.append(bytes.slice(200_000..300_000)).await;
    if refused.is_ok() {
        refused = upload.pause().await.map(drop);
    } else {
        drop(upload);
    }
    assert!(matches!(refused, Err(StorageError::Full)));
    place.disk.set_free(2_000_000);
    let mut upload = turn_soon(&storage, &id).await;
    assert_eq!(upload.received(), 200_000, "what had been taken is kept");
    upload.append(bytes.slice(200_000..)).await.unwrap();
    upload.commit(&sha256(&bytes)).await.unwrap();
    assert!(holds(&storage, &app(), &bytes).await);
}

#[tokio::test]
async fn a_disk_that_fails_in_the_middle_costs_only_what_it_refused() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(1_000_000, 10);
    let id = begin(&storage).await;
    place.disk.fail(Operation::Write, "data", 4, EIO);
    let mut upload = turn(&storage, &id).await;
    let mut failed = None;
    for piece in bytes.chunks(50_000) {
        if let Err(error) = upload.append(Bytes::copy_from_slice(piece)).await {
            failed = Some(error);
            break;
        }
    }
    assert!(matches!(failed, Some(StorageError::Io { .. })));
    assert!(upload.append(bytes.clone()).await.is_err(), "for good");
    drop(upload);
    place.disk.heal();
    let mut upload = turn_soon(&storage, &id).await;
    let from = usize::try_from(upload.received()).unwrap();
    assert_eq!(
        storage.uploads().received(&app(), &id).await.unwrap(),
        Some(from as u64)
    );
    assert!(from > 0 && from < bytes.len());
    upload.append(bytes.slice(from..)).await.unwrap();
    upload.commit(&sha256(&bytes)).await.unwrap();
    assert!(holds(&storage, &app(), &bytes).await);
}

#[tokio::test]
async fn a_failed_sync_gives_the_push_up() {
    let place = Place::new();
    let storage = place.open().await;
    let id = begin(&storage).await;
    place.disk.fail(Operation::Sync, "uploads", 0, EIO);
    let mut upload = turn(&storage, &id).await;
    upload.append(some_bytes(9_000_000, 11)).await.unwrap();
    let about = format!("cistern/uploads/{id}/about");
    until("the push is gone", || !place.files().contains(&about)).await;
    place.disk.heal();
    let error = upload
        .commit(&sha256(&some_bytes(9_000_000, 11)))
        .await
        .unwrap_err();
    assert!(matches!(error, CommitError::Storage(_)));
    assert!(is_unknown(&storage, &id).await);
}

#[tokio::test]
async fn a_read_only_store_takes_no_pushes() {
    let place = Place::new();
    let storage = place.open_read_only().await;
    let id: UploadId = "a".parse().unwrap();
    assert!(matches!(
        storage.uploads().begin(&app(), Algorithm::Sha256).await,
        Err(StorageError::ReadOnly)
    ));
    assert!(matches!(
        storage.uploads().open(&app(), &id).await,
        Err(StorageError::ReadOnly)
    ));
    assert!(matches!(
        storage.uploads().expire(place.clock.now()).await,
        Err(StorageError::ReadOnly)
    ));
    assert_eq!(storage.uploads().received(&app(), &id).await.unwrap(), None);
    assert_eq!(place.files(), Vec::<String>::new());
}

#[tokio::test]
async fn bytes_that_are_in_the_store_already_are_kept_once() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(2_000_000, 12);
    store(&storage, &bytes).await;
    let inode = |place: &Place| {
        let path = place.root().join(blob_path(&sha256(&bytes)));
        std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap())
    };
    let before = inode(&place);
    push(&storage, &app(), &bytes).await.unwrap();
    assert_eq!(inode(&place), before);
    assert!(holds(&storage, &app(), &bytes).await);
    assert_eq!(uploads_on_disk(&place), Vec::<String>::new());
}

#[tokio::test]
async fn a_push_mends_a_damaged_blob() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(2_000_000, 13);
    push(&storage, &app(), &bytes).await.unwrap();
    place.write(&blob_path(&sha256(&bytes)), &some_bytes(2_000_000, 14));
    push(&storage, &app(), &bytes).await.unwrap();
    assert!(holds(&storage, &app(), &bytes).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_may_be_pushed_by_many_at_once() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(300_000, 15);
    let pushes: Vec<_> = (0..24)
        .map(|number| {
            let (storage, bytes) = (storage.clone(), bytes.clone());
            let of = name(["local/a", "local/b", "local/c"][number % 3]);
            spawn(async move { push(&storage, &of, &bytes).await })
        })
        .collect();
    for push in pushes {
        assert_eq!(push.await.unwrap().unwrap(), 300_000);
    }
    for of in ["local/a", "local/b", "local/c"] {
        assert!(holds(&storage, &name(of), &bytes).await);
    }
    assert_eq!(uploads_on_disk(&place), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_told_that_a_blob_is_kept_has_it_also_while_others_delete_it() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(50_000, 16);
    let digest = sha256(&bytes);
    for round in 0..40_u64 {
        let deleting: Vec<_> = (0..2)
            .map(|number| {
                let storage = storage.clone();
                spawn(async move {
                    let of = name(["local/b", "local/c"][number]);
                    tokio::time::sleep(Duration::from_micros(round * 30)).await;
                    storage
                        .repositories()
                        .drop_blob(&of, &digest)
                        .await
                        .unwrap();
                })
            })
            .collect();
        push(&storage, &name("local/b"), &bytes).await.unwrap();
        push(&storage, &name("local/a"), &bytes).await.unwrap();
        for deleting in deleting {
            deleting.await.unwrap();
        }
        assert!(holds(&storage, &name("local/a"), &bytes).await, "{round}");
        for of in ["local/a", "local/b", "local/c"] {
            let link = storage.repositories().holds_blob(&name(of), &digest).await;
            let bytes_are_there = storage.blobs().open(&digest).await.unwrap().is_some();
            assert!(!link.unwrap() || bytes_are_there);
        }
        storage
            .repositories()
            .drop_blob(&name("local/a"), &digest)
            .await
            .unwrap();
    }
    storage
        .repositories()
        .drop_blob(&name("local/b"), &digest)
        .await
        .unwrap();
    storage.flush().await.unwrap();
    assert!(storage.blobs().open(&digest).await.unwrap().is_none());
}

#[tokio::test]
async fn what_waits_for_the_disk_is_bounded() {
    let place = Place::new();
    let storage = place.open().await;
    let id = begin(&storage).await;
    let mut upload = turn(&storage, &id).await;
    let bytes = some_bytes(64 * 1024 - 1, 17);
    upload.append(bytes.clone()).await.unwrap();
    let data = format!("cistern/uploads/{id}/data");
    assert_eq!(
        place.text(&data).len(),
        0,
        "small pieces are written together"
    );
    upload
        .append(Bytes::from(vec![0; 5_000_000]))
        .await
        .unwrap();
    let written = std::fs::metadata(place.root().join(&data)).unwrap().len();
    assert!(upload.received() - written <= 2 * 64 * 1024);
    upload.pause().await.unwrap();
    drop(turn(&storage, &id).await);
}

#[tokio::test]
async fn a_disk_that_fails_anywhere_in_a_push_leaves_nothing_half_and_it_can_be_pushed_again() {
    let bytes = some_bytes(100_000, 18);
    let manifest = image(&bytes, &[]);
    for operation in [
        Operation::Create,
        Operation::Write,
        Operation::Sync,
        Operation::Rename,
        Operation::SyncDirectory,
        Operation::CreateDirectories,
    ] {
        for passes in 0..40 {
            let place = Place {
                directory: in_memory(),
                ..Place::new()
            };
            let storage = place.open().await;
            place.disk.fail(operation, "", passes, EIO);
            let pushed = push_image(&storage, &bytes, &manifest).await;
            place.disk.heal();
            let when = format!("{operation:?} fails after {passes}");
            let repositories = storage.repositories();
            let held = repositories.holds_blob(&app(), &sha256(&bytes)).await;
            assert_eq!(
                held.unwrap(),
                holds(&storage, &app(), &bytes).await,
                "{when}"
            );
            let tagged = repositories.tag(&app(), &tag("v1")).await.unwrap();
            let found = repositories.manifest(&app(), &manifest.digest).await;
            let found = found.unwrap().is_some();
            assert!(found || tagged.is_none(), "{when}");
            assert!(pushed.is_err() || tagged.is_some(), "{when}");
            push_image(&storage, &bytes, &manifest).await.unwrap();
            assert!(holds(&storage, &app(), &bytes).await, "{when}");
            if pushed.is_ok() {
                break;
            }
            assert_ne!(passes, 39, "{operation:?}: there is an end");
        }
    }
}

async fn push_image(
    storage: &Storage,
    bytes: &Bytes,
    manifest: &Manifest,
) -> Result<(), CommitError> {
    push(storage, &app(), bytes).await?;
    let repositories = storage.repositories();
    repositories.keep_manifest(&app(), manifest).await?;
    repositories
        .keep_tag(&app(), &tag("v1"), &manifest.digest)
        .await?;
    Ok(())
}
