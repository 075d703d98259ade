mod expiry;
mod random;

use std::time::Duration;

use bytes::Bytes;
use cistern_oci::{ByteRange, Digest};
use tokio::time::timeout;

use crate::{
    CommitError, Partial, Storage, StorageError,
    faults::Operation,
    growing,
    layout::flat,
    testing::{
        Place, Why, append, append_rest, drain, read, sha256, some_bytes, spawn, start, until,
    },
};

const EIO: i32 = 5;
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

async fn length(storage: &Storage, digest: &Digest) -> Option<u64> {
    let partial = storage.blobs().partial(digest).await.unwrap();
    partial.map(|partial| partial.length)
}

fn part(digest: &Digest) -> String {
    format!("cistern/partials/{}.part", flat(digest))
}

/// Begins a blob and leaves the first bytes of it as a partial.
async fn leave(storage: &Storage, bytes: &Bytes, length: usize) -> Digest {
    let digest = sha256(bytes);
    let (mut writer, _) = start(storage, digest, Some(bytes.len() as u64)).await;
    append(&mut writer, &bytes.slice(..length)).await;
    writer.suspend("link is down").await;
    digest
}

#[tokio::test]
async fn a_download_goes_on_where_it_was_cut_off_however_that_was() {
    let place = Place::new();
    let mut storage = place.open().await;
    let bytes = some_bytes(3 * MIB, 1);
    let (digest, size) = (sha256(&bytes), Some(bytes.len() as u64));
    let mut came = 0;
    for way in ["suspend", "drop", "panic", "abort", "restart", "full slice"] {
        let (mut writer, blob) = start(&storage, digest, size).await;
        assert_eq!(writer.written(), came as u64, "before the {way}");
        let piece = bytes.slice(came..came + 300 * KIB);
        came += piece.len();
        writer.append(piece).await.unwrap();
        match way {
            "suspend" => writer.suspend("link is down").await,
            "drop" | "restart" => drop(writer),
            _ => {
                let task = spawn(async move {
                    assert!(way != "panic", "on purpose");
                    std::future::pending::<()>().await;
                    drop(writer);
                });
                tokio::task::yield_now().await;
                task.abort();
                assert!(task.await.is_err());
            }
        }
        let told = if way == "suspend" {
            "link is down"
        } else {
            "interrupted"
        };
        assert_eq!(blob.wait_end().await, Err(told));
        drop(blob);
        if way == "restart" {
            storage = place.open_again(storage).await;
        }
    }
    let (writer, _) = start(&storage, digest, size).await;
    assert_eq!(writer.written(), came as u64);
    let blob = append_rest(writer, &bytes).await.unwrap();
    assert!(read(blob.read_all()).await == bytes);
    assert!(place.partials().is_empty());
}

#[tokio::test]
async fn a_partials_bytes_are_read_at_once_though_nobody_has_answered() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(2 * MIB, 2);
    let digest = leave(&storage, &bytes, MIB).await;
    let (writer, blob) = start(&storage, digest, None).await;
    assert_eq!(writer.size(), Some(bytes.len() as u64), "it was known");
    blob.wait_for(MIB as u64 - 1).await.unwrap();
    let known = ByteRange {
        first: 0,
        last: MIB as u64 - 1,
    };
    assert!(read(blob.read(known)).await == bytes[..MIB]);
    let further = timeout(Duration::from_millis(30), blob.wait_for(MIB as u64)).await;
    assert!(further.is_err(), "nobody has answered");
    writer.answered();
    blob.wait_for(MIB as u64).await.unwrap();
    let body = spawn(read(
        blob.read(ByteRange::whole(bytes.len() as u64).unwrap()),
    ));
    append_rest(writer, &bytes).await.unwrap();
    assert!(body.await.unwrap() == bytes);
}

#[tokio::test]
async fn the_end_of_a_whole_partial_waits_until_it_is_verified() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(MIB, 3);
    let digest = leave(&storage, &bytes, MIB).await;
    let (writer, blob) = start(&storage, digest, Some(MIB as u64)).await;
    assert_eq!(writer.written(), MIB as u64);
    assert_eq!(blob.readable(), (MIB - 64 * KIB) as u64);
    writer.commit().await.unwrap();
    assert_eq!(blob.readable(), MIB as u64);
}

