use bytes::Bytes;
use cistern_oci::{Algorithm, ByteRange, Digest};
use proptest::prelude::*;

use crate::{
    CommitError, ReadError, StorageError,
    faults::Operation,
    growing,
    testing::{Place, Why, blob_path, drain, name, read, sha256, some_bytes, spawn, start, until},
};

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
async fn what_was_committed_is_read_back_also_after_a_restart() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(2_000_003, 1);
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, &bytes);
        let (mut writer, _) = start(&storage, digest, Some(bytes.len() as u64)).await;
        for part in bytes.chunks(100_001) {
            writer.append(Bytes::copy_from_slice(part)).await.unwrap();
        }
        assert_eq!(writer.written(), bytes.len() as u64);
        assert!(
            storage.blobs().open(&digest).await.unwrap().is_none(),
            "nothing is there before the commit"
        );
        let blob = writer.commit().await.unwrap();
        assert!(read(blob.read_all()).await == bytes);
        assert!(place.files().contains(&blob_path(&digest)));
    }
    let storage = place.open_again(storage).await;
    let digest = sha256(&bytes);
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    assert_eq!(
        storage.blobs().size(&digest).await.unwrap(),
        Some(bytes.len() as u64)
    );
    assert!(blob.verified().await.unwrap());
    assert!(
        read(blob.read(ByteRange {
            first: 5,
            last: 1_500_000
        }))
        .await
            == bytes[5..=1_500_000]
    );
    assert!(leftovers(&place).is_empty());
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let place = Place::new();
    let storage = place.open().await;
    let digest = sha256(b"");
    let (writer, blob) = start(&storage, digest, Some(0)).await;
    writer.commit().await.unwrap();
    assert_eq!(blob.wait_size().await, Ok(0));
    assert!(
        read(
            storage
                .blobs()
                .open(&digest)
                .await
                .unwrap()
                .unwrap()
                .read_all()
        )
        .await
        .is_empty()
    );
}

#[tokio::test]
async fn a_flipped_last_byte_reaches_nobody_as_a_complete_body() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(700 * KIB, 2);
    let mut flipped = bytes.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    for size in [Some(bytes.len() as u64), None] {
        let (mut writer, blob) = start(&storage, sha256(&bytes), size).await;
        let body = spawn(drain(
            blob.read(ByteRange::whole(bytes.len() as u64).unwrap()),
        ));
        writer.append(Bytes::from(flipped.clone())).await.unwrap();
        let error = writer
            .commit_for(Vec::new, |_| "wrong bytes")
            .await
            .unwrap_err();
        assert!(matches!(error, CommitError::WrongDigest { .. }));
        let (got, end) = body.await.unwrap();
        assert!(matches!(end, Err(ReadError::Unfinished)));
        assert!(
            got.len() <= bytes.len() - 64 * KIB,
            "{} bytes came",
            got.len()
        );
        assert_eq!(blob.wait_size().await, Err("wrong bytes"));
        assert!(
            storage
                .blobs()
                .open(&sha256(&bytes))
                .await
                .unwrap()
                .is_none()
        );
    }
    until("the files are gone", || leftovers(&place).is_empty()).await;
}

#[tokio::test]
async fn more_or_fewer_bytes_than_announced_are_refused() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(1000, 3);
    let (mut writer, _) = start(&storage, sha256(&bytes), Some(999)).await;
    let error = writer.append(bytes.clone()).await.unwrap_err();
    assert!(matches!(error, StorageError::TooLong { limit: 999 }));
    let (mut writer, blob) = start(&storage, sha256(&bytes), Some(1001)).await;
    writer.append(bytes.clone()).await.unwrap();
    let error = writer.commit().await.unwrap_err();
    assert!(matches!(
        error,
        CommitError::WrongSize {
            expected: 1001,
            actual: 1000
        }
    ));
    assert_eq!(blob.wait_for(2000).await, Err("interrupted"));
    assert!(
        storage
            .blobs()
            .open(&sha256(&bytes))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_dropped_writer_leaves_what_came_and_lets_go_of_its_blob() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(1_000_000, 4);
    let digest = sha256(&bytes);
    let (mut writer, _) = start(&storage, digest, None).await;
    writer.append(bytes.clone()).await.unwrap();
    assert!(storage.leases().is_held(&digest));
    drop(writer);
    assert!(!storage.leases().is_held(&digest));
    let partial = storage.blobs().partial(&digest).await.unwrap().unwrap();
    assert_eq!(partial.length, bytes.len() as u64);
    assert!(storage.blobs().open(&digest).await.unwrap().is_none());
}

