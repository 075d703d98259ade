//! A disk that is full, or nearly so, takes nothing down: what is here is served, the rest is passed through, verified.

use std::fs;
use std::path::{Path, PathBuf};

use cistern_tests::caller::{Ended, get};
use cistern_tests::cistern::{hosted, mirror_of};
use cistern_tests::images::{Image, Item, image};
use cistern_tests::need::{find_program, is_root, skip};
use cistern_tests::process::{launch, run};
use cistern_tests::pusher::{Pusher, location, with_query};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, ScriptedUpstream};
use cistern_tests::store::Store;

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, assert_part, blob_path, holds, is_a_lie, kept, leftovers,
    many, no_leftovers, pull, pull_and_keep,
};

/// A small file system of its own below a store, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of `mebibytes`; says that the test is skipped where that is not possible.
    async fn below(store: &Store, mebibytes: usize, test: &str) -> Option<Self> {
        let Some(mount) = find_program("mount").filter(|_| is_root()) else {
            skip(test, "root with mount");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let place = store.path().to_str().unwrap();
        let mounting = launch(
            mount,
            folder.path(),
            ["-t", "tmpfs", "-o", &size, "tmpfs", place],
        );
        if !run(&mounting, SOON).await.success {
            skip(test, "leave to mount");
            return None;
        }
        Some(Self(store.path().to_owned()))
    }

    /// Fills all that is left but about `left` bytes. Removing the file makes room again.
    fn fill(&self, left: u64) -> PathBuf {
        let (file, space) = (self.0.join("filler"), self.free());
        let size = usize::try_from(space.saturating_sub(left)).unwrap();
        // A write that does not fit writes as much as fits.
        let _ = fs::write(&file, vec![1; size]);
        assert!(
            self.free() <= left + 64 * 1024,
            "{} bytes are free",
            self.free()
        );
        file
    }

    fn free(&self) -> u64 {
        let space = rustix::fs::statvfs(&self.0).unwrap();
        space.f_bavail * space.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).ok();
    }
}

async fn upstream_with(image: &Image) -> ScriptedUpstream {
    let upstream = ScriptedUpstream::start().await;
    upstream.hold(image, REPOSITORY, &["v1"]);
    upstream
}

async fn is_well(cache: &Registry) {
    let health = get("/healthz").send(&cache.host()).await;
    assert_eq!(health.status, 200, "{}", health.text());
}

/// Passed through: whole and in part, for one and for many, and nothing is kept.
async fn assert_passes_through(cache: &Registry, upstream: &ScriptedUpstream, blob: &Item) {
    let path = blob_path(REPOSITORY, &blob.digest);
    upstream.hold_blob(blob, REPOSITORY);
    for _ in 0..2 {
        assert_blob(&get(&path).send(&cache.host()).await, blob);
    }
    let part = get(&path)
        .range("bytes=1000-1999")
        .send(&cache.host())
        .await;
    assert_part(&part, blob, 1000, 1999);
    let end = blob.bytes.len() - 1;
    let footer = get(&path).range("bytes=-51").send(&cache.host()).await;
    assert_part(&footer, blob, end - 50, end);
    for answer in many(10, &path, cache).await {
        assert_blob(&answer, blob);
    }
    assert!(upstream.count("GET", &path) >= 2, "it is asked each time");
    assert!(!holds(cache, &blob.digest));
    assert!(leftovers(cache).is_empty());
}

