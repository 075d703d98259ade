//! docker 29, whose image store is containerd's, and containerd 2.3.

use std::time::Duration;

use cistern_tests::caller::{Call, get, head};
use cistern_tests::images::Item;
use cistern_tests::scripted_upstream::{Answer, Gate};
use tokio::task::JoinSet;

use super::{Scene, TAG, TYPES, by_mirror};
use crate::common::{
    MIB, REPOSITORY, SOON, assert_manifest, blob_path, kept, manifest_path, whole_gets,
};

/// What a containerd of 2.3 reads of each open-ended range before it closes.
const SHARE: usize = MIB;
/// "Quickly", for an answer that needs nobody else: far less than any timeout.
const AT_ONCE: Duration = Duration::from_secs(2);

fn as_containerd(call: Call, accept: &str) -> Call {
    call.header("User-Agent", "containerd/v2.3.0")
        .header("Accept", accept)
}

/// Resolves the tag, as every client of containerd's library does: the answer has to have a digest and a length.
pub(super) async fn resolve(scene: &Scene) {
    let path = by_mirror(&manifest_path(REPOSITORY, TAG));
    let told = scene.send(as_containerd(head(&path), TYPES)).await;
    let top = scene.image.top();
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(
        told.header("Docker-Content-Digest"),
        Some(top.digest.as_str())
    );
    assert_eq!(
        told.header("Content-Length"),
        Some(top.bytes.len().to_string().as_str())
    );
    assert_eq!(told.header("Content-Type"), Some(top.media_type.as_str()));
    assert_eq!(told.header("OCI-Namespace"), Some("registry.example.com"));
}

async fn fetch_manifest(scene: &Scene, manifest: &Item) {
    let path = by_mirror(&manifest_path(REPOSITORY, &manifest.digest));
    let accept = format!("{}, */*", manifest.media_type);
    let call = as_containerd(get(&path), &accept)
        .header("Accept-Encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5");
    assert_manifest(&scene.send(call).await, manifest);
}

fn blob_call(blob: &Item, range: &str) -> Call {
    let path = by_mirror(&blob_path(REPOSITORY, &blob.digest));
    as_containerd(get(&path), &format!("{}, */*", blob.media_type))
        .header("Accept-Encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5")
        .range(range)
}

/// The first range asks from 0; when it is answered by 206 every further share is asked for by a range without an end, all at
/// once, and each connection is closed when its share has come.
async fn fetch_in_shares(scene: &Scene, blob: &Item) {
    let size = blob.bytes.len();
    let mut shares = JoinSet::new();
    for first in (0..size).step_by(SHARE) {
        let (call, host, blob) = (
            blob_call(blob, &format!("bytes={first}-")),
            scene.cache.host(),
            blob.clone(),
        );
        shares.spawn(async move {
            let mut opened = call.open(&host).await.unwrap();
            assert!(opened.head_after < Duration::from_secs(30));
            assert_eq!(opened.status, 206);
            let place = format!("bytes {first}-{}/{size}", size - 1);
            assert_eq!(opened.header("Content-Range"), Some(place.as_str()));
            assert_eq!(opened.header("Content-Encoding"), None);
            let wanted = SHARE.min(size - first);
            let share = opened.read(wanted).await;
            assert!(
                share[..wanted] == blob.bytes[first..first + wanted],
                "other bytes at {first}"
            );
        });
    }
    tokio::time::timeout(SOON, shares.join_all()).await.unwrap();
}

/// Signatures of an attestation: the referrers API, then the fallback tag. Only "there is none" lets the pull go on.
async fn look_for_signatures(scene: &Scene) -> Duration {
    let (_, attestation) = scene.platform();
    let path = by_mirror(&format!(
        "/v2/{REPOSITORY}/referrers/{}",
        attestation.digest
    ));
    let answer = scene
        .send(as_containerd(
            get(&path),
            "application/vnd.oci.image.index.v1+json",
        ))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let index = "application/vnd.oci.image.index.v1+json";
    assert_eq!(answer.header("Content-Type"), Some(index));
    assert_eq!(answer.json()["manifests"].as_array().map(Vec::len), Some(0));
    let waited = answer.whole_after;

    let path = by_mirror(&manifest_path(
        REPOSITORY,
        &attestation.digest.replace(':', "-"),
    ));
    let answer = scene
        .send(as_containerd(
            get(&path),
            "application/vnd.oci.image.index.v1+json",
        ))
        .await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (404, "MANIFEST_UNKNOWN"),
        "{}",
        answer.text()
    );
    waited + answer.whole_after
}

