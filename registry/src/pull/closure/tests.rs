use bytes::Bytes;
use cistern_oci::{Algorithm, Manifest};
use cistern_storage::{Options, Reserve, Storage};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use super::*;
use crate::pull::PullOptions;
use crate::repositories::Hosted;

/// A store with a repository, and the pull room over it.
struct Place {
    pull: Pull,
    storage: Storage,
    repository: Repository,
    _root: TempDir,
}

impl Place {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let options = Options {
            reserve: Reserve::Bytes(0),
            ..Options::new(root.path())
        };
        let storage = Storage::open(options).await.unwrap();
        Self {
            pull: Pull::new(PullOptions::of_tests(&storage, &TaskTracker::new())),
            storage,
            repository: Repository::Hosted(Hosted {
                name: "team/app".parse().unwrap(),
            }),
            _root: root,
        }
    }

    async fn put(&self, text: &str) -> Digest {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let manifest = Manifest::by_tag(None, None, bytes);
        let repositories = self.storage.repositories();
        let name = self.repository.name();
        repositories.put_manifest(name, &manifest).await.unwrap();
        manifest.digest
    }

    async fn put_blob(&self, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let blobs = self.storage.blobs();
        blobs.put(&digest(text), bytes).await.unwrap();
    }

    async fn closure(&self, root: Digest, platforms: &str) -> Closure {
        let platforms = match platforms {
            "" => Platforms::All,
            text => Platforms::These(text.split(' ').map(|one| one.parse().unwrap()).collect()),
        };
        let found = self.pull.closure(&self.repository, &root, &platforms);
        found.await.unwrap()
    }
}

fn digest(text: &str) -> Digest {
    Digest::of(Algorithm::Sha256, text.as_bytes())
}

