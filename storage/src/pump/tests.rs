use std::time::Duration;

use bytes::Bytes;
use cistern_oci::ByteRange;

use crate::{
    CommitError, StorageError,
    faults::Operation,
    growing,
    layout::flat,
    testing::{
        Place, Why, append, append_rest, blob_path, drain, read, sha256, some_bytes, spawn, start,
        store, until,
    },
};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const KIB: usize = 1024;

fn leftovers(place: &Place) -> Vec<String> {
    place
        .files()
        .into_iter()
        .filter(|path| path.contains("partials"))
        .collect()
}

#[tokio::test]
async fn a_full_disk_fails_the_download_and_leaves_nothing() {
    let place = Place::new();
    let storage = place.open().await;
    place.disk.fail(Operation::Write, "partials", 2, ENOSPC);
    let bytes = some_bytes(4_000_000, 5);
    let (mut writer, blob) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    let body = spawn(drain(
        blob.read(ByteRange::whole(bytes.len() as u64).unwrap()),
    ));
    let mut failed = None;
    for part in bytes.chunks(300_000) {
        if let Err(error) = writer.append(Bytes::copy_from_slice(part)).await {
            failed = Some(error);
            break;
        }
    }
    assert!(matches!(failed, Some(StorageError::Full)), "{failed:?}");
    writer.discard("disk full");
    let (got, end) = body.await.unwrap();
    assert!(end.is_err() && bytes.starts_with(&got));
    place.disk.heal();
    until("the file is gone", || leftovers(&place).is_empty()).await;
    assert!(
        storage
            .blobs()
            .open(&sha256(&bytes))
            .await
            .unwrap()
            .is_none()
    );
    store(&storage, &bytes).await;
}

#[tokio::test]
async fn bytes_that_cannot_be_made_durable_do_not_become_a_blob() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(500_000, 6);
    place.disk.fail(Operation::Sync, "partials", 0, EIO);
    let (mut writer, blob) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    writer.append(bytes.clone()).await.unwrap();
    let error = writer.commit().await.unwrap_err();
    assert!(
        matches!(
            error,
            CommitError::Storage(StorageError::Io { what: "sync", .. })
        ),
        "{error:?}"
    );
    assert!(
        storage
            .blobs()
            .open(&sha256(&bytes))
            .await
            .unwrap()
            .is_none()
    );
    let read_on = read(blob.read(ByteRange::whole(bytes.len() as u64).unwrap())).await;
    assert!(
        read_on == bytes,
        "the bytes themselves were right: nobody is cut off"
    );
}

#[tokio::test]
async fn data_is_made_durable_on_the_way_and_before_it_gets_its_name() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(40 * 1024 * KIB, 7);
    let (mut writer, _) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    for part in bytes.chunks(1024 * KIB) {
        writer.append(Bytes::copy_from_slice(part)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    writer.commit().await.unwrap();
    let asked = place.disk.asked();
    let syncs = asked
        .iter()
        .filter(|asked| asked.operation == Operation::Sync)
        .count();
    assert!(syncs >= 2, "{syncs}");
    let last_write = asked
        .iter()
        .rposition(|asked| asked.operation == Operation::Write)
        .unwrap();
    let renamed = asked
        .iter()
        .position(|asked| asked.path.ends_with(blob_path(&sha256(&bytes))))
        .unwrap();
    let last_sync = asked
        .iter()
        .rposition(|asked| asked.operation == Operation::Sync)
        .unwrap();
    assert!(last_write < last_sync && last_sync < renamed);
}

#[tokio::test]
async fn a_failed_background_sync_is_not_forgotten() {
    let place = Place::new();
    let storage = place.open().await;
    place.disk.fail(Operation::Sync, "partials", 0, EIO);
    let bytes = some_bytes(40 * 1024 * KIB, 8);
    let (mut writer, _) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    let mut failed = None;
    for part in bytes.chunks(1024 * KIB) {
        if let Err(error) = writer.append(Bytes::copy_from_slice(part)).await {
            failed = Some(error);
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(
        matches!(failed, Some(StorageError::Io { what: "sync", .. })),
        "{failed:?}"
    );
}

#[tokio::test]
async fn below_the_reserve_a_new_blob_is_refused_and_the_readers_still_wait() {
    let place = Place::new();
    let storage = place.open_with_reserve(1000).await;
    let refuses = async |free: u64, size: Option<u64>| {
        place.disk.set_free(free);
        let (growing, blob) = growing::<Why>("interrupted");
        match storage.blobs().start(sha256(b"x"), size, growing).await {
            Ok(_) => false,
            Err(refused) => {
                assert!(matches!(refused.why, StorageError::Full));
                assert!(blob.readable() == 0);
                refused.growing.answered(Some(1));
                assert_eq!(blob.wait_size().await, Ok(1));
                true
            }
        }
    };
    assert!(refuses(999, None).await);
    assert!(refuses(1000, None).await);
    assert!(!refuses(1001, None).await);
    assert!(refuses(1500, Some(501)).await);
    assert!(!refuses(1500, Some(499)).await);
    place.disk.set_free(1500);
    let (first, _) = start(&storage, sha256(b"y"), Some(400)).await;
    assert!(
        refuses(1500, Some(400)).await,
        "room that was promised to another is not there"
    );
    drop(first);
    // The room is given back by the task that removes the file.
    let given_back = async {
        while refuses(1500, Some(400)).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), given_back)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_blob_of_unknown_size_stops_at_the_reserve() {
    let place = Place::new();
    let storage = place.open_with_reserve(1000).await;
    let (mut writer, _) = start(&storage, sha256(b"never"), None).await;
    place.disk.set_free(500);
    let mut failed = None;
    for seed in 0..100 {
        if let Err(error) = writer.append(some_bytes(1024 * KIB, seed)).await {
            failed = Some(error);
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(matches!(failed, Some(StorageError::Full)), "{failed:?}");
}

#[tokio::test]
async fn what_comes_while_a_partial_is_hashed_again_is_in_its_file_soon() {
    let place = Place::new();
    let storage = place.open().await;
    let (bytes, kept) = (some_bytes(40_000_000, 9), 36_000_000);
    let (mut writer, _blob) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    append(&mut writer, &bytes.slice(..kept)).await;
    writer.suspend("link is down").await;
    let before = place.disk.asked().len();
    let (mut writer, _blob) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    // In the file before all of the partial was hashed.
    writer
        .append(bytes.slice(kept..kept + 300_000))
        .await
        .unwrap();
    let part = flat(&sha256(&bytes)) + ".part";
    let of_part = || {
        let asked = place.disk.asked().into_iter().skip(before);
        let of_part = asked.filter(|asked| asked.path.to_string_lossy().ends_with(&part));
        of_part.map(|asked| asked.operation).collect::<Vec<_>>()
    };
    until("it is written", || of_part().contains(&Operation::Write)).await;
    append_rest(writer, &bytes).await.unwrap();
    let asked = of_part();
    let written = asked.iter().position(|asked| *asked == Operation::Write);
    let hashed = asked.iter().rposition(|asked| *asked == Operation::Read);
    assert!(written < hashed, "{asked:?}");
}