/// A whole pull of this machine's image.
async fn pull_as_docker_29(scene: &Scene) {
    resolve(scene).await;
    let (platform, attestation) = scene.platform();
    for manifest in [scene.image.top(), platform, attestation] {
        fetch_manifest(scene, manifest).await;
    }
    look_for_signatures(scene).await;
    for blob in scene.platform_blobs() {
        fetch_in_shares(scene, blob).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_29_and_containerd_2_3_pull_an_attested_image_and_the_uplink_carries_it_once() {
    let scene = Scene::new().await;
    pull_as_docker_29(&scene).await;
    for blob in scene.platform_blobs() {
        kept(&scene.cache, &blob.digest).await;
        let path = blob_path(REPOSITORY, &blob.digest);
        assert_eq!(
            scene.upstream.count("*", &path),
            1,
            "no range and no second time"
        );
        assert_eq!(whole_gets(&scene.upstream, &path), 1);
    }
    scene.upstream.forget_requests();
    pull_as_docker_29(&scene).await;
    assert_eq!(
        scene.upstream.requests().len(),
        0,
        "{:?}",
        scene.upstream.requests()
    );
    assert_eq!(
        scene.upstream.count("*", "/v2/*?*"),
        0,
        "ns is between a client and its mirror"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_29_pulls_an_attested_image_also_from_a_cache_that_was_started_without_its_upstream()
{
    let mut scene = Scene::new().await;
    pull_as_docker_29(&scene).await;
    for blob in scene.platform_blobs() {
        kept(&scene.cache, &blob.digest).await;
    }
    scene.upstream.stop().await;
    scene.cache.restart().await;
    pull_as_docker_29(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_long_for_a_signature_when_the_upstream_is_silent() {
    let mut scene = Scene::new().await;
    pull_as_docker_29(&scene).await;
    scene.cache.restart().await;
    scene.upstream.black_hole(true);
    let waited = look_for_signatures(&scene).await;
    assert!(waited < Duration::from_secs(12), "{waited:?}");
    let waited = look_for_signatures(&scene).await;
    assert!(waited < AT_ONCE, "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_an_image_has_no_signature_is_remembered_but_not_that_a_strange_one_has_none() {
    let scene = Scene::new().await;
    pull_as_docker_29(&scene).await;
    let (_, attestation) = scene.platform();
    let tag = attestation.digest.replace(':', "-");
    tokio::time::sleep(Duration::from_secs(11)).await;
    scene.upstream.forget_requests();
    look_for_signatures(&scene).await;
    assert_eq!(
        scene.upstream.count("*", &manifest_path(REPOSITORY, &tag)),
        0
    );

    // Nothing of this digest is held, so the cache cannot say that nothing is attached to it.
    scene.upstream.stop().await;
    let stranger = Item::random(99, 10).digest.replace(':', "-");
    let answer = scene.send(get(&manifest_path(REPOSITORY, &stranger))).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_after_their_share_end_no_download() {
    let scene = Scene::new().await;
    resolve(&scene).await;
    let layer = scene.image.largest_blob();
    let (path, gate) = (blob_path(REPOSITORY, &layer.digest), Gate::new());
    scene
        .upstream
        .on("GET", &path, Answer::held().stops_at(3 * MIB / 2, &gate));
    let mut opened = blob_call(layer, "bytes=0-")
        .open(&scene.cache.host())
        .await
        .unwrap();
    let share = opened.read(SHARE).await;
    assert!(share[..SHARE] == layer.bytes[..SHARE]);
    drop(opened);
    gate.open();
    kept(&scene.cache, &layer.digest).await;
    scene.upstream.stop().await;
    fetch_in_shares(&scene, layer).await;
}
