//! What the upstream holds is what callers get: every byte, every media type, every digest.

use cistern_tests::caller::{get, head};
use cistern_tests::images::{
    Algorithm, DOCKER_MANIFEST, Family, Image, Item, OCI_INDEX, artifact, flat_json, image, index,
    nested_index, odd_json, sparse_index,
};
use cistern_tests::scripted_upstream::{Answer, ScriptedUpstream};

use crate::common::{
    REPOSITORY, assert_blob, assert_manifest, blob_path, chain, holds, is_a_lie, kept,
    manifest_path, pull, pull_by_digest,
};

fn two_platforms(family: Family) -> Image {
    index(&[
        image().family(family).random_layers(1, 3, 50_000),
        image()
            .family(family)
            .platform("arm", Some("v7"))
            .random_layers(2, 2, 20_000),
    ])
}

#[tokio::test]
async fn the_first_pull_fetches_everything_once_and_the_second_fetches_nothing() {
    for family in [Family::Docker, Family::Oci] {
        let (upstream, cache) = chain().await;
        let image = two_platforms(family);
        upstream.hold(&image, REPOSITORY, &["v1"]);
        pull(&cache, REPOSITORY, "v1", &image).await;
        assert_eq!(upstream.count("HEAD", "/v2/*"), 1, "the tag's");
        assert_eq!(
            upstream.count("GET", "/v2/*/manifests/*"),
            image.manifests.len()
        );
        for item in image.blobs.iter().chain(&image.manifests) {
            assert_eq!(upstream.count("GET", &format!("/v2/*/{}", item.digest)), 1);
        }
        let first = upstream.requests().len();
        pull(&cache, REPOSITORY, "v1", &image).await;
        assert_eq!(upstream.requests().len(), first, "{family:?}");
    }
}

