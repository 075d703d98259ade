use std::time::Duration;

use bytes::Bytes;
use cistern_oci::ByteRange;
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::{
    ReadError, Ready, growing,
    testing::{Place, drain, read, sha256, some_bytes, spawn, start, store, until},
};

const KIB: usize = 1024;

fn whole(size: usize) -> ByteRange {
    ByteRange::whole(size as u64).unwrap()
}

#[tokio::test]
async fn a_reader_gets_bytes_while_they_arrive() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(900 * KIB, 1);
    let (mut writer, blob) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    let mut body = blob.read(whole(bytes.len()));
    let mut got = Vec::new();
    for part in bytes.chunks(300 * KIB) {
        writer.append(Bytes::copy_from_slice(part)).await.unwrap();
        got.extend_from_slice(&body.next().await.unwrap().unwrap());
    }
    let mut rest = spawn(drain_on(body));
    assert!(
        timeout(Duration::from_millis(100), &mut rest)
            .await
            .is_err(),
        "the end waits for the commit"
    );
    writer.commit().await.unwrap();
    got.extend(rest.await.unwrap());
    assert!(got == bytes);
}

async fn drain_on(body: crate::BlobBytes) -> Vec<u8> {
    read(body).await
}

#[tokio::test]
async fn the_last_64_kib_wait_for_the_verification() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(200 * KIB, 2);
    let (mut writer, blob) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    writer.append(bytes.clone()).await.unwrap();
    until("of a known size", || blob.readable() == 136 * KIB as u64).await;

    let (mut unsized_writer, unsized_blob) = start(&storage, sha256(&bytes), None).await;
    unsized_writer
        .append(bytes.slice(..100 * KIB))
        .await
        .unwrap();
    until("of what has come, where no size was named", || {
        unsized_blob.readable() == 36 * KIB as u64
    })
    .await;

    let (mut small_writer, small_blob) = start(&storage, sha256(b"small"), Some(5)).await;
    small_writer
        .append(Bytes::from_static(b"small"))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(small_blob.readable(), 0, "of a small blob nothing");
    small_writer.commit().await.unwrap();
    assert_eq!(small_blob.readable(), 5);
}

#[tokio::test]
async fn few_bytes_are_passed_on_within_a_moment() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(600 * KIB, 3);
    let (mut writer, blob) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    let mut body = blob.read(whole(bytes.len()));
    for part in bytes.chunks(KIB).take(20) {
        writer.append(Bytes::copy_from_slice(part)).await.unwrap();
        let piece = timeout(Duration::from_secs(1), body.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(piece == part);
    }
}