#[tokio::test]
async fn a_crash_before_the_rename_leaves_no_blob_but_all_its_bytes() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(500_000, 9);
    let (digest, size) = (sha256(&bytes), Some(bytes.len() as u64));
    let (mut writer, _) = start(&storage, digest, size).await;
    writer.append(bytes.clone()).await.unwrap();
    place.disk.fail(Operation::Rename, "blobs", 0, EIO);
    writer.commit().await.unwrap_err();
    let run = "cistern/partials/sha256-ab.7f-1.0.new";
    place.write(run, b"as a killed process leaves it");
    place.write("cistern/partials/sha256-ab.part", b"not ours to sweep");
    place.disk.heal();
    let storage = place.open_again(storage).await;
    assert!(storage.blobs().open(&digest).await.unwrap().is_none());
    until("the leftover is swept", || {
        !leftovers(&place).contains(&run.to_owned())
    })
    .await;
    let (writer, _) = start(&storage, digest, size).await;
    assert_eq!(writer.written(), bytes.len() as u64);
    writer.commit().await.unwrap();
    assert_eq!(leftovers(&place), ["cistern/partials/sha256-ab.part"]);
}

#[tokio::test]
async fn a_read_only_store_refuses_writes_and_serves() {
    let place = Place::new();
    let bytes = some_bytes(3_000_000, 10);
    let digest = sha256(&bytes);
    place.adopt_blob(&digest, &bytes);
    let before = place.files();
    let storage = place.open_read_only().await;
    let (growing, _) = growing::<Why>("interrupted");
    let refused = storage
        .blobs()
        .start(sha256(b"x"), None, growing)
        .await
        .err()
        .unwrap();
    assert!(matches!(refused.why, StorageError::ReadOnly));
    assert!(matches!(
        storage
            .blobs()
            .put(&sha256(b"x"), Bytes::from_static(b"x"))
            .await,
        Err(StorageError::ReadOnly)
    ));
    let blob = storage.blobs().open(&digest).await.unwrap().unwrap();
    assert!(read(blob.read_all()).await == bytes);
    storage.check().await.unwrap();
    storage.flush().await.unwrap();
    assert_eq!(place.files(), before, "not even a lock file is written");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_cut_into_pieces_gives_the_same_blob(sizes in prop::collection::vec(1_usize..150_000, 1..12), seed: u64) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let storage = place.open().await;
            let bytes = some_bytes(sizes.iter().sum(), seed);
            let (mut writer, blob) = start(&storage, sha256(&bytes), None).await;
            let body = spawn(drain(blob.read(ByteRange::whole(bytes.len() as u64).unwrap())));
            let mut rest = bytes.clone();
            for size in sizes {
                writer.append(rest.split_to(size)).await.unwrap();
            }
            writer.commit().await.unwrap();
            assert!(body.await.unwrap().0 == bytes);
        });
    }
}

#[tokio::test]
async fn a_blob_is_linked_before_it_has_its_name_and_a_link_without_a_blob_is_a_miss() {
    let place = Place::new();
    let storage = place.open().await;
    let (bytes, of) = (some_bytes(100 * KIB, 9), name("library/app"));
    let digest = sha256(&bytes);
    for fails in [true, false] {
        if fails {
            place.disk.fail(Operation::Rename, "/data", 0, EIO);
        }
        let (mut writer, _blob) = start(&storage, digest, Some(bytes.len() as u64)).await;
        let there = usize::try_from(writer.written()).unwrap();
        assert_eq!(there > 0, !fails, "what came stays");
        writer.append(bytes.slice(there..)).await.unwrap();
        let holders = vec![of.clone()];
        let committed = writer.commit_for(move || holders, |_| "failed").await;
        assert_eq!(committed.is_err(), fails);
        place.disk.heal();
        let repositories = storage.repositories();
        assert!(repositories.holds_blob(&of, &digest).await.unwrap());
        let found = storage.blobs().open(&digest).await.unwrap();
        assert_eq!(found.is_none(), fails);
        assert_eq!(
            repositories.list().await.unwrap(),
            std::slice::from_ref(&of)
        );
    }
}
