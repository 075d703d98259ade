//! Clients newer than those at hand, and lazy pullers that need a kernel's help: what they send, replayed by script, in the
//! order and with the headers that they use, and judged by what each of them insists on.

use std::time::Duration;

use cistern_tests::caller::{Answered, Call, get, head};
use cistern_tests::cistern::mirror_of;
use cistern_tests::images::{Image, Item, image, index, referring_artifact};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, ScriptedUpstream};
use tokio::task::JoinSet;

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, assert_manifest, assert_part, blob_path, kept,
    manifest_path, whole_gets,
};

const TAG: &str = "v1";
/// What a containerd of 2.3 reads of each open-ended range before it closes.
const SHARE: usize = MIB;
/// "Quickly", for an answer that needs nobody else: far less than any timeout.
const AT_ONCE: Duration = Duration::from_secs(2);

/// An upstream, a cache in front of it, and an image as BuildKit makes it: two platforms and an attestation.
struct Scene {
    upstream: ScriptedUpstream,
    cache: Registry,
    image: Image,
}

/// An index over an image for this machine, one for another, and an attestation of the first.
fn attested() -> Image {
    let here = image().random_layers(1, 2, 5 * MIB / 2);
    let whole = index(&[
        here.clone(),
        image().platform("s390x", None).random_layers(7, 1, 1000),
    ]);
    let about = here.build();
    let attestation = referring_artifact("application/vnd.in-toto+json", "{}", about.top());
    let mut top: serde_json::Value = serde_json::from_slice(&whole.top().bytes).unwrap();
    let mut descriptor = attestation.top().descriptor();
    descriptor["platform"] = serde_json::json!({ "architecture": "unknown", "os": "unknown" });
    descriptor["annotations"] = serde_json::json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": about.digest(),
    });
    top["manifests"].as_array_mut().unwrap().push(descriptor);
    let top = Item::new(&whole.top().media_type, top.to_string());
    let mut manifests = whole.manifests[..2].to_vec();
    manifests.extend(attestation.manifests);
    manifests.push(top);
    let mut blobs = whole.blobs;
    blobs.extend(attestation.blobs);
    Image { manifests, blobs }
}

impl Scene {
    async fn new() -> Self {
        let (upstream, image) = (ScriptedUpstream::start().await, attested());
        upstream.hold(&image, REPOSITORY, &[TAG]);
        let cache = mirror_of(&upstream.url());
        let cache = cache.set("REGISTRY_PROXY_ALIASES", "registry.example.com");
        Self {
            cache: cache.start().await,
            upstream,
            image,
        }
    }

    async fn send(&self, call: Call) -> Answered {
        tokio::time::timeout(SOON, call.send(&self.cache.host()))
            .await
            .unwrap()
    }

    /// The image for this machine: config and layers.
    fn platform_blobs(&self) -> &[Item] {
        &self.image.blobs[..3]
    }

    /// The manifest for this machine, and the attestation of it.
    fn platform(&self) -> (&Item, &Item) {
        (&self.image.manifests[0], &self.image.manifests[2])
    }
}

// === docker 29 and containerd 2.3 ===

const TYPES: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

fn as_containerd(call: Call, accept: &str) -> Call {
    call.header("User-Agent", "containerd/v2.3.0")
        .header("Accept", accept)
}

fn by_mirror(path: &str) -> String {
    format!("{path}?ns=registry.example.com")
}

