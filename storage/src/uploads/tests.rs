use std::time::Duration;

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, RepositoryName, UploadId};

use super::{Turn, Upload};
use crate::{
    Clock, CommitError, Options, Reserve, Storage, StorageError,
    faults::Operation,
    testing::{Place, blob_path, name, read, sha256, some_bytes, spawn, store, until},
};

const EIO: i32 = 5;

fn app() -> RepositoryName {
    name("local/app")
}

async fn begin(storage: &Storage) -> UploadId {
    storage
        .uploads()
        .begin(&app(), Algorithm::Sha256)
        .await
        .unwrap()
}

async fn turn(storage: &Storage, id: &UploadId) -> Upload {
    match storage.uploads().open(&app(), id).await.unwrap() {
        Turn::Yours(upload) => upload,
        Turn::Taken => panic!("taken"),
        Turn::Unknown => panic!("unknown"),
    }
}

/// Waits until whoever went without a word has let go.
async fn turn_soon(storage: &Storage, id: &UploadId) -> Upload {
    for _ in 0..500 {
        if let Turn::Yours(upload) = storage.uploads().open(&app(), id).await.unwrap() {
            return upload;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the turn never came");
}

async fn is_unknown(storage: &Storage, id: &UploadId) -> bool {
    matches!(
        storage.uploads().open(&app(), id).await.unwrap(),
        Turn::Unknown
    )
}

async fn push(storage: &Storage, of: &RepositoryName, bytes: &Bytes) -> Result<u64, CommitError> {
    let id = storage.uploads().begin(of, Algorithm::Sha256).await?;
    let Turn::Yours(mut upload) = storage.uploads().open(of, &id).await? else {
        panic!("no turn");
    };
    upload.append(bytes.clone()).await?;
    upload.commit(&sha256(bytes)).await
}

async fn holds(storage: &Storage, of: &RepositoryName, bytes: &Bytes) -> bool {
    let digest = sha256(bytes);
    let link = storage
        .repositories()
        .holds_blob(of, &digest)
        .await
        .unwrap();
    match storage.blobs().open(&digest).await.unwrap() {
        Some(blob) if link => read(blob.read_all()).await == *bytes,
        _ => false,
    }
}

fn uploads_on_disk(place: &Place) -> Vec<String> {
    let mut files = place.files();
    files.retain(|path| path.starts_with("cistern/uploads") || path.contains("partials"));
    files
}

#[tokio::test]
async fn a_push_in_many_turns_becomes_a_blob_of_its_repository() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(1_000_003, 1);
    let id = begin(&storage).await;
    let mut sent = 0;
    for part in bytes.chunks(150_001) {
        let mut upload = turn(&storage, &id).await;
        assert_eq!(upload.received(), sent);
        assert_eq!(upload.id(), &id);
        for piece in part.chunks(40_000) {
            upload.append(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        sent += part.len() as u64;
        assert_eq!(upload.received(), sent);
        assert_eq!(
            storage.uploads().received(&app(), &id).await.unwrap(),
            Some(sent)
        );
        assert_eq!(upload.pause().await.unwrap(), sent);
        assert_eq!(
            storage.uploads().received(&app(), &id).await.unwrap(),
            Some(sent)
        );
    }
    assert!(!holds(&storage, &app(), &bytes).await);
    let size = turn(&storage, &id).await.commit(&sha256(&bytes)).await;
    assert_eq!(size.unwrap(), bytes.len() as u64);
    assert!(holds(&storage, &app(), &bytes).await);
    assert!(!holds(&storage, &name("local/other"), &bytes).await);
    assert!(is_unknown(&storage, &id).await);
    assert_eq!(storage.uploads().received(&app(), &id).await.unwrap(), None);
    let storage = place.open_again(storage).await;
    assert!(holds(&storage, &app(), &bytes).await);
    assert_eq!(uploads_on_disk(&place), Vec::<String>::new());
}

#[tokio::test]
async fn the_algorithm_may_be_named_at_the_end() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(700_000, 2);
    for (begun, ended) in [
        (Algorithm::Sha256, Algorithm::Sha512),
        (Algorithm::Sha512, Algorithm::Sha256),
        (Algorithm::Sha512, Algorithm::Sha512),
    ] {
        let digest = Digest::of(ended, &bytes);
        let id = storage.uploads().begin(&app(), begun).await.unwrap();
        let mut upload = turn(&storage, &id).await;
        upload.append(bytes.clone()).await.unwrap();
        assert_eq!(upload.commit(&digest).await.unwrap(), 700_000);
        let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
        assert!(read(blob.read_all()).await == bytes);
        assert!(
            storage
                .repositories()
                .holds_blob(&app(), &digest)
                .await
                .unwrap()
        );
    }
}

#[tokio::test]
async fn a_push_goes_on_after_a_restart() {
    let place = Place::new();
    let mut storage = place.open().await;
    let bytes = some_bytes(900_000, 3);
    let id = begin(&storage).await;
    for part in bytes.chunks(300_000) {
        let mut upload = turn(&storage, &id).await;
        upload.append(Bytes::copy_from_slice(part)).await.unwrap();
        let received = upload.pause().await.unwrap();
        storage = place.open_again(storage).await;
        assert_eq!(
            storage.uploads().received(&app(), &id).await.unwrap(),
            Some(received)
        );
    }
    let upload = turn(&storage, &id).await;
    assert_eq!(upload.received(), 900_000);
    assert_eq!(upload.commit(&sha256(&bytes)).await.unwrap(), 900_000);
    assert!(holds(&storage, &app(), &bytes).await);
}

#[tokio::test]
async fn an_empty_blob_can_be_pushed() {
    let place = Place::new();
    let storage = place.open().await;
    assert_eq!(push(&storage, &app(), &Bytes::new()).await.unwrap(), 0);
    assert!(holds(&storage, &app(), &Bytes::new()).await);
}

#[tokio::test]
async fn bytes_that_hash_to_another_digest_end_the_push_and_are_removed() {
    let place = Place::new();
    let storage = place.open().await;
    let (bytes, other) = (some_bytes(100_000, 4), some_bytes(100_000, 5));
    let id = begin(&storage).await;
    let mut upload = turn(&storage, &id).await;
    upload.append(bytes.clone()).await.unwrap();
    match upload.commit(&sha256(&other)).await {
        Err(CommitError::WrongDigest { expected, actual }) => {
            assert_eq!((*expected, *actual), (sha256(&other), sha256(&bytes)));
        }
        other => panic!("{other:?}"),
    }
    assert!(is_unknown(&storage, &id).await);
    for digest in [sha256(&bytes), sha256(&other)] {
        assert!(storage.blobs().open(&digest).await.unwrap().is_none());
    }
    assert_eq!(uploads_on_disk(&place), Vec::<String>::new());
}

#[tokio::test]
async fn only_one_request_at_a_time_has_the_turn_and_only_in_its_own_repository() {
    let place = Place::new();
    let storage = place.open().await;
    let id = begin(&storage).await;
    let upload = turn(&storage, &id).await;
    let uploads = storage.uploads();
    assert!(matches!(
        uploads.open(&app(), &id).await.unwrap(),
        Turn::Taken
    ));
    let other = name("local/other");
    assert!(matches!(
        uploads.open(&other, &id).await.unwrap(),
        Turn::Unknown
    ));
    assert_eq!(uploads.received(&other, &id).await.unwrap(), None);
    assert_eq!(uploads.received(&app(), &id).await.unwrap(), Some(0));
    drop(upload);
    drop(turn(&storage, &id).await);
    assert!(is_unknown(&storage, &"nobody".parse().unwrap()).await);
}

#[tokio::test]
async fn what_a_broken_request_brought_stays_and_the_next_goes_on_behind_it() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(500_000, 6);
    let id = begin(&storage).await;
    let mut rest = bytes.clone();
    for length in [1, 70_000, 200_000, 65_536] {
        let mut upload = turn_soon(&storage, &id).await;
        upload.append(rest.split_to(length)).await.unwrap();
        drop(upload);
    }
    let mut upload = turn_soon(&storage, &id).await;
    assert_eq!(upload.received(), 500_000 - rest.len() as u64);
    upload.append(rest).await.unwrap();
    upload.commit(&sha256(&bytes)).await.unwrap();
    assert!(holds(&storage, &app(), &bytes).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_aborted_at_any_moment_leaves_a_true_beginning() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(3_000_000, 7);
    let id = begin(&storage).await;
    for patience in 0..20 {
        let mut upload = turn_soon(&storage, &id).await;
        let from = usize::try_from(upload.received()).unwrap();
        let rest = bytes.slice(from..);
        let request = spawn(async move {
            for piece in rest.chunks(30_000) {
                upload.append(Bytes::copy_from_slice(piece)).await.unwrap();
            }
        });
        tokio::time::sleep(Duration::from_micros(patience * 50)).await;
        request.abort();
        let _ = request.await;
    }
    let mut upload = turn_soon(&storage, &id).await;
    let from = usize::try_from(upload.received()).unwrap();
    upload.append(bytes.slice(from..)).await.unwrap();
    upload.commit(&sha256(&bytes)).await.unwrap();
    assert!(holds(&storage, &app(), &bytes).await);
}

#[tokio::test]
async fn a_cancelled_push_leaves_nothing() {
    let place = Place::new();
    let storage = place.open().await;
    let before = place.files();
    let id = begin(&storage).await;
    let mut upload = turn(&storage, &id).await;
    upload.append(some_bytes(200_000, 8)).await.unwrap();
    upload.cancel().await.unwrap();
    assert!(is_unknown(&storage, &id).await);
    assert_eq!(place.files(), before);
}

#[tokio::test]
async fn idle_pushes_expire_and_others_do_not() {
    let place = Place::new();
    let storage = place.open().await;
    let begun = place.clock.now();
    let (idle, paused, running) = (
        begin(&storage).await,
        begin(&storage).await,
        begin(&storage).await,
    );
    let held = turn(&storage, &running).await;
    place.clock.go_on(Duration::from_hours(10));
    turn(&storage, &paused).await.pause().await.unwrap();
    let since = begun + Duration::from_hours(5);
    assert_eq!(storage.uploads().expire(begun).await.unwrap(), 0);
    assert_eq!(storage.uploads().expire(since).await.unwrap(), 1);
    assert!(is_unknown(&storage, &idle).await);
    assert_eq!(
        storage.uploads().received(&app(), &paused).await.unwrap(),
        Some(0)
    );
    drop(held);
    place.write("cistern/uploads/left/data", b"of a broken beginning");
    let storage = place.open_again(storage).await;
    // What an earlier run had to do with goes by the times of the files.
    let later = std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(5_000_000);
    assert_eq!(storage.uploads().expire(later).await.unwrap(), 3);
    assert_eq!(uploads_on_disk(&place), Vec::<String>::new());
}

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
