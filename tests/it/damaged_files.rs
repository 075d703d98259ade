//! A stored file that was damaged is never served as if it were whole; it is fetched again.

use std::fs;
use std::path::Path;

use cistern_tests::caller::{Answered, get, head};
use cistern_tests::eventually;
use cistern_tests::images::{Image, Item, image};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::ScriptedUpstream;

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, assert_manifest, blob_path, chain, is_a_lie, kept,
    manifest_path, pull, pull_and_keep,
};

#[derive(Clone, Copy, Debug)]
enum Damage {
    Bit,
    LastBit,
    HalfGone,
    AllGone,
    Longer,
    Other,
    Missing,
}

const ALL: [Damage; 7] = [
    Damage::Bit,
    Damage::LastBit,
    Damage::HalfGone,
    Damage::AllGone,
    Damage::Longer,
    Damage::Other,
    Damage::Missing,
];

fn damage(file: &Path, how: Damage) {
    let mut bytes = fs::read(file).unwrap();
    let size = bytes.len();
    match how {
        Damage::Bit => bytes[size / 2] ^= 1,
        Damage::LastBit => bytes[size - 1] ^= 1,
        Damage::HalfGone => bytes.truncate(size / 2),
        Damage::AllGone => bytes.clear(),
        Damage::Longer => bytes.push(b'x'),
        Damage::Other => bytes.fill(b'\n'),
        Damage::Missing => return fs::remove_file(file).unwrap(),
    }
    fs::write(file, bytes).unwrap();
}

/// Small ones are looked at when they are opened, large ones as they are read.
fn blobs() -> [Item; 3] {
    [
        Item::random(1, 1000),
        Item::random(2, 900_000),
        Item::random(3, 3 * MIB),
    ]
}

async fn filled(manifest: bool) -> (ScriptedUpstream, Registry, Vec<Item>) {
    let (upstream, cache) = chain().await;
    let blobs = blobs();
    let mut image = image().build();
    if manifest {
        let text = serde_json::json!({
            "schemaVersion": 2, "mediaType": image.top().media_type, "config": image.blobs[0].descriptor(),
            "layers": blobs.iter().map(Item::descriptor).collect::<Vec<_>>(),
        });
        image = Image {
            manifests: vec![Item::new(&image.top().media_type, text.to_string())],
            blobs: blobs.to_vec(),
        };
        upstream.hold(&image, REPOSITORY, &["v1"]);
        pull(&cache, REPOSITORY, "v1", &image).await;
    }
    for blob in &blobs {
        upstream.hold_blob(blob, REPOSITORY);
        let path = blob_path(REPOSITORY, &blob.digest);
        assert_blob(&get(&path).send(&cache.host()).await, blob);
        kept(&cache, &blob.digest).await;
    }
    (upstream, cache, blobs.to_vec())
}

