//! Clients newer than those at hand, and lazy pullers that need a kernel's help: what they send, replayed by script, in the
//! order and with the headers that they use, and judged by what each of them insists on.

mod docker_29;
mod lazy_pullers;

use cistern_tests::caller::{Answered, Call, get};
use cistern_tests::cistern::mirror_of;
use cistern_tests::images::{Image, Item, image, index, referring_artifact};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::ScriptedUpstream;

use crate::common::{
    MIB, REPOSITORY, SOON, assert_blob, assert_manifest, assert_part, blob_path, manifest_path,
};

const TAG: &str = "v1";

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

/// What clients of containerd's library accept of a manifest.
const TYPES: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

/// The path as a client asks for it that was sent here by a mirror setting.
fn by_mirror(path: &str) -> String {
    format!("{path}?ns=registry.example.com")
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