fn odd_images() -> Vec<(&'static str, Image)> {
    let plain = image().random_layers(1, 2, 3000).build();
    let docker = image()
        .family(Family::Docker)
        .random_layers(2, 1, 3000)
        .build();
    let unknown = "application/vnd.example.thing.v1+json";
    let scarce = r#"{"schemaVersion":2,"layers":null,"config":null,"annotations":{"a":null}}"#;
    let empty = format!(r#"{{ "schemaVersion":2, "mediaType" : "{OCI_INDEX}","manifests":[]}}"#);
    vec![
        ("oddly-written", odd_json(&plain)),
        ("oddly-written-docker", odd_json(&docker)),
        (
            "artifact",
            artifact("application/vnd.example.sbom", "some text"),
        ),
        ("nested", nested_index(&image().random_layers(3, 1, 3000))),
        (
            "unknown-type",
            flat_json(&docker, unknown, "{\"a\" :1}\n".to_owned()),
        ),
        (
            "scarce",
            flat_json(&docker, DOCKER_MANIFEST, scarce.to_owned()),
        ),
        ("empty-index", flat_json(&docker, OCI_INDEX, empty)),
        (
            "sha512",
            image()
                .algorithm(Algorithm::Sha512)
                .random_layers(4, 2, 3000)
                .build(),
        ),
    ]
}

#[tokio::test]
async fn manifests_are_kept_and_served_as_the_exact_bytes_that_came() {
    let (upstream, mut cache) = chain().await;
    let images = odd_images();
    for (tag, image) in &images {
        upstream.hold(image, REPOSITORY, &[tag]);
        pull(&cache, REPOSITORY, tag, image).await;
    }
    upstream.stop().await;
    cache.restart().await;
    for (tag, image) in &images {
        pull(&cache, REPOSITORY, tag, image).await;
        let told = head(&manifest_path(REPOSITORY, tag))
            .send(&cache.host())
            .await;
        assert_eq!(
            told.header("Content-Type"),
            Some(image.top().media_type.as_str()),
            "{tag}"
        );
        let size = image.top().bytes.len().to_string();
        assert_eq!(told.header("Content-Length"), Some(size.as_str()), "{tag}");
        assert_eq!(
            told.header("Docker-Content-Digest"),
            Some(image.digest()),
            "{tag}"
        );
        assert!(told.body.is_empty());
    }
}

#[tokio::test]
async fn a_manifest_whose_bytes_are_not_its_digest_reaches_nobody_and_is_not_kept() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(1, 1, 3000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let path = manifest_path(REPOSITORY, image.digest());
    let other = r#"{"schemaVersion":2,"layers":[]}"#;
    let lie = Answer::body(200, &image.top().media_type, other).claims_digest(image.digest());
    let lying = upstream.on("GET", &path, lie);
    let answer = get(&path).send(&cache.host()).await;
    assert!(
        answer.status >= 500 && answer.is_complete(),
        "{}",
        answer.text()
    );
    assert_eq!(answer.error_code(), "UNAVAILABLE");
    assert!(
        answer.text().contains(&upstream.host()),
        "{}",
        answer.text()
    );
    assert!(lying.used() > 0 && cache.store().digests().is_empty());
    lying.remove();
    cistern_tests::eventually("getting the true one", crate::common::SOON, || async {
        get(&path).send(&cache.host()).await.status == 200
    })
    .await;
    pull(&cache, REPOSITORY, "v1", &image).await;
}

#[tokio::test]
async fn a_tag_is_served_under_the_digest_of_its_bytes_whatever_the_header_says() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(1, 1, 3000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let path = manifest_path(REPOSITORY, "v1");
    let wrong = Item::random(9, 10).digest;
    upstream.on("*", &path, Answer::held().claims_digest(&wrong));
    assert_manifest(&get(&path).send(&cache.host()).await, image.top());
    let told = head(&path).send(&cache.host()).await;
    assert_eq!(told.header("Docker-Content-Digest"), Some(image.digest()));
    assert!(holds(&cache, image.digest()) && !holds(&cache, &wrong));
    pull_by_digest(&cache, REPOSITORY, &image).await;
}

fn asks_for_identity_only(upstream: &ScriptedUpstream) -> bool {
    upstream.requests().iter().all(|request| {
        let asked: Vec<_> = request.headers_of("Accept-Encoding").collect();
        asked == ["identity"]
    })
}

#[tokio::test]
async fn nothing_is_ever_compressed_for_callers_that_would_allow_it_nor_asked_for_compressed() {
    let (upstream, cache) = chain().await;
    let image = two_platforms(Family::Oci);
    upstream.hold(&image, REPOSITORY, &["v1"]);
    upstream.on("GET", "/v2/*", Answer::held().gzipped_if_asked());
    let allows = "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5";
    let ask = async |path: String| {
        get(&path)
            .header("Accept-Encoding", allows)
            .send(&cache.host())
            .await
    };
    assert_manifest(&ask(manifest_path(REPOSITORY, "v1")).await, image.top());
    for _ in 0..2 {
        for manifest in &image.manifests {
            assert_manifest(
                &ask(manifest_path(REPOSITORY, &manifest.digest)).await,
                manifest,
            );
        }
        for blob in &image.blobs {
            assert_blob(&ask(blob_path(REPOSITORY, &blob.digest)).await, blob);
        }
    }
    assert!(asks_for_identity_only(&upstream));
}

#[tokio::test]
async fn a_layer_that_is_labelled_as_compressed_is_served_as_its_bare_bytes() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(1, 2, 100_000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let labelled = Answer::held().header("Content-Encoding", "gzip");
    upstream.on("*", "/v2/*/blobs/*", labelled);
    let unnamed = Item::random(3, 100_000);
    upstream.hold_blob(&unnamed, REPOSITORY);
    let path = blob_path(REPOSITORY, &unnamed.digest);
    assert_blob(&get(&path).send(&cache.host()).await, &unnamed);
    pull(&cache, REPOSITORY, "v1", &image).await;
    assert!(asks_for_identity_only(&upstream));
}

#[tokio::test]
async fn a_layer_that_was_compressed_unasked_is_never_passed_off_as_the_layer() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(1, 1, 100_000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let compressing = upstream.on("GET", "/v2/*/blobs/*", Answer::held().gzipped());
    let layer = image.largest_blob();
    let path = blob_path(REPOSITORY, &layer.digest);
    let answer = get(&path).send(&cache.host()).await;
    assert!(answer.status != 200 || !answer.is_complete());
    assert!(!holds(&cache, &layer.digest));
    compressing.remove();
    cistern_tests::eventually("getting the true one", crate::common::SOON, || async {
        let answer = get(&path).send(&cache.host()).await;
        assert!(!is_a_lie(&answer, layer));
        answer.status == 200 && answer.is_complete()
    })
    .await;
}

#[tokio::test]
async fn every_caller_gets_the_same_manifest_whatever_it_says_it_accepts() {
    let (upstream, cache) = chain().await;
    let accepts = [
        None,
        Some("*/*"),
        Some("text/html"),
        Some("application/vnd.docker.distribution.manifest.v2+json"),
        Some("application/vnd.oci.image.manifest.v1+json"),
        Some("application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"),
    ];
    for (family, tag) in [(Family::Docker, "docker"), (Family::Oci, "oci")] {
        let image = two_platforms(family);
        upstream.hold(&image, REPOSITORY, &[tag]);
        for reference in [tag, image.digest()] {
            for accept in accepts {
                let call = get(&manifest_path(REPOSITORY, reference));
                let call = match accept {
                    Some(accept) => call.header("Accept", accept),
                    None => call,
                };
                assert_manifest(&call.send(&cache.host()).await, image.top());
            }
        }
    }
    let types = [
        "manifest.v2+json",
        "manifest.list.v2+json",
        "image.manifest.v1+json",
        "image.index.v1+json",
    ];
    for request in upstream.requests_of("*", "/v2/*/manifests/*") {
        let accept = request.headers_of("Accept").collect::<Vec<_>>().join(",");
        assert!(types.iter().all(|part| accept.contains(part)), "{accept}");
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_fetched() {
    let (upstream, cache) = chain().await;
    let (one, other) = (
        image().random_layers(1, 2, 3000),
        image().platform("s390x", None).random_layers(2, 2, 3000),
    );
    let whole = index(&[one.clone(), other]);
    upstream.hold(&whole, REPOSITORY, &["v1", "v2"]);
    get(&manifest_path(REPOSITORY, "v1"))
        .send(&cache.host())
        .await;
    assert_eq!(cache.store().digests(), [whole.digest()]);
    assert_eq!(
        upstream.requests().len(),
        2,
        "a HEAD for the tag and a GET by its digest"
    );
    let one = one.build();
    let path = manifest_path(REPOSITORY, one.digest());
    assert_manifest(&get(&path).send(&cache.host()).await, one.top());
    let mut expected = vec![whole.digest(), one.digest()];
    expected.sort_unstable();
    assert_eq!(cache.store().digests(), expected);
    pull_by_digest(&cache, REPOSITORY, &one).await;
    for blob in &one.blobs {
        kept(&cache, &blob.digest).await;
    }
    let mut expected: Vec<_> = one
        .blobs
        .iter()
        .chain(&one.manifests)
        .map(|item| item.digest.as_str())
        .collect();
    expected.push(whole.digest());
    expected.sort_unstable();
    assert_eq!(cache.store().digests(), expected);
    assert_eq!(upstream.requests().len(), 2 + expected.len() - 1);
    assert_eq!(cache.store().tag(REPOSITORY, "v2"), None);
}

#[tokio::test]
async fn an_index_is_kept_word_for_word_when_children_of_it_exist_nowhere() {
    let (upstream, cache) = chain().await;
    let child = image().random_layers(1, 1, 3000);
    let sparse = sparse_index(&child);
    upstream.hold(&sparse, REPOSITORY, &["v1"]);
    pull(&cache, REPOSITORY, "v1", &sparse).await;
    let named = sparse.top().bytes.clone();
    let named: serde_json::Value = serde_json::from_slice(&named).unwrap();
    let absent = named["manifests"][1]["digest"].as_str().unwrap();
    let answer = get(&manifest_path(REPOSITORY, absent))
        .send(&cache.host())
        .await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (404, "MANIFEST_UNKNOWN")
    );
    assert_eq!(
        cache.store().blob(sparse.digest()).as_deref(),
        Some(&sparse.top().bytes[..])
    );
}

#[tokio::test]
async fn everything_named_by_sha512_is_pulled_and_served_under_sha512() {
    let (upstream, mut cache) = chain().await;
    let children = [image(), image().platform("arm64", None)];
    let children = children.map(|child| {
        child
            .algorithm(Algorithm::Sha512)
            .random_layers(5, 2, 90_000)
    });
    let image = index(&children);
    upstream.hold(&image, REPOSITORY, &["v1"]);
    assert!(image.digest().starts_with("sha512:"));
    pull(&cache, REPOSITORY, "v1", &image).await;
    assert!(
        cache
            .store()
            .digests()
            .iter()
            .all(|digest| digest.starts_with("sha512:"))
    );
    let count = upstream.requests().len();
    pull(&cache, REPOSITORY, "v1", &image).await;
    assert_eq!(upstream.requests().len(), count);
    upstream.stop().await;
    cache.restart().await;
    pull(&cache, REPOSITORY, "v1", &image).await;
}
