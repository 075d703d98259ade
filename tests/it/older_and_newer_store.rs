//! A store that another version of Cistern has had its hands on, or something else altogether, is served all the same, and what
//! is not known here is left alone.

use std::fs;
use std::path::{Path, PathBuf};

use cistern_tests::images::{Image, image, index};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::ScriptedUpstream;

use crate::common::{REPOSITORY, chain, kept, pull};

fn picture() -> Image {
    index(&[
        image().random_layers(1, 2, 40_000),
        image().platform("arm64", None).random_layers(2, 1, 40_000),
    ])
}

/// A cache that holds the picture, stopped, and its upstream, stopped too.
async fn filled() -> (ScriptedUpstream, Registry, Image) {
    let (upstream, mut cache) = chain().await;
    let image = picture();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    pull(&cache, REPOSITORY, "v1", &image).await;
    for blob in &image.blobs {
        kept(&cache, &blob.digest).await;
    }
    cache.stop().await;
    upstream.stop().await;
    (upstream, cache, image)
}

/// Serves without its upstream, after this start and the next.
async fn assert_serves(cache: &mut Registry, image: &Image) {
    for _ in 0..2 {
        cache.start().await;
        pull(cache, REPOSITORY, "v1", image).await;
        assert!(cache.stop().await.success(), "{}", cache.log());
    }
}

/// Writes a file with the folders it needs.
fn write(root: &Path, file: &str, text: &str) -> PathBuf {
    let file = root.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_cistern_starts_on_the_store_of_a_newer_one_and_the_other_way_round() {
    let (_upstream, mut cache, image) = filled().await;
    let own = cache.store().path().join("cistern");
    for format in [
        r#"{"index":999,"layout":3,"written_by":"9.9.9"}"#,
        r#"{"index":0}"#,
        r#"{"version":7}"#,
    ] {
        fs::write(own.join("format"), format).unwrap();
        // An index that this version cannot make head or tail of, under the name of its own.
        fs::remove_dir_all(own.join("index")).unwrap();
        write(&own, "index/MANIFEST-000001", "another database");
        write(&own, "index/db", "not sled's");
        assert_serves(&mut cache, &image).await;
        assert_eq!(
            fs::read_to_string(own.join("index.aside/db")).unwrap(),
            "not sled's"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_before_cistern_kept_anything_of_its_own_is_served() {
    let (_upstream, mut cache, image) = filled().await;
    fs::remove_dir_all(cache.store().path().join("cistern")).unwrap();
    assert_serves(&mut cache, &image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_this_version_does_not_know_are_no_obstacle_and_are_left_alone() {
    let (_upstream, mut cache, image) = filled().await;
    let hex = "ab".repeat(32);
    let v2 = "docker/registry/v2";
    let unknown = [
        "README.txt".to_owned(),
        "lost+found/#12345".to_owned(),
        "docker/other/file".to_owned(),
        "cistern/pins/team/app/v1".to_owned(),
        "cistern/uploads/0f1e/state".to_owned(),
        format!("cistern/partials/blake3-{hex}.part"),
        format!("cistern/partials/sha256-{hex}.part.json"),
        "cistern/something-new/deep/down".to_owned(),
        "cistern/listings/team/app/_listings/something-new".to_owned(),
        "cistern/revisions/team/app/_revisions/blake3/0011".to_owned(),
        format!("{v2}/blobs/blake3/00/0011/data"),
        format!("{v2}/blobs/sha256/ab/{hex}/data.tmp"),
        format!("{v2}/blobs/sha256/ab/not-hex/data"),
        format!("{v2}/blobs/README"),
        format!("{v2}/repositories/team/app/_uploads/0b1c/data"),
        format!("{v2}/repositories/team/app/_uploads/0b1c/startedat"),
        format!("{v2}/repositories/team/app/_something/new"),
        format!("{v2}/repositories/team/app/_layers/blake3/0011/link"),
        format!("{v2}/repositories/team/app/_manifests/revisions/blake3/0011/link"),
        format!("{v2}/repositories/team/app/_manifests/tags/.hidden/current/link"),
        format!("{v2}/repositories/team/app/_manifests/tags/v1/annotations"),
        format!("{v2}/repositories/NotAName/_layers/x"),
    ];
    let root = cache.store().path().to_owned();
    let files: Vec<_> = unknown
        .iter()
        .map(|file| write(&root, file, "unknown"))
        .collect();
    // With a new index, everything is looked at once more.
    for index in ["cistern/index", "nothing"] {
        fs::remove_dir_all(root.join(index)).ok();
        assert_serves(&mut cache, &image).await;
    }
    for file in files {
        assert_eq!(
            fs::read_to_string(&file).unwrap_or_default(),
            "unknown",
            "{}",
            file.display()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_store_that_may_not_be_written_is_served() {
    let (_upstream, mut cache, image) = filled().await;
    let format = write(cache.store().path(), "cistern/format", r#"{"index":99}"#);
    cache.set("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{enabled: true}");
    assert_serves(&mut cache, &image).await;
    assert_eq!(fs::read_to_string(format).unwrap(), r#"{"index":99}"#);
}