#[tokio::test]
async fn wrong_bytes_leave_nothing_and_the_next_download_begins_at_once_from_zero() {
    let place = Place::new();
    let storage = place.open().await;
    let (bytes, wrong) = (some_bytes(MIB, 4), some_bytes(MIB, 5));
    let (digest, size) = (sha256(&bytes), Some(MIB as u64));
    for way in ["commit", "discard", "damaged", "short"] {
        let (mut writer, _) = start(&storage, digest, size).await;
        assert_eq!(writer.written(), 0, "before {way}");
        let error = match way {
            "commit" => {
                append(&mut writer, &wrong).await;
                writer.commit().await.err()
            }
            "short" => {
                append(&mut writer, &bytes.slice(1..)).await;
                writer.commit().await.err()
            }
            "damaged" => {
                drop(writer);
                leave(&storage, &bytes, MIB / 2).await;
                place.write(&part(&digest), &wrong[..MIB / 2]);
                let (writer, _) = start(&storage, digest, size).await;
                assert_eq!(writer.written(), MIB as u64 / 2);
                append_rest(writer, &bytes).await.err()
            }
            _ => {
                append(&mut writer, &wrong).await;
                writer.discard("wrong bytes");
                None
            }
        };
        match error {
            Some(CommitError::WrongSize { .. }) => assert_eq!(way, "short"),
            Some(CommitError::WrongDigest { .. }) => assert!(way == "commit" || way == "damaged"),
            Some(CommitError::Storage(error)) => panic!("{way}: {error}"),
            None => assert_eq!(way, "discard"),
        }
        assert_eq!(length(&storage, &digest).await, None, "after {way}");
        assert!(place.partials().is_empty(), "after {way}");
    }
    let (writer, _) = start(&storage, digest, size).await;
    append_rest(writer, &bytes).await.unwrap();
}

#[tokio::test]
async fn what_is_too_little_is_not_kept() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(MIB, 6);
    for few in [0, 1, 64 * KIB - 1] {
        let digest = leave(&storage, &bytes, few).await;
        assert_eq!(length(&storage, &digest).await, None);
        assert!(place.partials().is_empty(), "of {few} bytes");
    }
    let digest = leave(&storage, &bytes, 64 * KIB).await;
    let expected = Partial {
        length: 64 * KIB as u64,
        size: Some(MIB as u64),
    };
    assert_eq!(
        storage.blobs().partial(&digest).await.unwrap(),
        Some(expected)
    );
}

#[tokio::test]
async fn after_another_start_of_the_machine_only_what_was_on_the_device_is_trusted() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(10 * MIB, 7);
    let (digest, size) = (sha256(&bytes), Some(bytes.len() as u64));
    let (mut writer, _) = start(&storage, digest, size).await;
    append(&mut writer, &bytes.slice(..8 * MIB)).await;
    // Nothing is made durable any more.
    place.disk.fail(Operation::Sync, "partials", 0, EIO);
    place.disk.fail(Operation::Remove, "partials", 0, EIO);
    let _ = writer.append(bytes.slice(8 * MIB..9 * MIB)).await;
    let written = writer.written();
    drop(writer);
    place.kill(storage).await;
    let storage = place.open_soon().await;
    let killed = length(&storage, &digest).await;
    assert_eq!(killed, Some(written), "a kill loses nothing");
    drop(storage);
    place.disk.restart_machine();
    let storage = place.open_soon().await;
    let durable = length(&storage, &digest).await.unwrap();
    assert!(
        durable < written && durable + 4 * MIB as u64 >= written,
        "{durable} of {written}"
    );
    let mut garbage = bytes.to_vec();
    let known = usize::try_from(durable).unwrap();
    garbage[known..].fill(0);
    place.write(&part(&digest), &garbage);
    let (writer, _) = start(&storage, digest, size).await;
    assert_eq!(writer.written(), durable);
    append_rest(writer, &bytes).await.unwrap();
}

#[tokio::test]
async fn a_writer_begins_again_only_while_no_reader_was_given_bytes() {
    let place = Place::new();
    let storage = place.open().await;
    let (bytes, wrong) = (some_bytes(3 * MIB, 8), some_bytes(2 * MIB, 9));
    let (digest, size) = (sha256(&bytes), Some(bytes.len() as u64));
    let (mut writer, blob) = start(&storage, digest, size).await;
    append(&mut writer, &wrong).await;
    until("they may be read", || blob.readable() == 2 * MIB as u64).await;
    let whole = ByteRange::whole(bytes.len() as u64).unwrap();
    let (patient, mut hasty) = (blob.read(whole), blob.read(whole));
    writer.restart().await.unwrap();
    assert_eq!((writer.written(), blob.readable()), (0, 0));
    let body = spawn(drain(patient));
    append(&mut writer, &bytes.slice(..MIB)).await;
    let first = futures_util::StreamExt::next(&mut hasty).await;
    assert!(bytes.starts_with(&first.unwrap().unwrap()));
    writer.restart().await.unwrap_err();
    assert_eq!(writer.written(), MIB as u64, "nothing is lost by asking");
    let again = leave_with(writer, &storage, digest).await;
    assert_eq!(again, Some(MIB as u64));
    assert!(bytes.starts_with(&body.await.unwrap().0));
    let (writer, _) = start(&storage, digest, size).await;
    append_rest(writer, &bytes).await.unwrap();
    assert!(place.partials().is_empty());
}

async fn leave_with(
    writer: crate::BlobWriter<Why>,
    storage: &Storage,
    digest: Digest,
) -> Option<u64> {
    writer.suspend("link is down").await;
    length(storage, &digest).await
}