/// What is passed through is verified like anything else.
async fn assert_lies_do_not_pass(cache: &Registry, upstream: &ScriptedUpstream, blob: &Item) {
    let path = blob_path(REPOSITORY, &blob.digest);
    upstream.hold_blob(blob, REPOSITORY);
    let size = blob.bytes.len();
    let lies = [
        Answer::held().flips(size - 1),
        Answer::held().flips(0),
        Answer::held().shortened_to(size / 2),
        Answer::held().lengthened_by("x"),
        Answer::held().cut_at(size - 1, cistern_tests::scripted_upstream::Cut::Fin),
    ];
    for lie in lies {
        let lying = upstream.on("GET", &path, lie);
        let answer = get(&path).send(&cache.host()).await;
        assert!(!is_a_lie(&answer, blob) && (answer.status != 200 || answer.ended == Ended::Short));
        lying.remove();
    }
    assert_blob(&get(&path).send(&cache.host()).await, blob);
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_reserve_a_blob_is_passed_through_verified_and_not_kept() {
    let image = image().random_layers(1, 2, 500_000).build();
    let upstream = upstream_with(&image).await;
    let cache = mirror_of(&upstream.url()).set("REGISTRY_STORAGE_CACHE_RESERVE", "99%");
    let cache = cache.start().await;
    for _ in 0..2 {
        pull(&cache, REPOSITORY, "v1", &image).await;
    }
    assert!(image.blobs.iter().all(|blob| !holds(&cache, &blob.digest)));
    assert_passes_through(&cache, &upstream, &Item::random(2, 2 * MIB)).await;
    assert_lies_do_not_pass(&cache, &upstream, &Item::random(3, 700_000)).await;
    is_well(&cache).await;
    assert!(cache.log().contains("passed through"), "{}", cache.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_does_not_fit_is_passed_through_and_what_is_here_stays() {
    let store = Store::new();
    let name = "a_blob_that_does_not_fit_is_passed_through_and_what_is_here_stays";
    let Some(disk) = SmallDisk::below(&store, 16, name).await else {
        return;
    };
    let image = image().random_layers(4, 2, MIB).build();
    let upstream = upstream_with(&image).await;
    let cache = mirror_of(&upstream.url())
        .store(&store)
        .set("REGISTRY_STORAGE_CACHE_RESERVE", "0");
    let mut cache = cache.start().await;
    pull(&cache, REPOSITORY, "v1", &image).await;
    kept(&cache, &image.largest_blob().digest).await;
    let filler = disk.fill(2 * MIB as u64);
    assert_passes_through(&cache, &upstream, &Item::random(5, 6 * MIB)).await;
    is_well(&cache).await;
    fs::remove_file(filler).unwrap();
    let blob = Item::random(6, 6 * MIB);
    upstream.hold_blob(&blob, REPOSITORY);
    assert_blob(
        &get(&blob_path(REPOSITORY, &blob.digest))
            .send(&cache.host())
            .await,
        &blob,
    );
    kept(&cache, &blob.digest).await;
    cache.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_during_a_download_cuts_it_and_takes_nothing_else_down() {
    let store = Store::new();
    let name = "a_disk_that_fills_up_during_a_download_cuts_it_and_takes_nothing_else_down";
    let Some(disk) = SmallDisk::below(&store, 16, name).await else {
        return;
    };
    let image = image().random_layers(7, 2, MIB).build();
    let upstream = upstream_with(&image).await;
    let cache = mirror_of(&upstream.url())
        .store(&store)
        .set("REGISTRY_STORAGE_CACHE_RESERVE", "0");
    let mut cache = cache.start().await;
    pull(&cache, REPOSITORY, "v1", &image).await;
    for (seed, stop) in [(8, MIB), (9, 0)] {
        let (blob, gate) = (Item::random(seed, 6 * MIB), Gate::new());
        upstream.hold_blob(&blob, REPOSITORY);
        let path = blob_path(REPOSITORY, &blob.digest);
        let stopping = upstream.on("GET", &path, Answer::held().stops_at(stop, &gate));
        let opened = get(&path).open(&cache.host()).await.unwrap();
        gate.wait_reached(1, SOON).await;
        let filler = disk.fill(0);
        stopping.remove();
        gate.open();
        let answer = opened.finish().await;
        // Once its head has left, an answer can only be cut; or it was passed through after all.
        assert!(
            answer.ended == Ended::Short || answer.body == blob.bytes,
            "{:?}",
            answer.ended
        );
        assert!(!holds(&cache, &blob.digest));
        is_well(&cache).await;
        pull(&cache, REPOSITORY, "v1", &image).await;
        assert_passes_through(&cache, &upstream, &blob).await;
        let part = Item::random(seed + 100, 1000);
        upstream.hold_blob(&part, REPOSITORY);
        assert_blob(
            &get(&blob_path(REPOSITORY, &part.digest))
                .send(&cache.host())
                .await,
            &part,
        );
        fs::remove_file(filler).unwrap();
        no_leftovers(&cache).await;
        assert_blob(&get(&path).send(&cache.host()).await, &blob);
        kept(&cache, &blob.digest).await;
        fs::remove_file(store.blob_file(&blob.digest)).unwrap();
    }
    cache.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_on_a_full_disk_starts_serves_what_it_holds_and_passes_the_rest_through() {
    let store = Store::new();
    let name = "a_cache_on_a_full_disk_starts_serves_what_it_holds_and_passes_the_rest_through";
    let Some(disk) = SmallDisk::below(&store, 16, name).await else {
        return;
    };
    let (held, other) = (
        image().random_layers(10, 2, MIB),
        image().random_layers(11, 2, MIB),
    );
    let (held, other) = (held.build(), other.build());
    let upstream = upstream_with(&held).await;
    upstream.hold(&other, "team/other", &["v2"]);
    let cache = |reserve: &str| {
        let cache = mirror_of(&upstream.url()).store(&store);
        cache.set("REGISTRY_STORAGE_CACHE_RESERVE", reserve)
    };
    let mut with_room = cache("0").start().await;
    pull_and_keep(&with_room, REPOSITORY, "v1", &held).await;
    with_room.stop().await;
    disk.fill(0);
    for reserve in ["0", "256MiB"] {
        let mut cache = cache(reserve).start().await;
        pull(&cache, REPOSITORY, "v1", &held).await;
        is_well(&cache).await;
        pull(&cache, "team/other", "v2", &other).await;
        upstream.stop().await;
        pull(&cache, REPOSITORY, "v1", &held).await;
        let uncached = blob_path("team/other", &other.largest_blob().digest);
        assert_eq!(get(&uncached).send(&cache.host()).await.status, 503);
        upstream.start_again().await;
        cache.stop().await;
    }
    assert!(Path::new(&store.blob_file(&held.largest_blob().digest)).is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_does_not_fit_is_refused_given_up_and_in_nobodys_way() {
    let store = Store::new();
    let name = "a_push_that_does_not_fit_is_refused_given_up_and_in_nobodys_way";
    let Some(disk) = SmallDisk::below(&store, 16, name).await else {
        return;
    };
    let registry = hosted()
        .store(&store)
        .set("REGISTRY_STORAGE_CACHE_RESERVE", "4MiB");
    let registry = registry.start().await;
    let pusher = Pusher::to(&registry.host());
    let refused = pusher.blob("app", &Item::random(20, 14 * MIB)).await;
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert!(
        refused.text().contains("storage.cache.reserve"),
        "{}",
        refused.text()
    );
    is_well(&registry).await;
    let fits = pusher.blob("app", &Item::random(21, 4 * MIB)).await;
    assert_eq!(fits.status, 201, "{}", fits.text());
    assert_eq!(uploads_under_way(&store), 0);

    let upload = location(&pusher.begin("app").await);
    let filler = disk.fill(MIB as u64);
    let late = Item::random(22, 1000);
    let last = with_query(&upload, "digest", &late.digest);
    let call = pusher.call("PUT", &last).body(late.bytes.clone());
    let refused = call.send(pusher.host()).await;
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert_eq!(uploads_under_way(&store), 0);
    fs::remove_file(filler).unwrap();
    let fits = pusher.blob("app", &late).await;
    assert_eq!(fits.status, 201, "{}", fits.text());
}

fn uploads_under_way(store: &Store) -> usize {
    let folder = store.path().join("cistern/uploads");
    fs::read_dir(folder).unwrap().count()
}
