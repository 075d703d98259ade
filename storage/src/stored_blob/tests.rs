use bytes::Bytes;
use cistern_oci::{Algorithm, ByteRange, Digest};

use crate::{
    ReadError, StorageError,
    faults::Operation,
    testing::{Place, blob_path, drain, read, sha256, some_bytes, spawn, store},
};

const MIB: usize = 1024 * 1024;

fn reads_of(place: &Place, digest: &Digest) -> usize {
    let path = place.root().join(blob_path(digest));
    place
        .disk
        .asked()
        .iter()
        .filter(|asked| asked.operation == Operation::Read && asked.path == path)
        .count()
}

#[tokio::test]
async fn an_adopted_blob_is_hashed_once_while_it_is_read_and_then_trusted() {
    let place = Place::new();
    let bytes = some_bytes(3 * MIB + 5, 1);
    let digest = sha256(&bytes);
    place.adopt_blob(&digest, &bytes);
    let storage = place.open().await;
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    assert_eq!(blob.size(), bytes.len() as u64);
    assert!(read(blob.read_all()).await == bytes);
    let storage = place
        .open_again({
            drop(blob);
            storage
        })
        .await;
    let before = reads_of(&place, &digest);
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    assert!(blob.verified().await.unwrap());
    assert_eq!(
        reads_of(&place, &digest),
        before,
        "the stamp is remembered over a restart"
    );
}

#[tokio::test]
async fn a_damaged_blob_reaches_nobody_whole_and_is_moved_aside() {
    let place = Place::new();
    let bytes = some_bytes(3 * MIB, 2);
    let digest = sha256(&bytes);
    let mut damaged = bytes.to_vec();
    damaged[7] ^= 1;
    place.adopt_blob(&digest, &damaged);
    let storage = place.open().await;
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    let (got, end) = drain(blob.read_all()).await;
    assert!(
        matches!(end, Err(ReadError::Storage(StorageError::Damaged(_)))),
        "{end:?}"
    );
    assert_eq!(
        got.len(),
        3 * MIB - 64 * 1024,
        "the last piece was withheld"
    );
    assert!(
        storage.blobs().open(&digest).await.unwrap().is_none(),
        "absent from now on"
    );
    assert_eq!(storage.blobs().size(&digest).await.unwrap(), None);
    let files = place.files();
    assert!(!files.contains(&blob_path(&digest)));
    assert!(
        files
            .iter()
            .any(|path| path.starts_with("cistern/quarantine/sha256-")),
        "{files:?}"
    );
    store(&storage, &bytes).await;
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    assert!(
        read(blob.read_all()).await == bytes,
        "fetched again, it is as good as any"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_an_adopted_blob_comes_after_one_verification_for_all() {
    let place = Place::new();
    let bytes = some_bytes(4 * MIB, 3);
    let digest = sha256(&bytes);
    place.adopt_blob(&digest, &bytes);
    let storage = place.open().await;
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    let range = ByteRange {
        first: 100,
        last: 199,
    };
    let readers: Vec<_> = (0..20).map(|_| spawn(drain(blob.read(range)))).collect();
    for reader in readers {
        assert!(reader.await.unwrap().0 == bytes[100..200]);
    }
    let reads = reads_of(&place, &digest);
    assert!(reads <= 4 * 4 + 1 + 20, "{reads} reads");
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    assert!(blob.verified().await.unwrap());
}

#[tokio::test]
async fn no_part_of_a_damaged_blob_is_given_out() {
    let place = Place::new();
    let bytes = some_bytes(2 * MIB, 4);
    let digest = sha256(&bytes);
    place.adopt_blob(&digest, &bytes.slice(..2 * MIB - 1));
    let storage = place.open().await;
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    let (got, end) = drain(blob.read(ByteRange { first: 0, last: 99 })).await;
    assert!(got.is_empty() && end.is_err());
    assert!(!blob.verified().await.unwrap());
    assert!(storage.blobs().open(&digest).await.unwrap().is_none());
}

#[tokio::test]
async fn small_adopted_blobs_are_verified_when_they_are_opened() {
    let place = Place::new();
    let bytes = some_bytes(1000, 5);
    let (good, bad, empty) = (sha256(&bytes), sha256(b"other"), sha256(b"never empty"));
    place.adopt_blob(&good, &bytes);
    place.adopt_blob(&bad, &bytes);
    place.adopt_blob(&empty, b"");
    let storage = place.open().await;
    assert!(
        storage
            .blobs()
            .open(&good)
            .await
            .unwrap()
            .unwrap()
            .verified()
            .await
            .unwrap()
    );
    assert!(storage.blobs().open(&bad).await.unwrap().is_none());
    assert!(
        storage.blobs().open(&empty).await.unwrap().is_none(),
        "what a power cut left is no blob"
    );
}

#[tokio::test]
async fn a_blob_that_was_changed_on_disk_is_no_longer_trusted() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(100_000, 6);
    let digest = store(&storage, &bytes).await;
    assert!(storage.blobs().open(&digest).await.unwrap().is_some());
    let mut changed = bytes.to_vec();
    changed[0] ^= 1;
    place.write(&blob_path(&digest), &changed);
    assert!(storage.blobs().open(&digest).await.unwrap().is_none());
}

#[tokio::test]
async fn a_removed_blob_is_gone_at_once_and_open_readers_read_on() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(2 * MIB, 7);
    let digest = store(&storage, &bytes).await;
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    assert!(storage.leases().is_held(&digest));
    assert_eq!(
        storage.blobs().remove(&digest).await.unwrap(),
        Some(bytes.len() as u64)
    );
    assert_eq!(storage.blobs().remove(&digest).await.unwrap(), None);
    assert!(storage.blobs().open(&digest).await.unwrap().is_none());
    assert_eq!(storage.blobs().size(&digest).await.unwrap(), None);
    assert!(read(blob.read_all()).await == bytes);
    drop(blob);
    assert!(!storage.leases().is_held(&digest));
}