#[tokio::test]
async fn who_reads_what_came_before_goes_on_reading_it_when_others_begin_again() {
    let place = Place::new();
    let storage = place.open().await;
    let (bytes, wrong) = (some_bytes(2 * MIB, 10), some_bytes(MIB, 11));
    let (digest, size) = (sha256(&bytes), Some(bytes.len() as u64));
    let (mut writer, blob) = start(&storage, digest, size).await;
    append(&mut writer, &wrong).await;
    let body = blob.read(ByteRange::whole(bytes.len() as u64).unwrap());
    until("they may be read", || blob.readable() == MIB as u64).await;
    writer.suspend("link is down").await;
    let (mut writer, _) = start(&storage, digest, size).await;
    writer.restart().await.unwrap();
    append_rest(writer, &bytes).await.unwrap();
    let (got, end) = drain(body).await;
    assert!(end.is_err() && got == wrong);
}

#[tokio::test]
async fn of_two_writers_of_one_blob_one_has_the_partial_and_the_other_is_in_nobodys_way() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(MIB, 12);
    let (digest, size) = (sha256(&bytes), Some(bytes.len() as u64));
    let (mut first, _) = start(&storage, digest, size).await;
    append(&mut first, &bytes.slice(..MIB / 2)).await;
    let (mut second, _) = start(&storage, digest, size).await;
    assert_eq!(second.written(), 0);
    append(&mut second, &bytes.slice(..MIB / 4)).await;
    second.suspend("link is down").await;
    until("only the partial is left", || place.partials().len() == 2).await;
    let (third, _) = start(&storage, digest, size).await;
    append_rest(third, &bytes).await.unwrap();
    append_rest(first, &bytes).await.unwrap();
    assert!(place.partials().is_empty());
}

#[tokio::test]
async fn a_size_is_learnt_once_and_another_one_is_refused_without_loss() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(MIB, 13);
    let (digest, size) = (sha256(&bytes), bytes.len() as u64);
    let (mut writer, blob) = start(&storage, digest, None).await;
    append(&mut writer, &bytes.slice(..MIB / 2)).await;
    let error = writer.learn_size(MIB as u64 / 2 - 1).await.unwrap_err();
    assert!(matches!(error, StorageError::TooLong { .. }), "{error}");
    writer.learn_size(size + 1).await.unwrap();
    writer.learn_size(size + 1).await.unwrap();
    assert_eq!(blob.size(), Some(size + 1));
    let error = writer.learn_size(size).await.unwrap_err();
    assert!(matches!(error, StorageError::OtherSize { .. }), "{error}");
    writer.suspend("who is right?").await;
    let left = storage.blobs().partial(&digest).await.unwrap().unwrap();
    assert_eq!((left.length, left.size), (MIB as u64 / 2, None));
    let (mut writer, _) = start(&storage, digest, None).await;
    writer.learn_size(size).await.unwrap();
    append_rest(writer, &bytes).await.unwrap();
    // What is longer than the blob is not gone on with.
    let other = leave(&storage, &some_bytes(MIB, 14), MIB / 2).await;
    let (writer, _) = start(&storage, other, Some(MIB as u64 / 4)).await;
    assert_eq!(writer.written(), 0);
}

#[tokio::test]
async fn room_is_asked_for_only_what_is_not_there_yet() {
    let place = Place::new();
    let storage = place.open_with_reserve(1000).await;
    let bytes = some_bytes(400 * KIB, 15);
    let digest = leave(&storage, &bytes, 300 * KIB).await;
    let begins = async |free: usize| {
        place.disk.set_free(1000 + free as u64);
        let (growing, _) = growing::<Why>("interrupted");
        let size = Some(bytes.len() as u64);
        let begun = storage.blobs().start(digest, size, growing).await;
        begun.map_err(|refused| refused.why)
    };
    let refused = begins(100 * KIB).await.err();
    assert!(matches!(refused, Some(StorageError::Full)), "{refused:?}");
    let writer = begins(100 * KIB + 1).await.unwrap();
    assert_eq!(writer.written(), 300 * KIB as u64);
    let more = storage.blobs().has_room(Some(1)).await;
    assert!(matches!(more, Err(StorageError::Full)), "it is promised");
    append_rest(writer, &bytes).await.unwrap();
    storage.blobs().has_room(Some(1)).await.unwrap();
}

#[tokio::test]
async fn what_the_disk_did_not_take_is_not_kept() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(MIB, 16);
    for operation in [Operation::Write, Operation::Sync] {
        let (mut writer, _) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
        place.disk.fail(operation, ".part", 1, EIO);
        place.disk.fail(operation, ".about", 0, EIO);
        let _ = writer.append(bytes.slice(..MIB / 2)).await;
        writer.suspend("link is down").await;
        place.disk.heal();
        assert!(place.partials().is_empty(), "{operation:?}");
        let (writer, _) = start(&storage, sha256(&bytes), None).await;
        assert_eq!(writer.written(), 0);
    }
}