fn blob(text: &str, more: &str) -> String {
    let (digest, size) = (digest(text), text.len());
    format!(r#"{{"digest": "{digest}", "size": {size}{more}}}"#)
}

fn image(config: &str, layers: &[&str]) -> String {
    let layers: Vec<_> = layers.iter().map(|layer| blob(layer, "")).collect();
    format!(
        r#"{{"schemaVersion": 2, "config": {}, "layers": [{}]}}"#,
        blob(config, ""),
        layers.join(",")
    )
}

fn child(text: &str, platform: &str) -> String {
    let (os, architecture) = platform.split_once('/').unwrap();
    let more = format!(r#", "platform": {{"os": "{os}", "architecture": "{architecture}"}}"#);
    blob(text, &more)
}

fn attestation(text: &str, of: &str) -> String {
    let more = format!(
        r#", "platform": {{"os": "unknown", "architecture": "unknown"}}, "annotations":
            {{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": "{}"}}"#,
        digest(of)
    );
    blob(text, &more)
}

fn index(children: &[String]) -> String {
    let children = children.join(",");
    format!(r#"{{"schemaVersion": 2, "manifests": [{children}]}}"#)
}

fn length(texts: &[&str]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum()
}

#[tokio::test]
async fn an_image_is_ready_when_its_last_layer_came_and_until_then_its_missing_bytes_are_exact() {
    let place = Place::new().await;
    let text = image("config", &["one", "layer two", "one"]);
    let before = place.closure(digest(&text), "linux/arm64").await;
    assert_eq!(
        (before.is_complete(), before.missing_bytes()),
        (false, None)
    );
    assert_eq!(before.missing_manifests().count(), 1);

    let root = place.put(&text).await;
    let known = place.closure(root, "linux/arm64").await;
    assert_eq!(
        known.missing_bytes(),
        Some(length(&["config", "one", "layer two"]))
    );
    assert_eq!(
        known.total_bytes(),
        Some(length(&[&text, "config", "one", "layer two"]))
    );
    place.put_blob("config").await;
    place.put_blob("layer two").await;
    let nearly = place.closure(root, "linux/arm64").await;
    assert_eq!(
        (nearly.is_complete(), nearly.missing_bytes()),
        (false, Some(3))
    );
    place.put_blob("one").await;
    let whole = place.closure(root, "linux/arm64").await;
    assert_eq!(
        (whole.is_complete(), whole.missing_bytes()),
        (true, Some(0))
    );
}

#[tokio::test]
async fn of_a_list_only_what_the_wanted_platform_needs_is_missing_and_shared_layers_count_once() {
    let place = Place::new().await;
    let (arm, amd) = (image("arm", &["base", "a"]), image("amd", &["base", "bb"]));
    let text = index(&[child(&arm, "linux/arm64"), child(&amd, "linux/amd64")]);
    let root = place.put(&text).await;
    assert_eq!(
        place.closure(root, "linux/arm64").await.missing_bytes(),
        None
    );
    place.put(&arm).await;
    let one = place.closure(root, "linux/arm64").await;
    assert_eq!(one.missing_bytes(), Some(length(&["arm", "base", "a"])));
    assert_eq!(
        (one.is_index, one.manifests.len(), one.images().count()),
        (true, 2, 1)
    );
    assert_eq!(place.closure(root, "").await.missing_bytes(), None);
    place.put(&amd).await;
    let both = place.closure(root, "linux/arm64 linux/amd64").await;
    assert_eq!(
        both.missing_bytes(),
        Some(length(&["arm", "amd", "base", "a", "bb"]))
    );
}

#[tokio::test]
async fn an_image_without_the_wanted_platform_is_never_ready() {
    let place = Place::new().await;
    let root = place.put(&index(&[child("x", "linux/amd64")])).await;
    let closure = place.closure(root, "linux/s390x").await;
    assert!(!closure.is_complete());
    assert_eq!(closure.absent[0].to_string(), "linux/s390x");
}

#[tokio::test]
async fn an_attestation_is_counted_with_its_image_and_not_waited_for() {
    let place = Place::new().await;
    let arm = image("arm", &[]);
    let children = [
        child(&arm, "linux/arm64"),
        attestation("its attestation", &arm),
        attestation("another's", "another"),
    ];
    let root = place.put(&index(&children)).await;
    place.put(&arm).await;
    place.put_blob("arm").await;
    let closure = place.closure(root, "linux/arm64").await;
    assert!(closure.is_complete());
    let attestations: Vec<_> = closure
        .manifests
        .iter()
        .filter(|it| it.is_attestation())
        .collect();
    assert_eq!(attestations.len(), 1);
    assert_eq!(attestations[0].digest, digest("its attestation"));
    let all = place.closure(root, "").await;
    assert_eq!(all.manifests.len(), 4);
}

#[tokio::test]
async fn a_layer_that_is_fetched_elsewhere_is_named_and_not_missing() {
    let place = Place::new().await;
    let foreign = r#", "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip""#;
    let layers = [
        blob(
            "windows",
            &format!(r#"{foreign}, "urls": ["https://a.example/x"]"#),
        ),
        blob("homeless", foreign),
    ];
    let root = place
        .put(&format!(
            r#"{{"schemaVersion": 2, "layers": [{}]}}"#,
            layers.join(",")
        ))
        .await;
    let closure = place.closure(root, "").await;
    assert_eq!(closure.missing_bytes(), Some(length(&["homeless"])));
    assert!(closure.manifests[0].blobs[0].is_foreign);
    assert_eq!(closure.manifests[0].blobs[0].digest, digest("windows"));
}

#[tokio::test]
async fn a_signature_that_is_known_counts_with_its_blobs() {
    let place = Place::new().await;
    let text = image("config", &[]);
    let root = place.put(&text).await;
    place.put_blob("config").await;
    assert!(place.closure(root, "").await.is_complete());
    place
        .put(&format!(
            r#"{{"schemaVersion": 2, "config": {}, "layers": [{}], "subject": {}}}"#,
            blob("{}", ""),
            blob("signature", ""),
            blob(&text, "")
        ))
        .await;
    let signed = place.closure(root, "").await;
    assert_eq!(signed.missing_bytes(), Some(length(&["{}", "signature"])));
    assert_eq!(signed.manifests[1].role, ManifestRole::Referrer);
}

#[tokio::test]
async fn lists_in_lists_are_followed_and_deeper_ones_than_anybody_builds_never_count_as_ready() {
    let place = Place::new().await;
    let list = r#", "mediaType": "application/vnd.oci.image.index.v1+json""#;
    let mut text = image("config", &[]);
    place.put(&text).await;
    place.put_blob("config").await;
    let mut complete = Vec::new();
    for depth in 0..6 {
        let more = if depth == 0 { "" } else { list };
        text = index(&[blob(&text, more)]);
        let root = place.put(&text).await;
        complete.push(place.closure(root, "linux/arm64").await.is_complete());
    }
    assert_eq!(complete, [true, true, true, false, false, false]);
}

#[tokio::test]
async fn what_is_no_manifest_or_names_itself_ends_the_way() {
    let place = Place::new().await;
    let root = place
        .put(r#"{"layers": [1], "config": {}, "manifests": [2]}"#)
        .await;
    let broken = place.closure(root, "").await;
    assert!(broken.manifests[0].is_broken && broken.manifests[0].is_here);
    // Two entries with one digest.
    let root = place.put(&index(&[blob("x", ""), blob("x", "")])).await;
    assert_eq!(place.closure(root, "").await.manifests.len(), 2);
}

#[tokio::test]
async fn a_list_of_ten_thousand_is_looked_at_in_bounds_and_others_have_their_turn() {
    let place = Place::new().await;
    let children: Vec<_> = (0..10_000)
        .map(|number: u32| blob(&number.to_string(), ""))
        .collect();
    let root = place.put(&index(&children)).await;
    let walk = place.closure(root, "");
    let mut turns = 0;
    let counting = async {
        loop {
            turns += 1;
            tokio::task::yield_now().await;
        }
    };
    let closure = tokio::select! {
        closure = walk => closure,
        () = counting => unreachable!(),
    };
    assert!(closure.is_cut && !closure.is_complete());
    assert_eq!(
        (closure.manifests.len(), closure.missing_bytes()),
        (4096, None)
    );
    assert!(turns > 20, "{turns}");
}
