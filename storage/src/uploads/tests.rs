mod trouble;

use std::time::Duration;

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, RepositoryName, UploadId};

use super::{Turn, Upload};
use crate::{
    Clock, CommitError, Storage,
    testing::{Place, name, read, sha256, some_bytes, spawn},
};

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
async fn whoever_looks_whether_a_push_is_idle_does_not_make_it_seem_empty() {
    let place = Place::new();
    let storage = place.open().await;
    let id = begin(&storage).await;
    let mut upload = turn(&storage, &id).await;
    upload.append(some_bytes(1000, 1)).await.unwrap();
    upload.pause().await.unwrap();
    let looking = storage.uploads().turns.take(&id).unwrap();
    let received = storage.uploads().received(&app(), &id).await.unwrap();
    assert_eq!(received, Some(1000));
    drop(looking);
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