/// Resolves the tag, as every client of containerd's library does: the answer has to have a digest and a length.
async fn resolve(scene: &Scene) {
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
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    // A client of oras takes the word for an unknown name for the end of its search.
    assert_ne!(answer.error_code(), "NAME_UNKNOWN");
    assert!(answer.whole_after < AT_ONCE, "{:?}", answer.whole_after);

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
    answer.whole_after
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

// === lazy pullers ===

fn as_stargz(blob: &Item, range: &str) -> Call {
    get(&by_mirror(&blob_path(REPOSITORY, &blob.digest)))
        .header("User-Agent", "containerd-stargz-grpc")
        .header("Accept-Encoding", "identity")
        .range(range)
}

/// stargz and SOCI: two bytes to learn where the blob is, a HEAD for its size, the footer, then regions, several in a request
/// until a 400 teaches them that they have to be asked for one by one.
async fn read_lazily(scene: &Scene, layer: &Item) {
    let size = layer.bytes.len();
    let first = scene.send(as_stargz(layer, "bytes=0-1")).await;
    assert_part(&first, layer, 0, 1);
    let told = scene
        .send(head(&by_mirror(&blob_path(REPOSITORY, &layer.digest))))
        .await;
    assert_eq!(
        told.header("Content-Length"),
        Some(size.to_string().as_str())
    );
    assert_eq!(told.header("Accept-Ranges"), Some("bytes"));
    assert_part(
        &scene.send(as_stargz(layer, "bytes=-51")).await,
        layer,
        size - 51,
        size - 1,
    );
    let several = scene
        .send(as_stargz(layer, "bytes=0-49999,100000-149999"))
        .await;
    assert_eq!(several.status, 400, "{several:?}");
    for first in [0, 100_000, 250_000, size - 50_000] {
        let last = (first + 49_999).min(size - 1);
        let part = scene
            .send(as_stargz(layer, &format!("bytes={first}-{last}")))
            .await;
        assert_part(&part, layer, first, last);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lazy_pullers_read_a_layer_by_parts_cold_and_warm_and_without_the_upstream() {
    let scene = Scene::new().await;
    resolve(&scene).await;
    let layer = scene.image.largest_blob();
    let path = blob_path(REPOSITORY, &layer.digest);
    read_lazily(&scene, layer).await;
    kept(&scene.cache, &layer.digest).await;
    assert_eq!(whole_gets(&scene.upstream, &path), 1);
    scene.upstream.stop().await;
    read_lazily(&scene, layer).await;
}

// === regclient ===

/// regclient names the host that it would have dialled, not the one in the image's name.
#[tokio::test(flavor = "multi_thread")]
async fn regclient_may_name_the_upstream_by_its_address_by_an_alias_or_by_our_own_name() {
    let scene = Scene::new().await;
    let (host, own) = (scene.upstream.host(), scene.cache.host());
    let names = [
        host.as_str(),
        &own,
        "registry.example.com",
        "Registry.Example.Com",
    ];
    for namespace in names {
        let path = format!("{}?ns={namespace}", manifest_path(REPOSITORY, TAG));
        let call = get(&path)
            .header("Accept", TYPES)
            .header("User-Agent", "regclient/regctl (v0.11.1)");
        let answer = scene.send(call).await;
        assert_manifest(&answer, scene.image.top());
        assert_eq!(answer.header("OCI-Namespace"), Some(namespace));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_not_mirrored_here_is_unknown_and_nobody_is_dialled() {
    let scene = Scene::new().await;
    let stranger = ScriptedUpstream::start().await;
    let host = scene.upstream.host();
    // On the scheme's own port there would be another registry.
    let (without_port, _) = host.split_once(':').unwrap();
    for namespace in [
        stranger.host().as_str(),
        without_port,
        "docker.io",
        "registry-1.docker.io",
        "",
    ] {
        for path in [
            manifest_path(REPOSITORY, TAG),
            blob_path(REPOSITORY, &scene.image.blobs[0].digest),
        ] {
            let answer = scene.send(get(&format!("{path}?ns={namespace}"))).await;
            assert_eq!(
                (answer.status, answer.error_code().as_str()),
                (404, "NAME_UNKNOWN"),
                "{}",
                answer.text()
            );
        }
    }
    assert_eq!(stranger.connections() + scene.upstream.connections(), 0);
}

// === podman, skopeo, buildah, CRI-O ===

fn as_containers_image(call: Call) -> Call {
    let types = [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.index.v1+json",
    ];
    let call = call
        .header(
            "User-Agent",
            "containers/5.36.1 (github.com/containers/image)",
        )
        .header("Docker-Distribution-API-Version", "registry/2.0");
    types
        .iter()
        .fold(call, |call, accept| call.header("Accept", accept))
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_image_pulls_by_one_get_of_the_tag_and_goes_on_where_a_body_broke() {
    let scene = Scene::new().await;
    let ping = scene.send(as_containers_image(get("/v2/"))).await;
    assert_eq!(
        (ping.status, ping.header("X-Registry-Supports-Signatures")),
        (200, None)
    );
    let by_tag = scene
        .send(as_containers_image(get(&manifest_path(REPOSITORY, TAG))))
        .await;
    assert_manifest(&by_tag, scene.image.top());
    let (platform, _) = scene.platform();
    let path = manifest_path(REPOSITORY, &platform.digest);
    assert_manifest(&scene.send(as_containers_image(get(&path))).await, platform);
    let signature = format!("{}.sig", platform.digest.replace(':', "-"));
    let answer = scene
        .send(as_containers_image(get(&manifest_path(
            REPOSITORY, &signature,
        ))))
        .await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (404, "MANIFEST_UNKNOWN")
    );
    for blob in scene.platform_blobs() {
        let path = blob_path(REPOSITORY, &blob.digest);
        assert_blob(
            &scene
                .send(get(&path).header("Accept-Encoding", "gzip"))
                .await,
            blob,
        );
        let have = blob.bytes.len() / 3;
        let rest = scene
            .send(get(&path).range(&format!("bytes={have}-")))
            .await;
        assert_part(&rest, blob, have, blob.bytes.len() - 1);
        assert_eq!(scene.upstream.count("GET", &path), 1);
    }
    assert_eq!(scene.upstream.count("HEAD", "/v2/*/blobs/*"), 0);
}