#[tokio::test]
async fn bytes_that_are_not_in_memory_are_waited_for_off_the_reactor() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(MIB, 8);
    let digest = store(&storage, &bytes).await;
    place.disk.set_cold(true);
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    assert!(read(blob.read_all()).await == bytes);
}

#[tokio::test]
async fn a_disk_that_fails_while_reading_cuts_the_body() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(MIB, 9);
    let digest = store(&storage, &bytes).await;
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    place.disk.fail(Operation::Read, "blobs", 2, 5);
    let (got, end) = drain(blob.read_all()).await;
    assert!(end.is_err() && !got.is_empty() && got.len() < bytes.len());
}

#[tokio::test]
async fn small_things_are_put_and_read_whole_and_always_verified() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = Bytes::from_static(b"{}");
    let digest = Digest::of(Algorithm::Sha512, &bytes);
    let blobs = storage.blobs();
    assert_eq!(blobs.read(&digest, 10).await.unwrap(), None);
    blobs.put(&digest, bytes.clone()).await.unwrap();
    blobs.put(&digest, bytes.clone()).await.unwrap();
    assert_eq!(blobs.read(&digest, 10).await.unwrap(), Some(bytes));
    assert!(matches!(
        blobs.read(&digest, 1).await,
        Err(StorageError::TooLong { limit: 1 })
    ));
    assert!(matches!(
        blobs.put(&digest, Bytes::from_static(b"[]")).await,
        Err(StorageError::Damaged(_))
    ));
    place.write(&blob_path(&digest), b"[]");
    assert_eq!(blobs.read(&digest, 10).await.unwrap(), None);
    assert!(!place.files().contains(&blob_path(&digest)));
}

#[tokio::test]
async fn the_quarantine_is_bounded() {
    let place = Place::new();
    let storage = place.open().await;
    for seed in 0..40_u8 {
        let digest = sha256(&[seed]);
        place.adopt_blob(&digest, b"wrong");
        assert!(storage.blobs().open(&digest).await.unwrap().is_none());
    }
    let held = place
        .files()
        .iter()
        .filter(|path| path.contains("quarantine"))
        .count();
    assert_eq!(held, 16);
}

#[tokio::test]
async fn a_read_only_store_leaves_a_damaged_blob_where_it_is_and_does_not_serve_it() {
    let place = Place::new();
    let digest = sha256(b"right");
    place.adopt_blob(&digest, b"wrong");
    let storage = place.open_read_only().await;
    assert!(storage.blobs().open(&digest).await.unwrap().is_none());
    assert!(storage.blobs().open(&digest).await.unwrap().is_none());
    assert_eq!(place.files(), [blob_path(&digest)]);
}
