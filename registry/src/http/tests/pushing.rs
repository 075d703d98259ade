//! Pushes of images: manifests with their tags and subjects, what is refused, and removal.

use cistern_oci::{Algorithm, Digest};
use serde_json::{Value, json};

use super::harness::{Kind, Reply, Running, Setup};
use super::line::{HELLO, Line, assert_hello, assert_no_blob, push_hello};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

async fn with_deletes() -> Running {
    Running::with(Setup {
        kind: Kind::Deletable,
        ..Setup::default()
    })
    .await
}

/// An image of one blob.
fn image(changes: &Value) -> Vec<u8> {
    let blob = |media_type: &str| json!({"mediaType": media_type, "digest": HELLO, "size": 11});
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": blob("application/vnd.oci.image.config.v1+json"),
        "layers": [blob("application/vnd.oci.image.layer.v1.tar")],
    });
    for (name, value) in changes.as_object().unwrap() {
        manifest[name] = value.clone();
    }
    serde_json::to_vec_pretty(&manifest).unwrap()
}

async fn put(registry: &Running, reference: &str, media_type: &str, body: &[u8]) -> Reply {
    let content_type = format!("Content-Type: {media_type}");
    let headers: &[&str] = if media_type.is_empty() {
        &[]
    } else {
        &[&content_type]
    };
    let request = format!("PUT /v2/app/manifests/{reference}");
    Line::to(registry).await.ask(&request, headers, body).await
}

async fn get(registry: &Running, path: &str) -> Reply {
    registry.ask(&format!("GET /v2/app/{path}"), &[]).await
}

#[tokio::test]
async fn an_image_is_served_as_the_bytes_and_the_type_that_were_pushed() {
    let registry = Running::start().await;
    push_hello(&registry, "app").await;
    let body = image(&json!({"custom": {"kept": [1, 2.50]}}));
    let untyped = image(&json!({"mediaType": null}));
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let odd = "application/vnd.example.thing.v7+json";
    let cases: [(&str, &[u8], &str); 6] = [
        (IMAGE, &body, IMAGE),
        ("", &body, IMAGE),
        (
            "application/vnd.oci.image.manifest.v1+json; charset=utf-8",
            &body,
            IMAGE,
        ),
        (docker, &untyped, docker),
        (odd, br#"{"any": "thing"}"#, odd),
        ("application/json", &body, IMAGE),
    ];
    for (sent, body, served) in cases {
        let kept = put(&registry, "v1", sent, body).await;
        assert_eq!(
            kept.status,
            201,
            "{sent}: {}",
            String::from_utf8_lossy(&kept.body)
        );
        let digest = Digest::of(Algorithm::Sha256, body).to_string();
        assert_eq!(kept.header("docker-content-digest"), Some(&*digest));
        let location = kept.header("location").unwrap();
        for path in [
            format!("/v2/app/manifests/{digest}"),
            "/v2/app/manifests/v1".to_owned(),
        ] {
            let found = registry.ask(&format!("GET {path}"), &[]).await;
            assert_eq!((found.status, &*found.body), (200, body), "{sent} {path}");
            assert_eq!(found.header("content-type"), Some(served), "{sent} {path}");
            assert_eq!(found.header("docker-content-digest"), Some(&*digest));
        }
        assert_eq!(
            registry.ask(&format!("GET {location}"), &[]).await.body,
            body
        );
    }
}

#[tokio::test]
async fn a_manifest_gets_all_its_tags_and_its_subject_is_said_whether_it_is_here_or_not() {
    let registry = Running::start().await;
    push_hello(&registry, "app").await;
    let body = image(&json!({"subject": {"mediaType": IMAGE, "digest": HELLO, "size": 11}}));
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, &body).to_string();
        let kept = put(
            &registry,
            &format!("{digest}?tag=a&tag=b&tag=a"),
            IMAGE,
            &body,
        )
        .await;
        assert_eq!(kept.status, 201);
        assert_eq!(kept.header("oci-subject"), Some(HELLO));
        let tags: Vec<&str> = kept
            .headers
            .iter()
            .filter(|(name, _)| name == "oci-tag")
            .map(|(_, tag)| tag.as_str())
            .collect();
        assert!(tags.contains(&"a") && tags.contains(&"b"), "{tags:?}");
        for reference in ["a", "b", &digest] {
            let found = get(&registry, &format!("manifests/{reference}")).await;
            assert_eq!((found.status, &found.body), (200, &body));
            assert_eq!(found.header("docker-content-digest"), Some(&*digest));
        }
    }
    let listed = get(&registry, "tags/list").await;
    assert_eq!(listed.json()["tags"], json!(["a", "b"]));
}

