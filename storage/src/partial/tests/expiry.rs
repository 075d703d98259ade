use std::time::Duration;

use bytes::Bytes;

use super::{KIB, leave, length, part};
use crate::{
    Dropped, PartialBounds, Reserve, Storage, StorageError,
    testing::{Place, append, sha256, some_bytes, start, store, until},
};

const HOUR: Duration = Duration::from_hours(1);

fn bounds() -> PartialBounds {
    PartialBounds {
        most: 1000,
        bytes: Reserve::Bytes(u64::MAX),
        unused_since: None,
    }
}

/// Leaves partials of 100, 200, … KiB, one an hour.
async fn leave_some(place: &Place, storage: &Storage, count: usize) -> Vec<Bytes> {
    let mut left = Vec::new();
    for number in 1..=count {
        let bytes = some_bytes(2000 * KIB, number as u64);
        leave(storage, &bytes, number * 100 * KIB).await;
        place.clock.go_on(HOUR);
        left.push(bytes);
    }
    left
}

async fn is_left(storage: &Storage, bytes: &Bytes) -> bool {
    length(storage, &sha256(bytes)).await.is_some()
}

#[tokio::test]
async fn of_too_many_partials_the_oldest_go() {
    let place = Place::new();
    let storage = place.open().await;
    let left = leave_some(&place, &storage, 5).await;
    // The first is gone on with, so it is not the oldest any more.
    leave_more(&storage, &left[0]).await;
    let expire = async |bounds| storage.blobs().expire_partials(bounds).await.unwrap();
    let none = Dropped {
        left: 5,
        ..Dropped::default()
    };
    assert_eq!(expire(bounds()).await, none);
    let dropped = expire(PartialBounds {
        most: 4,
        ..bounds()
    })
    .await;
    assert_eq!((dropped.partials, dropped.bytes), (1, 200 * KIB as u64));
    assert!(!is_left(&storage, &left[1]).await && is_left(&storage, &left[0]).await);
    let dropped = expire(PartialBounds {
        bytes: Reserve::Bytes(700 * KIB as u64),
        ..bounds()
    })
    .await;
    assert_eq!(dropped.partials, 2, "of 300, 400, 500 and 150 KiB");
    assert!(is_left(&storage, &left[4]).await && is_left(&storage, &left[0]).await);
}

async fn leave_more(storage: &Storage, bytes: &Bytes) {
    let (mut writer, _) = start(storage, sha256(bytes), None).await;
    let there = usize::try_from(writer.written()).unwrap();
    append(&mut writer, &bytes.slice(there..there + 50 * KIB)).await;
    writer.suspend("link is down").await;
}

#[tokio::test]
async fn a_partial_that_nobody_went_on_with_goes_and_one_that_is_being_written_never() {
    let place = Place::new();
    let storage = place.open().await;
    let left = leave_some(&place, &storage, 4).await;
    let (writer, _) = start(&storage, sha256(&left[0]), None).await;
    let now = crate::Clock::now(&*place.clock);
    let old = PartialBounds {
        most: 0,
        unused_since: Some(now),
        ..bounds()
    };
    let since = |hours| PartialBounds {
        unused_since: Some(now - hours * HOUR),
        ..bounds()
    };
    let expire = async |bounds| storage.blobs().expire_partials(bounds).await.unwrap();
    assert_eq!(expire(since(4)).await.partials, 0);
    assert_eq!(expire(since(2)).await.partials, 1);
    assert!(!is_left(&storage, &left[1]).await);
    assert_eq!(expire(old).await.partials, 2);
    assert!(is_left(&storage, &left[0]).await);
    writer.suspend("link is down").await;
    assert_eq!(expire(old).await.partials, 1);
    assert!(place.partials().is_empty());
}

#[tokio::test]
async fn a_partial_of_a_time_that_has_not_come_is_the_oldest() {
    let place = Place::new();
    let storage = place.open().await;
    place.clock.go_on(100 * HOUR);
    let ahead = some_bytes(2000 * KIB, 7);
    leave(&storage, &ahead, 100 * KIB).await;
    let back = Place {
        clock: Place::new().clock,
        ..place
    };
    let storage = back.open_again(storage).await;
    let left = leave_some(&back, &storage, 2).await;
    let most_two = PartialBounds {
        most: 2,
        ..bounds()
    };
    let dropped = storage.blobs().expire_partials(most_two).await.unwrap();
    assert_eq!(dropped.partials, 1);
    assert!(!is_left(&storage, &ahead).await && is_left(&storage, &left[0]).await);
}

#[tokio::test]
async fn a_start_sweeps_what_is_of_no_use_and_keeps_the_partials() {
    let place = Place::new();
    let storage = place.open().await;
    let left = leave_some(&place, &storage, 2).await;
    let done = some_bytes(300 * KIB, 8);
    store(&storage, &done).await;
    for (of, end) in [
        (&done, "part"),
        (&done, "about"),
        (&some_bytes(1, 1), "part"),
    ] {
        let path = part(&sha256(of));
        place.write(&path.replace(".part", &format!(".{end}")), b"anything");
    }
    place.write("cistern/partials/sha256-ab.1-1.1.new", b"of another run");
    place.write("cistern/partials/notes", b"not ours");
    let storage = place.open_again(storage).await;
    until("it is swept", || place.partials().len() == 5).await;
    assert!(is_left(&storage, &left[0]).await && is_left(&storage, &left[1]).await);
}

#[tokio::test]
async fn a_read_only_store_drops_nothing_and_tells_what_is_there() {
    let place = Place::new();
    let storage = place.open().await;
    let left = leave_some(&place, &storage, 1).await;
    drop(storage);
    let storage = place.open_read_only().await;
    let none = PartialBounds {
        most: 0,
        ..bounds()
    };
    let refused = storage.blobs().expire_partials(none).await;
    assert!(matches!(refused, Err(StorageError::ReadOnly)));
    assert!(is_left(&storage, &left[0]).await);
}
