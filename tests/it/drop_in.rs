//! Cistern takes the place of a Distribution, and gives it back: same store, same environment, same arguments, and nothing is
//! lost or fetched again on the way there or back.

mod environment;
mod hosted;
mod swap;

use std::time::Duration;

use cistern_tests::caller::get;
use cistern_tests::images::{
    Algorithm, Family, Image, Item, Layer, flat_json, image, index, odd_json,
};
use cistern_tests::registry::{Product, Registry};
use cistern_tests::scripted_upstream::ScriptedUpstream;
use cistern_tests::store::Store;
use cistern_tests::{cistern, distribution, need};

use crate::common::{REPOSITORY, assert_manifest, blob_path, kept, manifest_path, pull};

/// An image with the tag it has.
type Tagged = (&'static str, Image);

/// Images of every manifest type that Docker and OCI have, as Distribution knows them.
fn ordinary() -> Vec<Tagged> {
    let two = |family, seed| {
        index(&[
            image().family(family).random_layers(seed, 2, 30_000),
            image()
                .family(family)
                .platform("arm64", Some("v8"))
                .random_layers(seed + 1, 1, 30_000),
        ])
    };
    let single = |family, text| image().family(family).layer(Layer::text("hello", text));
    vec![
        ("oci", single(Family::Oci, "oci").build()),
        ("oci-index", two(Family::Oci, 10)),
        ("docker", single(Family::Docker, "docker").build()),
        ("docker-list", two(Family::Docker, 20)),
        ("odd", odd_json(&single(Family::Oci, "odd").build())),
    ]
}

/// What Distribution cannot read, or never has: other manifest types, other digests.
fn extraordinary() -> Vec<Tagged> {
    let plain = image().layer(Layer::text("note", "a note")).build();
    let artifact = serde_json::json!({
        "mediaType": "application/vnd.oci.artifact.manifest.v1+json",
        "artifactType": "application/vnd.example+json",
        "blobs": [plain.blobs[1].descriptor()],
    });
    let artifact = flat_json(
        &plain,
        "application/vnd.oci.artifact.manifest.v1+json",
        artifact.to_string(),
    );
    let unheard_of = flat_json(
        &plain,
        "application/vnd.example.manifest.v7+json",
        r#"{"made":"up"}"#.to_owned(),
    );
    let sha512 = image()
        .algorithm(Algorithm::Sha512)
        .random_layers(30, 2, 30_000)
        .build();
    vec![
        ("artifact", artifact),
        ("unheard-of", unheard_of),
        ("sha512", sha512),
    ]
}

/// A Cistern that has pulled all of these through from a scripted upstream.
async fn filled_cistern(images: &[&Tagged]) -> (ScriptedUpstream, Registry) {
    let upstream = ScriptedUpstream::start().await;
    let cache = cistern::mirror_of(&upstream.url()).start().await;
    for (tag, image) in images {
        upstream.hold(image, REPOSITORY, &[tag]);
        pull(&cache, REPOSITORY, tag, image).await;
        for item in image.blobs.iter().chain(&image.manifests) {
            kept(&cache, &item.digest).await;
        }
    }
    (upstream, cache)
}

/// Asserts that Distribution serves all of an image: by tag, every manifest by digest, every blob, and the tag in its list.
pub(crate) async fn assert_distribution_serves(registry: &Registry, tag: &str, image: &Image) {
    let host = registry.host();
    for reference in [tag]
        .into_iter()
        .chain(image.manifests.iter().map(|item| item.digest.as_str()))
    {
        let manifest = if reference == tag {
            image.top()
        } else {
            image.item(reference)
        };
        let call =
            get(&manifest_path(REPOSITORY, reference)).header("Accept", &manifest.media_type);
        assert_manifest(&call.send(&host).await, manifest);
    }
    for blob in &image.blobs {
        let answer = get(&blob_path(REPOSITORY, &blob.digest)).send(&host).await;
        assert_eq!((answer.status, &answer.body), (200, &blob.bytes), "{tag}");
    }
    let list = get(&format!("/v2/{REPOSITORY}/tags/list"))
        .send(&host)
        .await;
    let tags = list.json()["tags"].clone();
    assert!(
        tags.as_array().unwrap().iter().any(|listed| listed == tag),
        "{tags}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn distribution_serves_every_image_that_cistern_has_cached() {
    need!("docker-registry");
    let (ordinary, extraordinary) = (ordinary(), extraordinary());
    let everything: Vec<_> = ordinary.iter().chain(&extraordinary).collect();
    let (upstream, mut cache) = filled_cistern(&everything).await;
    upstream.stop().await;
    cache.stop().await;
    let registry = distribution::on_store(cache.store()).start().await;
    for (tag, image) in &ordinary {
        assert_distribution_serves(&registry, tag, image).await;
    }
    let catalog = get("/v2/_catalog").send(&registry.host()).await;
    assert_eq!(
        catalog.json()["repositories"],
        serde_json::json!([REPOSITORY])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn distributions_garbage_collection_runs_over_cisterns_store_and_nothing_is_lost_by_it() {
    need!("docker-registry");
    let (ordinary, extraordinary) = (ordinary(), extraordinary());
    let everything: Vec<_> = ordinary.iter().chain(&extraordinary).collect();
    let (upstream, mut cache) = filled_cistern(&everything).await;
    cache.stop().await;
    for arguments in [&["--dry-run"][..], &[]] {
        let said = distribution::collect_garbage(cache.store(), arguments).await;
        assert!(said.success, "{arguments:?}: {}", said.output);
    }
    let registry = distribution::on_store(cache.store()).start().await;
    for (tag, image) in &ordinary {
        assert_distribution_serves(&registry, tag, image).await;
    }
    drop(registry);

    // What is of no use to Distribution may be gone from the store now. Then it is fetched again, and nothing else is.
    upstream.forget_requests();
    cache.start().await;
    for (tag, image) in &everything {
        pull(&cache, REPOSITORY, tag, image).await;
    }
    let strange = |path: &str| {
        let mut items = extraordinary
            .iter()
            .flat_map(|(_, image)| image.manifests.iter().chain(&image.blobs));
        items.any(|item| path.ends_with(&item.digest))
    };
    let fetched = upstream.requests_of("GET", "/v2/*");
    assert!(
        fetched.iter().all(|request| strange(&request.path)),
        "{fetched:?}"
    );
    cache.stop().await;

    // This one takes the children of every index, of Distribution's own stores too.
    let said = distribution::collect_garbage(cache.store(), &["--delete-untagged"]).await;
    assert!(said.success, "{}", said.output);
    cache.start().await;
    for (tag, image) in &everything {
        pull(&cache, REPOSITORY, tag, image).await;
    }
}

/// A store that a Distribution has filled as a pull-through cache of another, which still runs.
async fn filled_distribution(images: &[Tagged]) -> (Registry, Registry) {
    let store = Store::new();
    for (tag, image) in images {
        store.put(image, REPOSITORY, &[tag]);
    }
    let upstream = distribution::on_store(&store).start().await;
    let cache = distribution::mirror_of(&upstream.url()).start().await;
    for (tag, image) in images {
        assert_distribution_serves_by_digest(&cache, tag, image).await;
        for item in image.blobs.iter().chain(&image.manifests) {
            kept(&cache, &item.digest).await;
        }
    }
    // It writes this down behind the answers.
    let limit = Duration::from_secs(20);
    cistern_tests::eventually("the expiry plan", limit, || async {
        cache.store().has_expiry_dates()
    })
    .await;
    (upstream, cache)
}

/// The same without the list of tags: a pull-through Distribution asks its upstream for that.
pub(crate) async fn assert_distribution_serves_by_digest(
    registry: &Registry,
    tag: &str,
    image: &Image,
) {
    let host = registry.host();
    let manifest = |reference: &str, item: &Item| {
        get(&manifest_path(REPOSITORY, reference)).header("Accept", &item.media_type)
    };
    assert_manifest(&manifest(tag, image.top()).send(&host).await, image.top());
    for item in &image.manifests {
        assert_manifest(&manifest(&item.digest, item).send(&host).await, item);
    }
    for blob in &image.blobs {
        let answer = get(&blob_path(REPOSITORY, &blob.digest)).send(&host).await;
        assert_eq!((answer.status, &answer.body), (200, &blob.bytes), "{tag}");
    }
}

/// How many blobs the upstream was asked for, in whatever way.
fn blob_requests(upstream: &Registry) -> usize {
    let requests = distribution::requests(upstream);
    requests
        .iter()
        .filter(|(_, path, _)| path.contains("/blobs/"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn cistern_serves_the_store_of_a_pull_through_distribution_without_asking_for_one_blob() {
    need!("docker-registry");
    let images = ordinary();
    let (mut upstream, mut cache) = filled_distribution(&images).await;
    let before = blob_requests(&upstream);
    cache.replace_with(Product::Cistern).await;
    for (tag, image) in &images {
        pull(&cache, REPOSITORY, tag, image).await;
    }
    assert_eq!(blob_requests(&upstream), before, "{}", upstream.log());
    upstream.stop().await;
    cache.restart().await;
    for (tag, image) in &images {
        pull(&cache, REPOSITORY, tag, image).await;
    }
    let catalog = get("/v2/_catalog").send(&cache.host()).await;
    assert_eq!(
        catalog.json()["repositories"],
        serde_json::json!([REPOSITORY])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cistern_serves_the_store_of_a_distribution_that_was_pushed_to() {
    need!("docker-registry");
    let store = Store::new();
    let images = ordinary();
    for (tag, image) in &images {
        store.put(image, REPOSITORY, &[tag]);
    }
    let mut registry = distribution::on_store(&store).start().await;
    assert_distribution_serves(&registry, images[0].0, &images[0].1).await;
    registry.replace_with(Product::Cistern).await;
    for (tag, image) in &images {
        pull(&registry, REPOSITORY, tag, image).await;
    }
    let list = get(&format!("/v2/{REPOSITORY}/tags/list"))
        .send(&registry.host())
        .await;
    assert_eq!(list.json()["tags"].as_array().unwrap().len(), images.len());
}