#[tokio::test]
async fn an_image_whose_blobs_are_missing_is_refused_and_they_are_named() {
    let registry = Running::start().await;
    // Elsewhere is not here.
    push_hello(&registry, "other").await;
    let refused = put(&registry, "v1", IMAGE, &image(&json!({}))).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "MANIFEST_BLOB_UNKNOWN")
    );
    assert!(
        refused.json()["errors"][0]["detail"]
            .to_string()
            .contains(HELLO)
    );
    assert_eq!(get(&registry, "manifests/v1").await.status, 404);
    assert_eq!(get(&registry, "tags/list").await.status, 404);
}

#[tokio::test]
async fn layers_that_live_elsewhere_and_children_of_an_index_may_be_missing() {
    let registry = Running::start().await;
    push_hello(&registry, "app").await;
    let missing = Digest::of(Algorithm::Sha256, b"not here");
    let layer = |media_type: &str, urls: Value| json!({"layers": [{"mediaType": media_type, "digest": missing, "size": 8, "urls": urls}]});
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let ours = "application/vnd.oci.image.layer.v1.tar";
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{"mediaType": IMAGE, "digest": missing, "size": 8}],
    });
    let index = serde_json::to_vec(&index).unwrap();
    for (media_type, body) in [
        (IMAGE, image(&layer(foreign, json!(null)))),
        (
            IMAGE,
            image(&layer(ours, json!(["https://elsewhere.example/layer"]))),
        ),
        (INDEX, index),
    ] {
        let kept = put(&registry, "v1", media_type, &body).await;
        assert_eq!(kept.status, 201, "{}", String::from_utf8_lossy(&kept.body));
        assert_eq!(get(&registry, "manifests/v1").await.body, body);
    }
    let refused = put(&registry, "v2", IMAGE, &image(&layer(ours, json!([])))).await;
    assert_eq!(refused.code(), "MANIFEST_BLOB_UNKNOWN");
}

#[tokio::test]
async fn what_is_no_manifest_or_not_the_one_that_was_named_is_refused() {
    let registry = Running::start().await;
    push_hello(&registry, "app").await;
    let body = image(&json!({}));
    let digest = Digest::of(Algorithm::Sha256, &body);
    let many: String = "&tag=t".repeat(200);
    let misspelt = String::from_utf8(image(&json!({})))
        .unwrap()
        .replace("\"layers\"", "\"Layers\"");
    let cases: [(&str, &str, &[u8], &str); 8] = [
        ("v1", IMAGE, b"", "MANIFEST_INVALID"),
        ("v1", IMAGE, misspelt.as_bytes(), "MANIFEST_INVALID"),
        ("v1", IMAGE, b"{\"schemaVersion\": 2", "MANIFEST_INVALID"),
        ("v1", IMAGE, b"[]", "MANIFEST_INVALID"),
        ("v1", INDEX, &body, "MANIFEST_INVALID"),
        (HELLO, IMAGE, &body, "DIGEST_INVALID"),
        (&format!("{digest}?tag=.a"), IMAGE, &body, "TAG_INVALID"),
        (&format!("{digest}?{many}"), IMAGE, &body, "TAG_INVALID"),
    ];
    for (reference, media_type, body, code) in cases {
        let refused = put(&registry, reference, media_type, body).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, code),
            "{reference} {}",
            String::from_utf8_lossy(body)
        );
    }
    assert_eq!(get(&registry, "tags/list").await.json()["tags"], json!([]));
    assert_eq!(
        get(&registry, &format!("manifests/{digest}")).await.status,
        404
    );
}

