//! What is wanted ahead is here before anybody asks: from settings, deployment manifests and an artifact, at its time, behind callers.

use std::time::{Duration, SystemTime};

use cistern_tests::caller::get;
use cistern_tests::eventually;
use cistern_tests::images::{Image, artifact, image, index, referring_artifact, this_architecture};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, ScriptedUpstream};

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, blob_path, holds, kept, manifest_path, pull,
    pull_by_digest, whole_gets,
};
use crate::scene::cache_of;

/// Metrics on the main address.
const SEEN: (&str, &str) = ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true");

/// An image of two layers, under this tag of the usual repository.
fn hold(upstream: &ScriptedUpstream, seed: u64, tag: &str) -> Image {
    let image = image().random_layers(seed, 2, 20_000).build();
    upstream.hold(&image, REPOSITORY, &[tag]);
    image
}

/// A metric's value, 0 if it is not told.
pub(crate) async fn metric(cache: &Registry, name: &str) -> u64 {
    let page = get("/metrics").send(&cache.host()).await.text();
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |value| value.trim().parse().unwrap())
}

/// Waits until so many images are ready.
pub(crate) async fn ready(cache: &Registry, count: u64) {
    eventually("having the images", SOON, || async {
        metric(cache, "cistern_warm_images{state=\"ready\"}").await == count
    })
    .await;
}

