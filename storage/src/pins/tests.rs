use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use cistern_oci::{Manifest, Reference};

use super::Pin;
use crate::{
    Clock as _, Expired, Options, Reserve, Storage,
    expire::tests::{is_there, pull},
    testing::{
        Place, in_memory, name,
        power::{CRASHES, RememberingDisk, write},
        sha256, tag,
    },
};

const DAY: Duration = Duration::from_hours(24);

fn pin(of: &str, reference: Reference) -> Pin {
    Pin {
        repository: name(of),
        image: format!("$upstream:443/{of}:{reference}"),
        reference,
    }
}

fn by_tag(text: &str) -> Reference {
    Reference::Tag(tag(text))
}

/// Everything that was not used within a week goes.
async fn expire_all(place: &Place, storage: &Storage) -> Expired {
    // Uses are noted for what is not in the index; they must be old too.
    storage
        .expire(place.clock.now() - DAY, &|_| true)
        .await
        .unwrap();
    place.clock.go_on(DAY * 30);
    storage
        .expire(place.clock.now() - DAY * 7, &|_| true)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_pinned_image_never_expires_with_all_it_consists_of_and_does_when_it_is_unpinned() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("team/app");
    let pinned = pull(&place, &storage, &of, "v1", &[b"layer"]).await;
    let other = pull(&place, &storage, &of, "v2", &[b"other"]).await;
    let pins = storage.pins();
    pins.put(pin("team/app", by_tag("v1"))).await.unwrap();
    assert!(pins.is_pinned(&of, &by_tag("v1")) && !pins.is_pinned(&of, &by_tag("v2")));
    expire_all(&place, &storage).await;
    for kept in [pinned.digest, sha256(b"v1"), sha256(b"layer")] {
        assert!(is_there(&place, &kept));
    }
    assert!(!is_there(&place, &other.digest));
    assert!(pins.remove(&of, &by_tag("v1")).await.unwrap());
    assert!(!pins.remove(&of, &by_tag("v1")).await.unwrap());
    expire_all(&place, &storage).await;
    assert!(!is_there(&place, &sha256(b"layer")));
}

#[tokio::test]
async fn pins_outlive_a_restart_and_a_lost_index() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("team/app");
    let manifest = pull(&place, &storage, &of, "v1", &[b"layer"]).await;
    let by_digest = Reference::Digest(manifest.digest);
    storage
        .pins()
        .put(pin("team/app", by_digest.clone()))
        .await
        .unwrap();
    storage.close().await.unwrap();
    drop(storage);
    std::fs::remove_dir_all(place.root().join("cistern/index")).unwrap();
    place.write("cistern/pins/strange.pin", b"half a p");
    let storage = place.open_soon().await;
    assert_eq!(storage.pins().all(), [pin("team/app", by_digest)]);
    expire_all(&place, &storage).await;
    assert!(is_there(&place, &sha256(b"layer")));
}

#[tokio::test]
async fn what_is_named_and_what_a_pinned_tag_will_mean_stays_while_that_is_so() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("team/app");
    pull(&place, &storage, &of, "v1", &[b"now"]).await;
    let next = pull(&place, &storage, &of, "next", &[b"soon"]).await;
    let named = HashSet::from([(of.clone(), by_tag("v1"))]);
    storage.pins().set_named(named);
    storage.pins().set_expected(HashSet::from([next.digest]));
    expire_all(&place, &storage).await;
    assert!(is_there(&place, &sha256(b"now")) && is_there(&place, &sha256(b"soon")));
    storage.pins().set_expected(HashSet::new());
    expire_all(&place, &storage).await;
    assert!(is_there(&place, &sha256(b"now")) && !is_there(&place, &sha256(b"soon")));
    storage.pins().set_named(HashSet::new());
    expire_all(&place, &storage).await;
    assert!(!is_there(&place, &sha256(b"now")));
}

