mod removed;

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{
    Checked, Clock, OpenError, Storage, StorageError,
    faults::{FaultyDisk, Operation},
    testing::{Place, image, name, sha256, some_bytes, store, tag, until},
};

/// Fills a store with an image; its manifest is used now.
async fn fill(place: &Place, storage: &Storage) -> cistern_oci::Manifest {
    let manifest = image(b"{}", &[b"layer"]);
    let of = name("library/app");
    let repositories = storage.repositories();
    repositories.put_manifest(&of, &manifest).await.unwrap();
    store(storage, &Bytes::from_static(b"layer")).await;
    repositories
        .link_blob(&of, &sha256(b"layer"))
        .await
        .unwrap();
    let checked = Checked {
        at: place.clock.now(),
        source: "up".into(),
    };
    repositories
        .set_tag(&of, &tag("v1"), &manifest.digest, checked)
        .await
        .unwrap();
    manifest
}

/// Everything of the image is served, its tag known from its file at least.
async fn serves(storage: &Storage, manifest: &cistern_oci::Manifest) {
    let of = name("library/app");
    let repositories = storage.repositories();
    assert_eq!(
        repositories
            .tag(&of, &tag("v1"))
            .await
            .unwrap()
            .unwrap()
            .digest,
        manifest.digest
    );
    assert_eq!(
        repositories
            .manifest(&of, &manifest.digest)
            .await
            .unwrap()
            .as_ref(),
        Some(manifest)
    );
    assert_eq!(
        repositories
            .names_digest(&of, &sha256(b"layer"))
            .await
            .unwrap(),
        Some(5)
    );
    assert!(
        storage
            .blobs()
            .open(&sha256(b"layer"))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_store() {
    let place = Place::new();
    let storage = place.open().await;
    match Storage::open(place.options()).await {
        Err(OpenError::InUse { holder, .. }) => {
            assert_eq!(holder, format!("process {}", std::process::id()));
        }
        other => panic!("{:?}", other.err()),
    }
    place.open_read_only().await;
    drop(place.open_again(storage).await);
}

#[tokio::test]
async fn a_store_that_cannot_be_created_says_where_and_why() {
    let place = Place::new();
    place
        .disk
        .fail(Operation::CreateDirectories, "cistern", 0, 13);
    let error = Storage::open(place.options()).await.err().unwrap();
    assert!(error.to_string().starts_with("cannot create "), "{error}");
}

#[tokio::test]
async fn a_lost_index_is_made_anew_and_everything_is_served_meanwhile() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = fill(&place, &storage).await;
    storage.close().await.unwrap();
    drop(storage);
    std::fs::remove_dir_all(place.root().join("cistern/index")).unwrap();
    let storage = place.open().await;
    serves(&storage, &manifest).await;
    let record = storage
        .repositories()
        .tag(&name("library/app"), &tag("v1"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.checked_at, None);
    storage.rebuild_index(CancellationToken::new()).await;
    serves(&storage, &manifest).await;
    let lists = |place: &Place| {
        place
            .disk
            .asked()
            .iter()
            .filter(|asked| asked.operation == Operation::List)
            .count()
    };
    let before = lists(&place);
    storage.rebuild_index(CancellationToken::new()).await;
    assert_eq!(lists(&place), before, "nothing is left to do");
}

#[tokio::test]
async fn an_index_of_another_format_is_moved_aside() {
    for format in [r#"{"index":999,"more":true}"#, r#"{"index":1}"#, "", "{"] {
        let place = Place::new();
        let storage = place.open().await;
        let manifest = fill(&place, &storage).await;
        storage.close().await.unwrap();
        drop(storage);
        place.write("cistern/format", format.as_bytes());
        place.write("cistern/index.aside/old", b"an earlier one");
        let storage = place.open().await;
        serves(&storage, &manifest).await;
        assert!(place.root().join("cistern/index.aside/db").exists());
        assert!(
            !place.root().join("cistern/index.aside/old").exists(),
            "one is kept"
        );
        // The shape that the first Cistern reads too: to it this is another format.
        assert_eq!(place.text("cistern/format"), r#"{"index":2}"#);
    }
}

#[tokio::test]
async fn a_damaged_index_keeps_nobody_from_being_served() {
    for damage in ["cut", "noise", "nothing", "no conf", "pipe"] {
        let place = Place::new();
        let storage = place.open().await;
        let manifest = fill(&place, &storage).await;
        for seed in 0..300 {
            store(&storage, &some_bytes(10, seed)).await;
        }
        storage.close().await.unwrap();
        drop(storage);
        let database = place.root().join("cistern/index/db");
        let length = std::fs::metadata(&database).unwrap().len();
        match damage {
            "cut" => std::fs::OpenOptions::new()
                .write(true)
                .open(&database)
                .unwrap()
                .set_len(length / 2 + 7)
                .unwrap(),
            "noise" => place.write(
                "cistern/index/db",
                &some_bytes(usize::try_from(length).unwrap(), 1),
            ),
            "nothing" => place.write("cistern/index/db", b""),
            "pipe" => place.make_pipe("cistern/index/conf"),
            _ => place.write("cistern/index/conf", b"what?"),
        }
        let storage = place.open().await;
        serves(&storage, &manifest).await;
        storage.rebuild_index(CancellationToken::new()).await;
        serves(&storage, &manifest).await;
        let storage = place.open_again(storage).await;
        serves(&storage, &manifest).await;
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_opened_at_all_is_kept_in_memory() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = fill(&place, &storage).await;
    storage.close().await.unwrap();
    drop(storage);
    std::fs::remove_dir_all(place.root().join("cistern/index")).unwrap();
    place.write("cistern/index", b"a file in its place");
    place.disk.fail(Operation::Rename, "index.aside", 0, 28);
    let storage = place.open().await;
    serves(&storage, &manifest).await;
    storage.flush().await.unwrap();
}

#[tokio::test]
async fn distributions_expiry_plan_is_moved_aside() {
    let place = Place::new();
    place.write("scheduler-state.json", b"{}");
    let storage = place.open().await;
    assert_eq!(place.text("cistern/scheduler-state.json"), "{}");
    assert!(!place.root().join("scheduler-state.json").exists());
    let storage = place.open_again(storage).await;
    drop(storage);
    assert_eq!(place.text("cistern/scheduler-state.json"), "{}");
}

#[tokio::test]
async fn after_distribution_was_at_work_the_index_learns_what_it_did() {
    let place = Place::new();
    let storage = place.open().await;
    fill(&place, &storage).await;
    storage.close().await.unwrap();
    drop(storage);
    let bytes = some_bytes(100, 1);
    place.adopt_blob(&sha256(&bytes), &bytes);
    place.write("scheduler-state.json", b"{}");
    let storage = place.open().await;
    storage.rebuild_index(CancellationToken::new()).await;
    let past = place.clock.now() - std::time::Duration::from_secs(1);
    assert_eq!(
        storage.expire(past, &|_| true).await.unwrap(),
        crate::Expired::default(),
        "first seen counts as used"
    );
    place.clock.go_on(std::time::Duration::from_secs(100));
    let expired = storage.expire(place.clock.now(), &|_| true).await.unwrap();
    assert_eq!(expired.blobs, 3);
}

#[tokio::test]
async fn opening_walks_nothing() {
    let place = Place::new();
    let storage = place.open().await;
    fill(&place, &storage).await;
    storage.close().await.unwrap();
    drop(storage);
    let before = place.disk.asked().len();
    let storage = place.open().await;
    storage.close().await.unwrap();
    let after = place.disk.asked().split_off(before);
    assert!(
        after
            .iter()
            .all(|asked| !asked.path.to_string_lossy().contains("/docker/")),
        "{after:?}"
    );
}

#[tokio::test]
async fn the_check_is_not_fooled_by_what_is_remembered() {
    let place = Place::new();
    let storage = place.open().await;
    fill(&place, &storage).await;
    storage.check().await.unwrap();
    place.disk.fail(Operation::Write, "partials", 0, 28);
    assert!(matches!(storage.check().await, Err(StorageError::Full)));
    place.disk.heal();
    place.disk.fail(Operation::Create, "partials", 0, 30);
    assert!(matches!(storage.check().await, Err(StorageError::ReadOnly)));
    place.disk.die();
    assert!(storage.check().await.is_err());
    place.disk.heal();
    storage.check().await.unwrap();
    until("nothing is left behind", || {
        !place.files().iter().any(|path| path.contains("partials"))
    })
    .await;
    crate::Disk::remove(&crate::RealDisk, &place.root().join("cistern/lock")).unwrap();
    place.disk.set_elsewhere(true);
    let error = storage.check().await.unwrap_err().to_string();
    assert!(error.contains("mount"), "{error}");
}

#[tokio::test]
async fn opening_a_store_of_twenty_thousand_blobs_looks_at_few_files() {
    let place = Place::new();
    let disk: Arc<FaultyDisk> = Arc::clone(&place.disk);
    let index =
        crate::index::SledIndex::open(&place.root().join("cistern/index"), 8 << 20).unwrap();
    let format = format!(r#"{{"index":{}}}"#, crate::index::FORMAT);
    place.write("cistern/format", format.as_bytes());
    place.write("docker/registry/v2/blobs/x", b"");
    for number in 0..20_000_u64 {
        let stamp = crate::index::Stamp {
            size: number,
            modified: number,
            inode: number,
        };
        let record = crate::index::BlobRecord {
            size: number,
            stamp: Some(stamp),
        };
        crate::index::Index::set_blob(&index, &sha256(&number.to_le_bytes()), &record).unwrap();
    }
    crate::index::Index::flush(&index).unwrap();
    drop(index);
    let _storage = place.open().await;
    assert!(disk.asked().len() < 50);
    assert!(!place.root().join("cistern/index.aside").exists());
}

#[tokio::test]
async fn links_that_a_power_cut_emptied_are_removed_in_the_background() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = fill(&place, &storage).await;
    storage.close().await.unwrap();
    drop(storage);
    until("the run ended in order", || {
        place.text("cistern/lock").is_empty()
    })
    .await;
    let before = place.files();
    place.write("cistern/lock", b"process 1\n");
    let repository = "docker/registry/v2/repositories/library/app";
    let hex = sha256(b"emptied").hex();
    for path in [
        format!("{repository}/_layers/sha256/{hex}/link"),
        format!("{repository}/_manifests/revisions/sha256/{hex}/link"),
        format!("{repository}/_manifests/tags/v2/current/link"),
        format!("{repository}/_manifests/tags/v2/index/sha256/{hex}/link"),
        format!("cistern/revisions/library/app/_revisions/sha256/{hex}"),
    ] {
        place.write(&path, b"");
    }
    let storage = place.open().await;
    storage.rebuild_index(CancellationToken::new()).await;
    assert_eq!(place.files(), before);
    serves(&storage, &manifest).await;
}

#[tokio::test]
async fn a_rebuild_that_was_stopped_goes_on_at_the_next_start() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = fill(&place, &storage).await;
    storage.close().await.unwrap();
    drop(storage);
    std::fs::remove_dir_all(place.root().join("cistern/index")).unwrap();
    let storage = place.open().await;
    let stop = CancellationToken::new();
    stop.cancel();
    storage.rebuild_index(stop).await;
    serves(&storage, &manifest).await;
    let storage = place.open_again(storage).await;
    let before = place.disk.asked().len();
    storage.rebuild_index(CancellationToken::new()).await;
    let walked = place.disk.asked().split_off(before);
    assert!(
        walked
            .iter()
            .any(|asked| asked.path.ends_with("blobs/sha256"))
    );
}

#[tokio::test]
async fn closing_does_not_wait_for_downloads() {
    let place = Place::new();
    let storage = place.open().await;
    let (mut writer, _blob) = crate::testing::start(&storage, sha256(b"1"), None).await;
    writer.append(Bytes::from_static(b"1")).await.unwrap();
    storage.close().await.unwrap();
    assert_eq!(place.text("cistern/lock"), "");
    writer.commit().await.unwrap();
    assert!(storage.blobs().open(&sha256(b"1")).await.unwrap().is_some());
}