#[tokio::test]
async fn what_is_deleted_is_gone_at_once_here_and_stays_elsewhere() {
    let registry = with_deletes().await;
    push_hello(&registry, "app").await;
    push_hello(&registry, "other").await;
    let body = image(&json!({}));
    let digest = Digest::of(Algorithm::Sha256, &body).to_string();
    for tag in ["v1", "v2"] {
        assert_eq!(put(&registry, tag, IMAGE, &body).await.status, 201);
    }
    let delete = async |path: &str| registry.ask(&format!("DELETE /v2/app/{path}"), &[]).await;
    // Read once, so that it is in whatever remembers.
    assert_eq!(get(&registry, "manifests/v1").await.status, 200);
    assert_eq!(delete("manifests/v1").await.status, 202);
    assert_eq!(get(&registry, "manifests/v1").await.status, 404);
    assert_eq!(get(&registry, "manifests/v2").await.status, 200);
    assert_eq!(delete(&format!("manifests/{digest}")).await.status, 202);
    for reference in ["v2", &digest] {
        assert_eq!(
            get(&registry, &format!("manifests/{reference}"))
                .await
                .status,
            404
        );
    }
    assert_hello(&registry).await;
    assert_eq!(delete(&format!("blobs/{HELLO}")).await.status, 202);
    assert_no_blob(&registry, HELLO).await;
    let elsewhere = registry
        .ask(&format!("GET /v2/other/blobs/{HELLO}"), &[])
        .await;
    assert_eq!(elsewhere.status, 200);
    for (path, code) in [
        ("manifests/v1".to_owned(), "MANIFEST_UNKNOWN"),
        (format!("manifests/{digest}"), "MANIFEST_UNKNOWN"),
        (format!("blobs/{HELLO}"), "BLOB_UNKNOWN"),
    ] {
        let again = delete(&path).await;
        assert_eq!((again.status, again.code().as_str()), (404, code), "{path}");
    }
}

#[tokio::test]
async fn nothing_is_deleted_where_deleting_is_not_allowed() {
    let registry = Running::start().await;
    push_hello(&registry, "app").await;
    assert_eq!(
        put(&registry, "v1", IMAGE, &image(&json!({}))).await.status,
        201
    );
    for path in [
        "manifests/v1",
        &format!("blobs/{HELLO}"),
        "manifests/nothing",
    ] {
        let refused = registry.ask(&format!("DELETE /v2/app/{path}"), &[]).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (405, "UNSUPPORTED"),
            "{path}"
        );
        assert!(refused.header("allow").is_some() && refused.message().contains("delete"));
    }
    assert_eq!(get(&registry, "manifests/v1").await.status, 200);
}

#[tokio::test]
async fn each_part_of_a_repository_says_which_methods_it_has() {
    let registry = Running::start().await;
    for (request, allowed) in [
        ("GET /v2/app/blobs/uploads/".to_owned(), "POST"),
        (format!("PUT /v2/app/blobs/{HELLO}"), "GET, HEAD, DELETE"),
        (
            "PATCH /v2/app/manifests/v1".to_owned(),
            "GET, HEAD, PUT, DELETE",
        ),
        ("POST /v2/app/tags/list".to_owned(), "GET, HEAD"),
        (format!("DELETE /v2/app/referrers/{HELLO}"), "GET, HEAD"),
    ] {
        let refused = registry.ask(&request, &["Content-Length: 0"]).await;
        assert_eq!(
            (refused.status, refused.header("allow")),
            (405, Some(allowed)),
            "{request}"
        );
    }
}