/// A deployment manifest whose modules run these images.
fn deployment(images: &[&str]) -> String {
    let modules: Vec<String> = images
        .iter()
        .enumerate()
        .map(|(number, image)| {
            format!(
                r#""m{number}": {{"type": "docker", "status": "running", "restartPolicy": "always", "settings": {{"image": "{image}"}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"modulesContent": {{"$edgeAgent": {{"properties.desired": {{"schemaVersion": "1.1",
        "runtime": {{"type": "docker", "settings": {{}}}}, "systemModules": {{}}, "modules": {{{}}}}}}}}}}}"#,
        modules.join(",")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_are_named_are_fetched_before_anybody_asks_and_served_without_the_upstream() {
    let upstream = ScriptedUpstream::start().await;
    let (one, two) = (hold(&upstream, 1, "v1"), hold(&upstream, 2, "v2"));
    let images = "$upstream:443/team/app:v1, team/app:v2, elsewhere.example/x:1";
    let cache = cache_of(&upstream, &[SEEN, ("WARM_IMAGES", images)])
        .start()
        .await;
    ready(&cache, 2).await;
    assert_eq!(
        metric(&cache, "cistern_warm_images{state=\"not_mirrored\"}").await,
        1
    );
    assert_eq!(metric(&cache, "cistern_pinned_images").await, 2);
    let warm = metric(&cache, "cistern_link_bytes_total{priority=\"warm\"}").await;
    assert!(warm > 60_000, "{warm} bytes came at low priority");
    upstream.stop().await;
    pull(&cache, REPOSITORY, "v1", &one).await;
    pull(&cache, REPOSITORY, "v2", &two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_index_only_the_platforms_that_are_wanted_are_fetched_and_one_that_lacks_is_named() {
    let upstream = ScriptedUpstream::start().await;
    let other = if this_architecture() == "s390x" {
        "riscv64"
    } else {
        "s390x"
    };
    let own = image().random_layers(1, 1, 20_000);
    let foreign = image().platform(other, None).random_layers(2, 1, 20_000);
    let both = index(&[own.clone(), foreign.clone()]);
    upstream.hold(&both, REPOSITORY, &["both"]);
    upstream.hold(
        &index(std::slice::from_ref(&foreign)),
        REPOSITORY,
        &["foreign"],
    );
    let images = "team/app:both,team/app:foreign";
    let cache = cache_of(&upstream, &[SEEN, ("WARM_IMAGES", images)])
        .start()
        .await;
    ready(&cache, 1).await;
    cache
        .logs(&format!(
            "it has no image for linux/{}",
            this_architecture()
        ))
        .await;
    assert!(holds(&cache, &own.build().largest_blob().digest));
    assert!(!holds(&cache, &foreign.build().largest_blob().digest));
    let settings = [SEEN, ("WARM_IMAGES", images), ("WARM_PLATFORMS", "all")];
    let all = cache_of(&upstream, &settings).start().await;
    ready(&all, 2).await;
    assert!(holds(&all, &foreign.build().largest_blob().digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_joins_what_is_fetched_ahead_costs_no_second_download() {
    let upstream = ScriptedUpstream::start().await;
    let image = image().random_layers(1, 1, MIB).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let (layer, gate) = (image.largest_blob(), Gate::new());
    let path = blob_path(REPOSITORY, &layer.digest);
    upstream.on("GET", &path, Answer::held().stops_at(MIB / 2, &gate));
    let cache = cache_of(&upstream, &[SEEN, ("WARM_IMAGES", "team/app:v1")])
        .start()
        .await;
    gate.wait_reached(1, SOON).await;
    let mut opened = get(&path).open(&cache.host()).await.unwrap();
    let start = opened.read(MIB / 4).await.to_vec();
    assert!(layer.bytes.starts_with(&start));
    gate.open();
    ready(&cache, 1).await;
    assert_blob(&get(&path).send(&cache.host()).await, layer);
    assert_eq!(whole_gets(&upstream, &path), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_the_windows_nothing_is_fetched_but_what_devices_need_to_start() {
    let upstream = ScriptedUpstream::start().await;
    let (needed, nice) = (hold(&upstream, 1, "needed"), hold(&upstream, 2, "nice"));
    // A window that begins twelve hours from now.
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let hour = (now.as_secs() / 3600 + 12) % 24;
    let window = format!("{hour:02}:00-{hour:02}:59");
    let settings = [
        SEEN,
        ("EDGE_BOOTSTRAP", "team/app:needed"),
        ("WARM_IMAGES", "team/app:nice"),
        ("WARM_WINDOWS", &window),
    ];
    let mut cache = cache_of(&upstream, &settings).start().await;
    ready(&cache, 1).await;
    assert!(holds(&cache, &needed.largest_blob().digest));
    assert_eq!(upstream.count("*", "/v2/team/app/manifests/nice"), 0);
    cache.set("REGISTRY_WARM_WINDOWS", "00:00-24:00");
    cache.restart().await;
    ready(&cache, 2).await;
    assert!(holds(&cache, &nice.largest_blob().digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_manifest_is_read_again_when_it_changes_and_a_broken_one_keeps_the_last_list()
{
    let upstream = ScriptedUpstream::start().await;
    let (one, two) = (hold(&upstream, 1, "v1"), hold(&upstream, 2, "v2"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deployment.json");
    std::fs::write(&file, deployment(&["$upstream:443/team/app:v1"])).unwrap();
    let settings = [SEEN, ("WARM_MANIFESTS", file.to_str().unwrap())];
    let mut cache = cache_of(&upstream, &settings).start().await;
    ready(&cache, 1).await;
    assert!(holds(&cache, &one.largest_blob().digest));
    std::fs::write(
        &file,
        deployment(&["$upstream:443/team/app:v1", "{parent}:443/team/app:v2"]),
    )
    .unwrap();
    ready(&cache, 2).await;
    assert!(holds(&cache, &two.largest_blob().digest));
    std::fs::write(&file, "{\"modulesContent\": ").unwrap();
    cache.logs("its last good state holds").await;
    assert_eq!(metric(&cache, "cistern_warm_lists_broken").await, 1);
    ready(&cache, 2).await;
    cache.restart().await;
    ready(&cache, 2).await;
    assert_eq!(metric(&cache, "cistern_warm_lists_broken").await, 1);
    std::fs::write(&file, deployment(&["$upstream:443/team/app:v1"])).unwrap();
    ready(&cache, 1).await;
    assert_eq!(metric(&cache, "cistern_warm_lists_broken").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_push_of_an_artifact_steers_what_is_fetched_and_its_last_good_state_outlives_all() {
    let upstream = ScriptedUpstream::start().await;
    let (one, two) = (hold(&upstream, 1, "v1"), hold(&upstream, 2, "v2"));
    let push = |text: &str| {
        let list = artifact("application/vnd.example.list", text.to_owned());
        upstream.hold(&list, "fleet/images", &["plant"]);
    };
    push("# plant\n$upstream:443/team/app:v1\n");
    let settings = [
        SEEN,
        ("WARM_ARTIFACT", "fleet/images:plant"),
        ("WARM_EVERY", "1s"),
        ("PROXY_CHECKEVERY", "200ms"),
    ];
    let mut cache = cache_of(&upstream, &settings).start().await;
    ready(&cache, 2).await;
    kept(&cache, &one.largest_blob().digest).await;
    push(&deployment(&[
        "$upstream:443/team/app:v1",
        "$upstream:443/team/app:v2",
    ]));
    ready(&cache, 3).await;
    kept(&cache, &two.largest_blob().digest).await;
    push("one two three");
    cache.logs("its last good state holds").await;
    assert_eq!(metric(&cache, "cistern_warm_lists_broken").await, 1);
    ready(&cache, 3).await;
    upstream.stop().await;
    cache.restart().await;
    ready(&cache, 3).await;
    pull(&cache, REPOSITORY, "v2", &two).await;
    upstream.start_again().await;
    upstream.set_tag("fleet/images", "plant", None);
    cache.logs("the upstream has no such tag any more").await;
    ready(&cache, 3).await;
    push("$upstream:443/team/app:v2\n");
    ready(&cache, 2).await;
    pull_by_digest(&cache, REPOSITORY, &two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_while_the_link_is_down_and_what_is_missing_comes_when_it_is_back() {
    let upstream = ScriptedUpstream::start().await;
    let image = hold(&upstream, 1, "v1");
    upstream.stop().await;
    let cache = cache_of(&upstream, &[SEEN, ("EDGE_BOOTSTRAP", "team/app:v1")])
        .start()
        .await;
    cache.logs("could not be fetched ahead").await;
    upstream.start_again().await;
    ready(&cache, 1).await;
    assert!(holds(&cache, &image.largest_blob().digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_the_link_down_knows_that_the_bootstrap_set_is_here() {
    let upstream = ScriptedUpstream::start().await;
    let image = hold(&upstream, 1, "v1");
    let mut cache = cache_of(&upstream, &[SEEN, ("EDGE_BOOTSTRAP", "team/app:v1")])
        .start()
        .await;
    ready(&cache, 1).await;
    upstream.stop().await;
    cache.kill();
    cache.start().await;
    // At once: it was looked at before the first answer.
    let page = get("/metrics").send(&cache.host()).await.text();
    assert!(
        page.contains("cistern_warm_images{state=\"ready\"} 1"),
        "{page}"
    );
    pull(&cache, REPOSITORY, "v1", &image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_ahead_that_was_killed_goes_on_where_it_was() {
    let upstream = ScriptedUpstream::start().await;
    let image = image().random_layers(1, 1, 9 * MIB).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let (layer, gate) = (image.largest_blob(), Gate::new());
    let path = blob_path(REPOSITORY, &layer.digest);
    let rule = upstream.on("GET", &path, Answer::held().stops_at(8 * MIB, &gate));
    let mut cache = cache_of(&upstream, &[SEEN, ("WARM_IMAGES", "team/app:v1")])
        .start()
        .await;
    gate.wait_reached(1, SOON).await;
    let partial = |cache: &Registry| {
        let files = std::fs::read_dir(cache.store().path().join("cistern/partials"));
        let parts = files.unwrap().flatten();
        parts
            .map(|file| file.metadata().unwrap().len())
            .max()
            .unwrap_or(0)
    };
    eventually("keeping what came", SOON, || async {
        partial(&cache) > 7 * MIB as u64
    })
    .await;
    cache.kill();
    rule.remove();
    upstream.forget_requests();
    gate.open();
    cache.start().await;
    ready(&cache, 1).await;
    assert_eq!(whole_gets(&upstream, &path), 0);
    assert!(upstream.count("GET", &path) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_five_hundred_images_is_no_burden() {
    let upstream = ScriptedUpstream::start().await;
    let shared = image().random_layers(1, 1, 1000).build();
    let tags: Vec<String> = (0..500).map(|number| format!("v{number}")).collect();
    let names: Vec<&str> = tags.iter().map(String::as_str).collect();
    upstream.hold(&shared, REPOSITORY, &names);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("images.txt");
    let lines: Vec<String> = tags.iter().map(|tag| format!("team/app:{tag}")).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let settings = [SEEN, ("WARM_MANIFESTS", file.to_str().unwrap())];
    let cache = cache_of(&upstream, &settings).start().await;
    ready(&cache, 500).await;
    assert_eq!(upstream.count("HEAD", "/v2/team/app/manifests/v*"), 500);
    assert_eq!(upstream.count("GET", "/v2/*/blobs/*"), shared.blobs.len());
    let grown = cache.rss() / 1024 / 1024;
    assert!(grown < 150, "{grown} MiB resident");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(upstream.count("HEAD", "/v2/team/app/manifests/v*"), 500);
    let path = manifest_path(REPOSITORY, "v499");
    assert_eq!(get(&path).send(&cache.host()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_an_image_comes_with_it() {
    let upstream = ScriptedUpstream::start().await;
    let image = hold(&upstream, 1, "v1");
    let signature = referring_artifact("application/vnd.example.sig", "signed", image.top());
    upstream.hold(&signature, REPOSITORY, &[]);
    let list = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [signature.top().descriptor()],
    });
    let path = format!("/v2/{REPOSITORY}/referrers/{}", image.digest());
    let media_type = "application/vnd.oci.image.index.v1+json";
    upstream.on(
        "GET",
        &path,
        Answer::body(200, media_type, list.to_string()),
    );
    let settings = [
        SEEN,
        ("WARM_IMAGES", "team/app:v1"),
        ("WARM_EVERY", "1s"),
        ("PROXY_CHECKEVERY", "200ms"),
    ];
    let cache = cache_of(&upstream, &settings).start().await;
    ready(&cache, 1).await;
    for item in signature.blobs.iter().chain(&signature.manifests) {
        assert!(holds(&cache, &item.digest));
    }
    // Asked once, however often the image is looked after.
    let head = manifest_path(REPOSITORY, "v1");
    upstream.wait_for("HEAD", &head, 4, SOON).await;
    assert_eq!(upstream.count("GET", &path), 1);
    upstream.stop().await;
    let asked = get(&path).send(&cache.host()).await;
    assert!(
        asked.text().contains(signature.digest()),
        "{}",
        asked.text()
    );
}
