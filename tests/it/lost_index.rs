//! The files are the truth: an index that is lost, damaged or of another time costs nothing but what it remembered.

use std::fs;
use std::path::{Path, PathBuf};

use cistern_tests::caller::get;
use cistern_tests::cistern::mirror_of;
use cistern_tests::eventually;
use cistern_tests::images::{Family, Image, image, index, random_bytes};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::ScriptedUpstream;

use crate::common::{
    REPOSITORY, SOON, assert_manifest, chain, kept, manifest_path, pull, pull_and_keep,
    pull_by_digest,
};

fn images() -> Vec<Image> {
    (0..4)
        .map(|seed| {
            index(&[
                image()
                    .family(Family::Docker)
                    .random_layers(seed, 2, 40_000),
                image()
                    .platform("arm64", None)
                    .random_layers(seed + 100, 1, 1_500_000),
            ])
        })
        .collect()
}

/// A cache that holds all images, stopped.
async fn filled() -> (ScriptedUpstream, Registry, Vec<Image>) {
    let (upstream, mut cache) = chain().await;
    let images = images();
    for (number, image) in images.iter().enumerate() {
        let tag = format!("v{number}");
        upstream.hold(image, REPOSITORY, &[&tag]);
        pull(&cache, REPOSITORY, &tag, image).await;
        for blob in &image.blobs {
            kept(&cache, &blob.digest).await;
        }
    }
    cache.stop().await;
    (upstream, cache, images)
}

/// Everything is served while the upstream is away, and without a GET when it is back; and once more after a restart.
async fn assert_serves_all(upstream: &ScriptedUpstream, cache: &mut Registry, images: &[Image]) {
    upstream.forget_requests();
    for _ in 0..2 {
        upstream.stop().await;
        cache.start().await;
        for (number, image) in images.iter().enumerate() {
            let tag = manifest_path(REPOSITORY, &format!("v{number}"));
            assert_manifest(&get(&tag).send(&cache.host()).await, image.top());
            pull_by_digest(cache, REPOSITORY, image).await;
        }
        cache.stop().await;
        upstream.start_again().await;
        cache.start().await;
        for (number, image) in images.iter().enumerate() {
            pull(cache, REPOSITORY, &format!("v{number}"), image).await;
        }
        cache.stop().await;
    }
    assert_eq!(upstream.count("GET", "/v2/*"), 0);
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn index_files(cache: &Registry) -> Vec<PathBuf> {
    let files = files_below(&cache.store().path().join("cistern/index"));
    assert!(!files.is_empty());
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_index_was_deleted_serves_all_the_same() {
    let (upstream, mut cache, images) = filled().await;
    let own = cache.store().path().join("cistern");
    for gone in ["index", "format", ""] {
        let path = own.join(gone);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        assert_serves_all(&upstream, &mut cache, &images).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_index_is_garbage_serves_all_the_same() {
    let (upstream, mut cache, images) = filled().await;
    for seed in 0..6_u64 {
        for file in index_files(&cache) {
            let mut bytes = fs::read(&file).unwrap();
            let size = bytes.len();
            let garbage = random_bytes(seed, size.max(64));
            match seed {
                0 => bytes = garbage.to_vec(),
                1 => bytes.clear(),
                2 => bytes.truncate(size / 2),
                3 => bytes[size / 3..].copy_from_slice(&garbage[size / 3..size]),
                4 => bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x10),
                _ => bytes[..size / 3].fill(0),
            }
            fs::write(&file, bytes).unwrap();
        }
        assert_serves_all(&upstream, &mut cache, &images).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_index_is_something_else_altogether_serves_all_the_same() {
    let (upstream, mut cache, images) = filled().await;
    let index = cache.store().path().join("cistern/index");
    fs::remove_dir_all(&index).unwrap();
    fs::write(&index, "no folder").unwrap();
    assert_serves_all(&upstream, &mut cache, &images).await;
    fs::remove_dir_all(&index).ok();
    fs::create_dir_all(index.join("db/blobs/conf/snap")).unwrap();
    assert_serves_all(&upstream, &mut cache, &images).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_an_index_of_another_version_serves_all_the_same() {
    let (upstream, mut cache, images) = filled().await;
    let format = cache.store().path().join("cistern/format");
    for text in [
        "{\"index\":999}",
        "{\"index\":0,\"more\":true}",
        "",
        "\u{0}\u{1}",
        "[]",
    ] {
        fs::write(&format, text).unwrap();
        assert_serves_all(&upstream, &mut cache, &images).await;
        assert_ne!(
            fs::read_to_string(&format).unwrap(),
            text,
            "there is a new index"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_destroyed_while_it_is_used_stops_nothing() {
    let (upstream, mut cache, images) = filled().await;
    cache.start().await;
    for file in index_files(&cache) {
        fs::write(&file, random_bytes(7, 5000)).unwrap();
    }
    let more = image().random_layers(50, 2, 50_000).build();
    upstream.hold(&more, REPOSITORY, &["more"]);
    pull(&cache, REPOSITORY, "more", &more).await;
    for (number, image) in images.iter().enumerate() {
        pull(&cache, REPOSITORY, &format!("v{number}"), image).await;
    }
    for blob in &more.blobs {
        kept(&cache, &blob.digest).await;
    }
    assert!(cache.stop().await.success(), "{}", cache.log());
    assert_serves_all(&upstream, &mut cache, &images).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_store_is_refused_and_told_why() {
    let (upstream, mut cache) = chain().await;
    let image = image().random_layers(1, 1, 3000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let store = cache.store().clone();
    let second = || mirror_of(&upstream.url()).store(&store);
    let (status, output) = second().start_in_vain().await;
    assert!(!status.success());
    let place = store.path().display().to_string();
    for part in ["rootdirectory", "in use", &place, &cache.id().to_string()] {
        assert!(output.contains(part), "{part} is not in: {output}");
    }
    pull(&cache, REPOSITORY, "v1", &image).await;
    // Reading beside the one that writes is allowed.
    let reading = second().set("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true");
    pull(&reading.start().await, REPOSITORY, "v1", &image).await;
    cache.stop().await;
    let next = second().start().await;
    pull(&next, REPOSITORY, "v1", &image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_emptied_under_a_running_cache_is_filled_again_and_stays_well() {
    let (upstream, mut cache) = chain().await;
    let image = image().random_layers(9, 2, 100_000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    pull_and_keep(&cache, REPOSITORY, "v1", &image).await;
    let root = cache.store().path().to_owned();
    std::fs::remove_dir_all(&root).unwrap();
    std::fs::create_dir(&root).unwrap();
    eventually("being well again", SOON, || async {
        get("/healthz").send(&cache.host()).await.status == 200
            && root.join("cistern/lock").is_file()
    })
    .await;
    pull_and_keep(&cache, REPOSITORY, "v1", &image).await;
    upstream.stop().await;
    pull(&cache, REPOSITORY, "v1", &image).await;
    cache.restart().await;
    pull(&cache, REPOSITORY, "v1", &image).await;
}
