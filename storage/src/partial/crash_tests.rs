//! After a crash at any moment what is trusted of a partial is what came, and few bytes have to be fetched twice.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use cistern_oci::Digest;

use crate::{
    CommitError, Options, Reserve, Storage,
    faults::FaultyDisk,
    layout::flat,
    testing::{
        Place, append, append_rest, in_memory,
        power::{CRASHES, Crash, RememberingDisk, write},
        read, sha256, some_bytes, start,
    },
};

const MIB: usize = 1024 * 1024;

/// A store on a disk that remembers.
async fn story() -> (Place, Arc<RememberingDisk>, Storage) {
    let place = Place::new();
    let disk = Arc::new(RememberingDisk::default());
    let storage = Storage::open(Options {
        disk: Arc::<RememberingDisk>::clone(&disk),
        reserve: Reserve::Bytes(0),
        ..Options::new(place.root())
    })
    .await
    .unwrap();
    (place, disk, storage)
}

/// The store as a crash left it, opened again: after a power cut, by a machine that started anew.
async fn open(root: &Path, crash: Crash) -> Storage {
    let disk = FaultyDisk::default();
    if crash != Crash::Killed {
        disk.restart_machine();
    }
    let disk = Arc::new(disk);
    let options = Options {
        reserve: Reserve::Bytes(0),
        disk,
        ..Options::new(root)
    };
    Storage::open(options).await.unwrap()
}

#[expect(clippy::disallowed_methods, reason = "tests look at files themselves")]
fn part(root: &Path, digest: &Digest) -> Vec<u8> {
    std::fs::read(root.join(format!("cistern/partials/{}.part", flat(digest)))).unwrap()
}

/// Looks at what every crash after every change would leave, and goes on from there. `wrong`: other bytes that came too.
async fn check(place: &Place, disk: &RememberingDisk, bytes: &Bytes, wrong: &Bytes) {
    let digest = sha256(bytes);
    let count = disk.count();
    let mut history = disk.history();
    let (same, mut seen) = (RandomState::new(), HashSet::new());
    for changes in 0..=count {
        for crash in CRASHES {
            let left = history.left(place.root(), crash);
            if !seen.insert(same.hash_one((&left, crash == Crash::Killed))) {
                continue;
            }
            let when = format!("after {changes} of {count} changes, {crash:?}");
            let root = in_memory();
            write(&left, root.path());
            let storage = open(root.path(), crash).await;
            if let Some(blob) = storage.blobs().open(&digest).await.unwrap()
                && blob.verified().await.unwrap()
            {
                assert!(read(blob.read_all()).await == *bytes, "{when}");
                continue;
            }
            let partial = storage.blobs().partial(&digest).await.unwrap();
            let trusted = partial.map_or(0, |partial| usize::try_from(partial.length).unwrap());
            let is_right = trusted == 0 || {
                let part = part(root.path(), &digest);
                let is_right = bytes.starts_with(&part[..trusted]);
                assert!(is_right || wrong.starts_with(&part[..trusted]), "{when}");
                is_right
            };
            let size = Some(bytes.len() as u64);
            let (writer, _) = start(&storage, digest, size).await;
            assert_eq!(writer.written(), trusted as u64, "{when}");
            let ended = append_rest(writer, bytes).await;
            if !is_right {
                assert!(
                    matches!(ended, Err(CommitError::WrongDigest { .. })),
                    "{when}"
                );
                let (writer, _) = start(&storage, digest, size).await;
                assert_eq!(writer.written(), 0, "{when}");
                append_rest(writer, bytes).await.unwrap();
            }
        }
        history.go_on();
    }
}

#[tokio::test]
async fn what_is_trusted_after_a_crash_at_any_moment_is_what_came() {
    let (place, disk, storage) = story().await;
    let bytes = some_bytes(3 * MIB, 1);
    let (digest, size) = (sha256(&bytes), Some(bytes.len() as u64));
    let (mut writer, _) = start(&storage, digest, size).await;
    append(&mut writer, &bytes.slice(..MIB)).await;
    writer.suspend("link is down").await;
    let (writer, _) = start(&storage, digest, size).await;
    append_rest(writer, &bytes).await.unwrap();
    check(&place, &disk, &bytes, &Bytes::new()).await;
}

#[tokio::test]
async fn bytes_that_were_given_up_do_not_come_back_with_the_power_among_others() {
    let (place, disk, storage) = story().await;
    let (bytes, wrong) = (some_bytes(MIB, 2), some_bytes(MIB, 3));
    let (digest, size) = (sha256(&bytes), Some(bytes.len() as u64));
    let (mut writer, _) = start(&storage, digest, size).await;
    append(&mut writer, &wrong.slice(..MIB / 2)).await;
    writer.suspend("link is down").await;
    let (mut writer, _) = start(&storage, digest, size).await;
    append(&mut writer, &wrong.slice(MIB / 2..MIB / 4 * 3)).await;
    writer.restart().await.unwrap();
    append(&mut writer, &wrong).await;
    writer.commit().await.unwrap_err();
    let (mut writer, _) = start(&storage, digest, size).await;
    append(&mut writer, &bytes.slice(..MIB / 2)).await;
    drop(writer);
    let (writer, _) = start(&storage, digest, size).await;
    append_rest(writer, &bytes).await.unwrap();
    check(&place, &disk, &bytes, &wrong).await;
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_written_and_a_power_cut_at_most_four_mib() {
    let (place, disk, storage) = story().await;
    let bytes = some_bytes(9 * MIB, 4);
    let digest = sha256(&bytes);
    let (mut writer, _) = start(&storage, digest, Some(bytes.len() as u64)).await;
    let mut taken = vec![(0, 0)];
    for piece in bytes.chunks(200_000) {
        let before = disk.count();
        writer.append(Bytes::copy_from_slice(piece)).await.unwrap();
        taken.push((before, writer.written()));
    }
    writer.suspend("link is down").await;
    let count = disk.count();
    let mut history = disk.history();
    let mut ends = (0, 0);
    for changes in 0..=count {
        let had_come = taken.iter().filter(|(at, _)| *at <= changes);
        let had_come = had_come.map(|(_, taken)| *taken).max().unwrap();
        for crash in [Crash::Killed, Crash::NothingUnsynced, Crash::Some(8)] {
            let left = history.left(place.root(), crash);
            let root = in_memory();
            write(&left, root.path());
            let storage = open(root.path(), crash).await;
            let partial = storage.blobs().partial(&digest).await.unwrap();
            let trusted = partial.map_or(0, |partial| partial.length);
            let when = format!("after {changes} of {count} changes, {crash:?}");
            if crash == Crash::Killed {
                let path = format!("cistern/partials/{}.part", flat(&digest));
                let file = left.get(Path::new(&path)).cloned().flatten();
                let written = file.map_or(0, |file| file.len() as u64);
                let is_little = written < 64 * 1024 && trusted == 0;
                assert!(trusted == written || is_little, "{when}");
                ends.0 = trusted;
            } else {
                assert!(
                    had_come <= trusted + 4 * MIB as u64,
                    "{when}: {trusted} of {had_come}"
                );
                ends.1 = trusted;
            }
        }
        history.go_on();
    }
    let all = bytes.len() as u64;
    assert_eq!(ends, (all, all), "what was suspended is durable");
}
