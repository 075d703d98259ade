use bytes::Bytes;
use proptest::prelude::*;

use super::{MIB, length, part};
use crate::{
    Storage,
    testing::{Place, append, read, sha256, some_bytes, start},
};

/// What happens to a download.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// So many bytes come, and then:
    Suspended(usize),
    Dropped(usize),
    Killed(usize),
    PowerCut(usize),
    BegunAgain(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let bytes = 0..5 * MIB;
    let event = prop_oneof![
        bytes.clone().prop_map(Event::Suspended),
        bytes.clone().prop_map(Event::Dropped),
        bytes.clone().prop_map(Event::Killed),
        bytes.clone().prop_map(Event::PowerCut),
        bytes.prop_map(Event::BegunAgain),
    ];
    prop::collection::vec(event, 0..6)
}

/// Downloads with these interruptions; how many bytes were fetched in all.
async fn download(place: &Place, bytes: &Bytes, events: Vec<Event>) -> u64 {
    let (digest, size) = (sha256(bytes), Some(bytes.len() as u64));
    let (mut storage, mut fetched) = (place.open().await, 0);
    for event in events {
        let (mut writer, blob) = start(&storage, digest, size).await;
        let there = usize::try_from(writer.written()).unwrap();
        assert!(blob.readable() <= there as u64);
        // It holds the store open.
        drop(blob);
        let (Event::Suspended(come)
        | Event::Dropped(come)
        | Event::Killed(come)
        | Event::PowerCut(come)
        | Event::BegunAgain(come)) = event;
        let piece = bytes.slice(there..bytes.len().min(there + come));
        fetched += piece.len() as u64;
        append(&mut writer, &piece).await;
        match event {
            Event::Suspended(_) => writer.suspend("link is down").await,
            Event::Dropped(_) => drop(writer),
            Event::BegunAgain(_) => {
                writer.restart().await.unwrap();
                writer.suspend("link is down").await;
            }
            Event::Killed(_) | Event::PowerCut(_) => {
                place.disk.die();
                drop(writer);
                place.kill(storage).await;
                if matches!(event, Event::PowerCut(_)) {
                    place.disk.restart_machine();
                }
                storage = place.open_soon().await;
                spoil(place, &storage, bytes).await;
            }
        }
    }
    let (mut writer, _) = start(&storage, digest, size).await;
    let there = usize::try_from(writer.written()).unwrap();
    append(&mut writer, &bytes.slice(there..)).await;
    let blob = writer.commit().await.unwrap();
    assert!(read(blob.read_all()).await == *bytes);
    assert!(place.partials().is_empty());
    fetched + (bytes.len() - there) as u64
}

/// What is not trusted may be anything.
async fn spoil(place: &Place, storage: &Storage, bytes: &Bytes) {
    let digest = sha256(bytes);
    if let Some(trusted) = length(storage, &digest).await {
        let mut left = bytes.to_vec();
        left[usize::try_from(trusted).unwrap()..].fill(7);
        let path = place.root().join(part(&digest));
        let on_disk = usize::try_from(std::fs::metadata(path).unwrap().len()).unwrap();
        place.write(&part(&digest), &left[..on_disk]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_download_with_any_interruptions_ends_with_its_bytes_and_fetches_few_twice(events in events(), seed: u64) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let bytes = some_bytes(11 * MIB + 17, seed);
            let allowed: u64 = events.iter().map(|event| match event {
                // The pieces that still wait for the disk, or what is too little.
                Event::Suspended(_) | Event::Dropped(_) => 64 * 1024,
                Event::Killed(_) => 2 * MIB as u64,
                Event::PowerCut(_) => 4 * MIB as u64,
                Event::BegunAgain(_) => bytes.len() as u64,
            }).sum();
            let fetched = download(&place, &bytes, events).await;
            assert!(fetched <= bytes.len() as u64 + allowed, "{fetched}");
        });
    }
}
