//! What a caller has already is not sent again.

use cistern_tests::caller::{Answered, Call, get, head};
use cistern_tests::images::image;

use crate::common::{
    REPOSITORY, assert_blob, assert_manifest, assert_part, blob_path, chain, chain_with_blob,
    holds, manifest_path,
};

fn assert_not_modified(answer: &Answered, digest: &str) {
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    assert_eq!(answer.header("Docker-Content-Digest"), Some(digest));
    assert_eq!(
        answer.header("ETag"),
        Some(format!("\"{digest}\"").as_str())
    );
}

/// Every way in which callers say that they have `digest`.
fn ways(digest: &str) -> [String; 6] {
    [
        format!("\"{digest}\""),
        digest.to_owned(),
        format!("W/\"{digest}\""),
        format!("\"other\", \"{digest}\""),
        format!("other,{digest}"),
        "*".to_owned(),
    ]
}

#[tokio::test]
async fn a_manifest_that_the_caller_has_is_answered_by_304_quoted_or_unquoted() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(1, 1, 3000).build();
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let digest = image.digest();
    for reference in ["v1", digest] {
        let path = manifest_path(REPOSITORY, reference);
        for way in ways(digest) {
            for call in [get(&path), head(&path)] {
                let answer = call.header("If-None-Match", &way).send(&cache.host()).await;
                assert_not_modified(&answer, digest);
            }
        }
        for other in ["\"other\"", "other", &digest[..20], "\"\"", ""] {
            let answer = get(&path)
                .header("If-None-Match", other)
                .send(&cache.host())
                .await;
            assert_manifest(&answer, image.top());
            assert_eq!(
                answer.header("ETag"),
                Some(format!("\"{digest}\"").as_str())
            );
        }
    }
}

#[tokio::test]
async fn a_tag_that_moved_is_sent_although_the_caller_has_the_old_manifest() {
    let (upstream, mut cache) = chain().await;
    let (old, new) = (
        image().build(),
        image().created("2001-01-01T00:00:00Z").build(),
    );
    upstream.hold(&old, REPOSITORY, &["v1"]);
    let path = manifest_path(REPOSITORY, "v1");
    assert_manifest(&get(&path).send(&cache.host()).await, old.top());
    upstream.hold(&new, REPOSITORY, &["v1"]);
    cache.set("REGISTRY_PROXY_CHECKEVERY", "0s");
    cache.restart().await;
    let call = get(&path).header("If-None-Match", &format!("\"{}\"", old.digest()));
    assert_manifest(&call.send(&cache.host()).await, new.top());
}

#[tokio::test]
async fn a_blob_that_the_caller_has_is_answered_by_304_and_not_downloaded() {
    let (upstream, cache, blob, path) = chain_with_blob(1, 200_000).await;
    for temperature in ["cold", "warm"] {
        for way in ways(&blob.digest) {
            let with = |call: Call| call.header("If-None-Match", &way);
            for call in [get(&path), head(&path), get(&path).range("bytes=0-9")] {
                assert_not_modified(&with(call).send(&cache.host()).await, &blob.digest);
            }
        }
        if temperature == "cold" {
            assert_eq!(upstream.count("GET", &path), 0);
            assert!(!holds(&cache, &blob.digest));
        }
        let answer = get(&path)
            .header("If-None-Match", "\"other\"")
            .send(&cache.host())
            .await;
        assert_blob(&answer, &blob);
    }
}

#[tokio::test]
async fn a_blob_that_does_not_exist_is_not_called_unmodified() {
    let (_upstream, cache) = chain().await;
    let path = blob_path(
        REPOSITORY,
        &cistern_tests::images::Item::random(2, 10).digest,
    );
    let answer = get(&path)
        .header("If-None-Match", "*")
        .send(&cache.host())
        .await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_part_is_sent_only_if_the_caller_has_the_rest_of_the_same_blob() {
    let (_upstream, cache, blob, path) = chain_with_blob(3, 200_000).await;
    let quoted = format!("\"{}\"", blob.digest);
    for _ in ["cold", "warm"] {
        for same in [quoted.as_str(), blob.digest.as_str()] {
            let call = get(&path).range("bytes=100-199").header("If-Range", same);
            assert_part(&call.send(&cache.host()).await, &blob, 100, 199);
        }
        let weak = format!("W/{quoted}");
        for other in [
            "\"other\"",
            weak.as_str(),
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "",
        ] {
            let call = get(&path).range("bytes=100-199").header("If-Range", other);
            assert_blob(&call.send(&cache.host()).await, &blob);
        }
        // Several ranges of another blob than this one are no ranges at all.
        let call = get(&path)
            .range("bytes=0-1,3-4")
            .header("If-Range", "\"other\"");
        assert_blob(&call.send(&cache.host()).await, &blob);
    }
}