/// At the latest after one answer that was cut, the true bytes come, fetched once more.
async fn assert_heals(cache: &Registry, path: &str, blob: &Item, what: &str) {
    for _ in 0..2 {
        let answer = get(path).send(&cache.host()).await;
        assert!(!is_a_lie(&answer, blob), "{what}");
        if answer.is_complete() {
            break;
        }
    }
    assert_blob(&get(path).send(&cache.host()).await, blob);
    kept(cache, &blob.digest).await;
    assert!(
        cache.store().blob(&blob.digest).as_deref() == Some(&blob.bytes[..]),
        "{what}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_damaged_on_disk_is_never_served_whole_and_is_fetched_again() {
    for manifest in [false, true] {
        let (upstream, mut cache, blobs) = filled(manifest).await;
        for how in ALL {
            for while_running in [true, false] {
                for blob in &blobs {
                    let path = blob_path(REPOSITORY, &blob.digest);
                    let (file, what) = (
                        cache.store().blob_file(&blob.digest),
                        format!(
                            "{how:?}, running: {while_running}, {} bytes",
                            blob.bytes.len()
                        ),
                    );
                    if !while_running {
                        cache.stop().await;
                    }
                    damage(&file, how);
                    if !while_running {
                        cache.start().await;
                    }
                    upstream.forget_requests();
                    assert_heals(&cache, &path, blob, &what).await;
                    assert_eq!(upstream.count("GET", &path), 1, "{what}");
                }
            }
        }
    }
}

fn is_right_part(answer: &Answered, blob: &Item, first: usize) -> bool {
    let right = answer.body == blob.bytes[first..first + answer.body.len()];
    right
        && answer
            .header("Content-Range")
            .is_some_and(|place| place.ends_with(&format!("/{}", blob.bytes.len())))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_a_damaged_blob_is_served_as_true() {
    let (_upstream, cache, blobs) = filled(false).await;
    for how in ALL {
        for blob in &blobs {
            let (path, middle) = (blob_path(REPOSITORY, &blob.digest), blob.bytes.len() / 2);
            damage(&cache.store().blob_file(&blob.digest), how);
            for _ in 0..2 {
                let range = format!("bytes={}-{}", middle - 100, middle + 100);
                let answer = get(&path).range(&range).send(&cache.host()).await;
                let is_whole = answer.status == 206 && answer.is_complete();
                assert!(
                    !is_whole || is_right_part(&answer, blob, middle - 100),
                    "{how:?}"
                );
            }
            assert_heals(&cache, &path, blob, &format!("{how:?}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_never_tells_the_length_of_a_damaged_file() {
    for manifest in [false, true] {
        let (_upstream, mut cache, blobs) = filled(manifest).await;
        for how in ALL {
            for while_running in [true, false] {
                for blob in &blobs {
                    let path = blob_path(REPOSITORY, &blob.digest);
                    if !while_running {
                        cache.stop().await;
                    }
                    damage(&cache.store().blob_file(&blob.digest), how);
                    if !while_running {
                        cache.start().await;
                    }
                    let size = blob.bytes.len().to_string();
                    let answer = head(&path).send(&cache.host()).await;
                    assert_eq!(answer.status, 200);
                    assert_eq!(
                        answer.header("Content-Length"),
                        Some(size.as_str()),
                        "{how:?} {while_running}"
                    );
                    assert_heals(&cache, &path, blob, &format!("{how:?}")).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_blob_is_not_served_while_the_upstream_is_away_either() {
    let (upstream, mut cache, blobs) = filled(false).await;
    for (how, blob) in [Damage::LastBit, Damage::HalfGone, Damage::Bit]
        .into_iter()
        .zip(&blobs)
    {
        damage(&cache.store().blob_file(&blob.digest), how);
    }
    upstream.stop().await;
    for _ in 0..2 {
        for blob in &blobs {
            let answer = get(&blob_path(REPOSITORY, &blob.digest))
                .send(&cache.host())
                .await;
            assert!(
                answer.status == 503 || !answer.is_complete(),
                "{}",
                answer.status
            );
        }
        cache.restart().await;
    }
    for blob in &blobs {
        let answer = get(&blob_path(REPOSITORY, &blob.digest))
            .send(&cache.host())
            .await;
        assert_eq!(answer.status, 503);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_damaged_on_disk_is_never_served_and_is_fetched_again() {
    let (upstream, mut cache) = chain().await;
    let image = image().random_layers(4, 1, 3000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    pull(&cache, REPOSITORY, "v1", &image).await;
    for how in ALL {
        for while_running in [true, false] {
            if !while_running {
                cache.stop().await;
            }
            damage(&cache.store().blob_file(image.digest()), how);
            if !while_running {
                cache.start().await;
            }
            for reference in ["v1", image.digest()] {
                let path = manifest_path(REPOSITORY, reference);
                for call in [get(&path), head(&path)] {
                    let answer = call.send(&cache.host()).await;
                    assert_eq!(answer.header("Docker-Content-Digest"), Some(image.digest()));
                }
                assert_manifest(&get(&path).send(&cache.host()).await, image.top());
            }
            if while_running {
                // The cache may have served it from memory; the file is put right by whoever reads it.
                cache.restart().await;
                assert_manifest(
                    &get(&manifest_path(REPOSITORY, "v1"))
                        .send(&cache.host())
                        .await,
                    image.top(),
                );
            }
            assert_eq!(
                cache.store().blob(image.digest()).as_deref(),
                Some(&image.top().bytes[..]),
                "{how:?}"
            );
        }
    }
    upstream.stop().await;
    damage(&cache.store().blob_file(image.digest()), Damage::Bit);
    cache.restart().await;
    let path = manifest_path(REPOSITORY, image.digest());
    assert_eq!(get(&path).send(&cache.host()).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_store_is_verified_as_it_is_read() {
    let upstream = ScriptedUpstream::start().await;
    let image = image()
        .random_layers(5, 2, 2 * MIB)
        .random_layers(6, 2, 5000)
        .build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    for how in ALL {
        let store = cistern_tests::store::Store::new();
        store.put(&image, REPOSITORY, &["v1"]);
        for item in image.blobs.iter().step_by(2) {
            damage(&store.blob_file(&item.digest), how);
        }
        let cache = cistern_tests::cistern::mirror_of(&upstream.url())
            .store(&store)
            .start()
            .await;
        upstream.forget_requests();
        for blob in &image.blobs {
            assert_heals(
                &cache,
                &blob_path(REPOSITORY, &blob.digest),
                blob,
                &format!("{how:?}"),
            )
            .await;
        }
        pull(&cache, REPOSITORY, "v1", &image).await;
        assert_eq!(
            upstream.count("GET", "/v2/*/blobs/*"),
            image.blobs.len().div_ceil(2),
            "{how:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_adopted_file_that_its_manifest_contradicts_no_length_is_told() {
    let upstream = ScriptedUpstream::start().await;
    let image = image().random_layers(8, 1, 3 * MIB).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let layer = image.largest_blob();
    let path = blob_path(REPOSITORY, &layer.digest);
    for how in [Damage::HalfGone, Damage::Longer] {
        let store = cistern_tests::store::Store::new();
        store.put(&image, REPOSITORY, &["v1"]);
        damage(&store.blob_file(&layer.digest), how);
        let cache = cistern_tests::cistern::mirror_of(&upstream.url())
            .store(&store)
            .start()
            .await;
        let (told, size) = (
            head(&path).send(&cache.host()).await,
            layer.bytes.len().to_string(),
        );
        assert_eq!(told.header("Content-Length"), Some(&*size), "{how:?}");
        // The first GET need not be cut either.
        assert_blob(&get(&path).send(&cache.host()).await, layer);
    }
}

/// A pipe into which nobody ever writes: whoever opens it as a file waits for ever.
fn make_pipe(file: &Path) {
    fs::remove_file(file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(file).status();
    assert!(made.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_in_the_place_of_a_stored_file_hangs_nobody_and_is_replaced() {
    let (upstream, mut cache) = chain().await;
    let image = image().random_layers(7, 1, 2 * MIB).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    pull_and_keep(&cache, REPOSITORY, "v1", &image).await;
    let (store, layer) = (cache.store().clone(), &image.largest_blob().digest);
    let files = [
        store.blob_file(layer),
        store.blob_file(image.digest()),
        store.layer_link(REPOSITORY, layer),
        store.revision_link(REPOSITORY, image.digest()),
        store.tag_link(REPOSITORY, "v1"),
        store.path().join("cistern/format"),
    ];
    for while_running in [true, false] {
        for file in &files {
            if !while_running {
                cache.stop().await;
            }
            make_pipe(file);
            if !while_running {
                cache.start().await;
            }
            let pulling = pull(&cache, REPOSITORY, "v1", &image);
            let pulled = tokio::time::timeout(SOON, pulling).await;
            assert!(pulled.is_ok(), "{}", file.display());
            if !while_running {
                let what = file.display().to_string();
                eventually(&what, SOON, || async { file.is_file() }).await;
            }
        }
        // What the cache still knew from memory, a start puts right.
        for file in &files {
            fs::remove_file(file).unwrap();
        }
        cache.restart().await;
        pull_and_keep(&cache, REPOSITORY, "v1", &image).await;
    }
}