#[tokio::test]
async fn the_signatures_of_a_pinned_image_stay_with_it() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("team/app");
    let manifest = pull(&place, &storage, &of, "v1", &[b"layer"]).await;
    let text = format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"{}","size":3}},"layers":[],"subject":{{"digest":"{}","size":1}}}}"#,
        sha256(b"sig"),
        manifest.digest
    );
    let referrer = Manifest::by_tag(None, None, Bytes::from(text));
    let repositories = storage.repositories();
    repositories.put_manifest(&of, &referrer).await.unwrap();
    let cosign = format!("sha256-{}.sig", manifest.digest.hex());
    let attached = pull(&place, &storage, &of, &cosign, &[b"signature"]).await;
    storage
        .pins()
        .put(pin("team/app", by_tag("v1")))
        .await
        .unwrap();
    expire_all(&place, &storage).await;
    for kept in [referrer.digest, attached.digest, sha256(b"signature")] {
        assert!(is_there(&place, &kept));
    }
}

#[tokio::test]
async fn a_list_is_kept_until_the_next_one_takes_its_place() {
    let place = Place::new();
    let storage = place.open().await;
    let texts = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(storage.pins().list("/etc/a.json").await.unwrap(), None);
    for list in [texts(&["a:1", "b:2"]), texts(&[])] {
        storage.pins().set_list("/etc/a.json", &list).await.unwrap();
        let read = storage.pins().list("/etc/a.json").await.unwrap();
        assert_eq!(read, Some(list));
    }
    assert_eq!(storage.pins().list("/etc/b.json").await.unwrap(), None);
}

#[tokio::test]
async fn a_pin_that_was_set_outlives_a_crash_at_any_moment_and_one_taken_back_stays_so() {
    let place = Place::new();
    let disk = Arc::new(RememberingDisk::default());
    let storage = Storage::open(Options {
        disk: Arc::<RememberingDisk>::clone(&disk),
        ..options(place.root())
    })
    .await
    .unwrap();
    let (first, second) = (pin("a", by_tag("1")), pin("b/c", by_tag("2")));
    let pins = storage.pins();
    pins.put(first.clone()).await.unwrap();
    let after_first = disk.count();
    pins.set_list("list", &["one:1".to_owned()]).await.unwrap();
    let after_list = disk.count();
    pins.set_list("list", &["two:2".to_owned()]).await.unwrap();
    let after_second_list = disk.count();
    pins.put(second.clone()).await.unwrap();
    let after_second = disk.count();
    pins.remove(&first.repository, &first.reference)
        .await
        .unwrap();
    let after_all = disk.count();
    let marks = Marks {
        first: after_first,
        list: after_list,
        second_list: after_second_list,
        second: after_second,
        all: after_all,
    };
    check(&place, &disk, [&first, &second], &marks).await;
}

/// After how many changes what was promised.
struct Marks {
    first: usize,
    list: usize,
    second_list: usize,
    second: usize,
    all: usize,
}

fn options(root: &std::path::Path) -> Options {
    Options {
        reserve: Reserve::Bytes(0),
        ..Options::new(root)
    }
}

/// Opens what every crash would leave.
async fn check(place: &Place, disk: &RememberingDisk, [first, second]: [&Pin; 2], marks: &Marks) {
    let mut history = disk.history();
    for changes in 0..=marks.all {
        for crash in CRASHES {
            let left = history.left(place.root(), crash);
            let there = in_memory();
            write(&left, there.path());
            let storage = Storage::open(Options {
                read_only: true,
                ..options(there.path())
            })
            .await
            .unwrap();
            let when = format!("after {changes} of {}, {crash:?}", marks.all);
            let all = storage.pins().all();
            let holds = |pin: &Pin| all.contains(pin);
            assert!(
                all.iter().all(|pin| pin == first || pin == second),
                "{when}"
            );
            if (marks.first..=marks.second).contains(&changes) {
                assert!(holds(first), "{when}");
            }
            if changes >= marks.second {
                assert!(holds(second), "{when}");
            }
            if changes == marks.all {
                assert!(!holds(first), "{when}");
            }
            let list = storage.pins().list("list").await.unwrap();
            if changes >= marks.second_list {
                assert_eq!(list, Some(vec!["two:2".to_owned()]), "{when}");
            } else if changes >= marks.list {
                let entry = list.unwrap_or_default();
                assert!(entry == ["one:1"] || entry == ["two:2"], "{when}");
            }
        }
        if changes < marks.all {
            history.go_on();
        }
    }
}