#[tokio::test]
async fn readers_of_a_failed_blob_are_told_why_and_never_end_neatly() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(500 * KIB, 4);
    let (mut writer, blob) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    writer.append(bytes.slice(..400 * KIB)).await.unwrap();
    let body = spawn(drain(blob.read(whole(bytes.len()))));
    let size = {
        let blob = blob.clone();
        spawn(async move { blob.wait_end().await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    writer.discard("upstream gone");
    let (got, end) = body.await.unwrap();
    assert!(matches!(end, Err(ReadError::Unfinished)), "{end:?}");
    assert!(bytes.starts_with(&got) && got.len() < bytes.len());
    assert_eq!(size.await.unwrap(), Err("upstream gone"));
    assert_eq!(
        blob.wait_size().await,
        Err("upstream gone"),
        "also for those who come later"
    );
}

#[tokio::test]
async fn a_writer_that_vanishes_however_interrupts_its_readers() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(300 * KIB, 5);
    for way in ["return", "panic", "abort"] {
        let (mut writer, blob) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
        let part = bytes.slice(..200 * KIB);
        let task = spawn(async move {
            writer.append(part).await.unwrap();
            match way {
                "return" => {}
                "panic" => panic!("on purpose"),
                _ => std::future::pending().await,
            }
        });
        let body = blob.read(whole(bytes.len()));
        let waiting = {
            let blob = blob.clone();
            spawn(async move { blob.wait_end().await })
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        if way == "abort" {
            task.abort();
        }
        let (got, end) = timeout(Duration::from_secs(5), drain(body))
            .await
            .expect(way);
        assert!(matches!(end, Err(ReadError::Unfinished)), "{way}");
        assert!(got.len() < bytes.len());
        assert_eq!(
            timeout(Duration::from_secs(5), waiting)
                .await
                .expect(way)
                .unwrap(),
            Err("interrupted")
        );
    }
}

#[tokio::test]
async fn nobody_waits_for_a_blob_that_was_never_begun() {
    let (growing, blob) = growing("interrupted");
    let body = blob.read(whole(10));
    let waiting = spawn(async move { blob.wait_size().await });
    tokio::task::yield_now().await;
    drop(growing);
    assert_eq!(waiting.await.unwrap(), Err("interrupted"));
    assert!(matches!(drain(body).await, (_, Err(ReadError::Unfinished))));
}

#[tokio::test]
async fn waiting_ends_with_the_answer_of_the_upstream() {
    let (growing, blob) = growing("interrupted");
    assert!(
        timeout(Duration::from_millis(30), blob.wait_for(0))
            .await
            .is_err()
    );
    growing.answered(None);
    assert_eq!(
        blob.wait_for(0).await,
        Ok(Ready { size: None }),
        "an answer without a size is an answer"
    );
    assert!(
        timeout(Duration::from_millis(30), blob.wait_size())
            .await
            .is_err()
    );
    growing.answered(Some(7));
    assert_eq!(blob.wait_size().await, Ok(7));
    assert_eq!(blob.wait_for(3).await, Ok(Ready { size: Some(7) }));
    assert_eq!(blob.size(), Some(7));
}

#[tokio::test]
async fn a_blob_that_was_in_the_store_after_all_is_read_from_there() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(300 * KIB, 6);
    let digest = store(&storage, &bytes).await;
    let (growing, blob) = growing("interrupted");
    let body = spawn(drain(blob.read(ByteRange {
        first: 1000,
        last: 200_000,
    })));
    growing.complete(storage.blobs().open(&digest).await.unwrap().unwrap());
    assert!(body.await.unwrap().0 == bytes[1000..=200_000]);
    assert_eq!(blob.wait_size().await, Ok(bytes.len() as u64));
}

#[tokio::test]
async fn a_range_beyond_the_end_of_the_blob_is_an_error_after_its_bytes() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(100 * KIB, 7);
    let (mut writer, blob) = start(&storage, sha256(&bytes), None).await;
    let body = spawn(drain(blob.read(whole(bytes.len() + 1))));
    writer.append(bytes.clone()).await.unwrap();
    writer.commit().await.unwrap();
    let (got, end) = body.await.unwrap();
    assert!(got == bytes);
    assert!(matches!(end, Err(ReadError::Short { .. })), "{end:?}");
}

#[tokio::test]
async fn readers_are_counted_while_they_wait_or_read() {
    let (growing, blob) = growing("interrupted");
    assert_eq!(growing.readers(), 0);
    let body = blob.read(whole(5));
    let waiting = spawn({
        let blob = blob.clone();
        async move { blob.wait_size().await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(growing.readers(), 2, "clones that do nothing do not count");
    drop(body);
    waiting.abort();
    let _ = waiting.await;
    assert_eq!(growing.readers(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_readers_get_the_same_bytes_at_their_own_pace() {
    let place = Place::new();
    let storage = place.open().await;
    let bytes = some_bytes(3 * 1024 * KIB + 17, 8);
    let (mut writer, blob) = start(&storage, sha256(&bytes), Some(bytes.len() as u64)).await;
    let readers: Vec<_> = (0..100)
        .map(|number| {
            let first = number * 1000;
            let mut body = blob.read(ByteRange {
                first,
                last: bytes.len() as u64 - 1,
            });
            let expected = bytes.slice(usize::try_from(first).unwrap()..);
            spawn(async move {
                let mut at = 0;
                while let Some(piece) = body.next().await {
                    let piece = piece.unwrap();
                    assert!(expected[at..at + piece.len()] == piece[..]);
                    at += piece.len();
                    if number % 10 == 0 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                assert_eq!(at, expected.len());
            })
        })
        .collect();
    for part in bytes.chunks(70 * KIB) {
        writer.append(Bytes::copy_from_slice(part)).await.unwrap();
    }
    writer.commit().await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn readers_learn_of_an_answer_when_it_is_sure_that_the_bytes_are_kept() {
    let place = Place::new();
    let storage = place.open().await;
    let (writer, blob) = start(&storage, sha256(b"1"), Some(1)).await;
    assert!(
        timeout(Duration::from_millis(30), blob.wait_for(0))
            .await
            .is_err(),
        "nobody has answered yet"
    );
    writer.answered();
    assert_eq!(blob.wait_for(0).await, Ok(Ready { size: Some(1) }));
    let read_only = place.open_read_only().await;
    let (growing, blob) = growing("interrupted");
    let refused = read_only
        .blobs()
        .start(sha256(b"1"), Some(1), growing)
        .await;
    assert!(
        timeout(Duration::from_millis(30), blob.wait_for(0))
            .await
            .is_err()
    );
    refused.err().unwrap().growing.fail("not kept");
    assert_eq!(blob.wait_for(0).await, Err("not kept"));
}
