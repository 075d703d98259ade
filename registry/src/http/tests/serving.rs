//! What is found, as clients demand it.

use cistern_oci::Algorithm;
use http::{HeaderMap, HeaderValue};

use super::harness::{Reply, Running, Setup};
use crate::http::Settings;

const OCI: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;

#[tokio::test]
async fn a_manifest_carries_length_type_and_digest_on_get_and_head_alike() {
    let registry = Running::start().await;
    let digest = registry
        .put_manifest("team/app", &["latest"], Algorithm::Sha256, OCI)
        .await
        .to_string();
    for reference in ["latest", &digest] {
        let path = format!("/v2/team/app/manifests/{reference}");
        let got = registry.ask(&format!("GET {path}"), &[]).await;
        let head = registry.ask(&format!("HEAD {path}"), &[]).await;
        assert_eq!(got.body, OCI.as_bytes());
        assert_eq!(head.body, b"");
        for reply in [&got, &head] {
            assert_eq!(reply.status, 200);
            assert_eq!(
                reply.header("content-length"),
                Some(OCI.len().to_string().as_str())
            );
            assert_eq!(
                reply.header("content-type"),
                Some("application/vnd.oci.image.manifest.v1+json")
            );
            assert_eq!(reply.header("docker-content-digest"), Some(digest.as_str()));
            assert_eq!(reply.header("etag"), Some(format!("\"{digest}\"").as_str()));
            assert_eq!(
                reply.header("docker-distribution-api-version"),
                Some("registry/2.0")
            );
            assert_eq!(reply.header("cache-control").is_some(), reference == digest);
            assert_eq!(reply.header("content-encoding"), None);
            assert_eq!(reply.header("warning"), None);
        }
    }
}

#[tokio::test]
async fn a_manifest_is_served_whatever_the_caller_accepts() {
    let registry = Running::start().await;
    registry
        .put_manifest("app", &["1"], Algorithm::Sha256, OCI)
        .await;
    let accepts = [
        "Accept: application/vnd.docker.distribution.manifest.v2+json",
        "Accept: */*",
        "Accept: text/html",
        "X-None: 1",
    ];
    for accept in accepts {
        let reply = registry
            .ask(
                "GET /v2/app/manifests/1",
                &[accept, "Accept-Encoding: zstd;q=1.0, gzip;q=0.8, deflate"],
            )
            .await;
        assert_eq!(
            (reply.status, reply.body.as_slice()),
            (200, OCI.as_bytes()),
            "{accept}"
        );
        assert_eq!(reply.header("content-encoding"), None);
    }
}

#[tokio::test]
async fn a_manifest_asked_for_by_sha512_is_named_by_sha512() {
    let registry = Running::start().await;
    let digest = registry
        .put_manifest("app", &["1"], Algorithm::Sha512, OCI)
        .await
        .to_string();
    for reference in ["1", &digest] {
        let reply = registry
            .ask(&format!("HEAD /v2/app/manifests/{reference}"), &[])
            .await;
        assert_eq!(
            reply.header("docker-content-digest"),
            Some(digest.as_str()),
            "{reference}"
        );
    }
}

#[tokio::test]
async fn a_blob_carries_what_lazy_pullers_and_proxies_need() {
    let registry = Running::start().await;
    let blob: Vec<u8> = (0..200_000_u32).map(|place| (place % 251) as u8).collect();
    let digest = registry.put_blob("app", blob.clone()).await.to_string();
    let path = format!("/v2/app/blobs/{digest}");
    let got = registry.ask(&format!("GET {path}"), &[]).await;
    let head = registry
        .ask(&format!("HEAD {path}"), &["Range: bytes=0-1"])
        .await;
    assert_eq!(got.body, blob);
    assert_eq!(head.body, b"");
    for reply in [&got, &head] {
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-length"), Some("200000"));
        assert_eq!(
            reply.header("content-type"),
            Some("application/octet-stream")
        );
        assert_eq!(reply.header("accept-ranges"), Some("bytes"));
        assert_eq!(reply.header("docker-content-digest"), Some(digest.as_str()));
        assert_eq!(reply.header("etag"), Some(format!("\"{digest}\"").as_str()));
        assert_eq!(reply.header("x-accel-buffering"), Some("no"));
        assert!(reply.header("cache-control").unwrap().contains("immutable"));
        assert_eq!(reply.header("content-range"), None);
    }
}

#[tokio::test]
async fn what_the_caller_has_already_is_not_sent_again() {
    let registry = Running::start().await;
    let blob = registry.put_blob("app", vec![7; 100]).await;
    let manifest = registry
        .put_manifest("app", &["1"], Algorithm::Sha256, OCI)
        .await;
    let targets = [
        (format!("/v2/app/blobs/{blob}"), blob),
        (format!("/v2/app/manifests/{manifest}"), manifest),
        ("/v2/app/manifests/1".to_owned(), manifest),
    ];
    for (path, digest) in &targets {
        for (tag, status) in [
            (format!("\"{digest}\""), 304),
            (format!("{digest}"), 304),
            (format!("W/\"{digest}\""), 304),
            (format!("\"other\", \"{digest}\""), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            for method in ["GET", "HEAD"] {
                let condition = format!("If-None-Match: {tag}");
                let reply = registry
                    .ask(
                        &format!("{method} {path}"),
                        &[&condition, "Range: bytes=0-1"],
                    )
                    .await;
                let expected = if status == 200 && method == "GET" && path.contains("/blobs/") {
                    206
                } else {
                    status
                };
                assert_eq!(reply.status, expected, "{method} {path} {tag}");
                assert_eq!(
                    reply.header("docker-content-digest"),
                    Some(digest.to_string().as_str())
                );
                assert_eq!(reply.header("etag"), Some(format!("\"{digest}\"").as_str()));
            }
        }
    }
    let missing = blob
        .to_string()
        .replace("sha256:", "sha256:0")
        .split_at(71)
        .0
        .to_owned();
    let reply = registry
        .ask(
            &format!("GET /v2/app/blobs/{missing}"),
            &["If-None-Match: *"],
        )
        .await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn an_empty_blob_has_a_length_of_zero_and_no_ranges() {
    let registry = Running::start().await;
    let digest = registry.put_blob("app", Vec::new()).await;
    for method in ["GET", "HEAD"] {
        let reply = registry
            .ask(&format!("{method} /v2/app/blobs/{digest}"), &[])
            .await;
        assert_eq!(
            (reply.status, reply.header("content-length")),
            (200, Some("0"))
        );
    }
    let reply = registry
        .ask(&format!("GET /v2/app/blobs/{digest}"), &["Range: bytes=0-"])
        .await;
    assert_eq!(
        (reply.status, reply.header("content-range")),
        (416, Some("bytes */0"))
    );
}

#[tokio::test]
async fn the_base_says_that_this_is_a_registry() {
    let registry = Running::start().await;
    for path in ["/v2/", "/v2"] {
        let reply = registry.ask(&format!("GET {path}"), &[]).await;
        assert_eq!(
            (reply.status, reply.body.as_slice()),
            (200, b"{}".as_slice())
        );
        assert_eq!(
            reply.header("docker-distribution-api-version"),
            Some("registry/2.0")
        );
        assert_eq!(registry.ask(&format!("HEAD {path}"), &[]).await.status, 200);
    }
    assert_eq!(registry.ask("GET /", &[]).await.status, 200);
}

#[tokio::test]
async fn a_name_space_that_is_ours_is_echoed_and_any_other_is_an_unknown_name() {
    let registry = Running::start().await;
    let digest = registry
        .put_manifest("app", &["1"], Algorithm::Sha256, OCI)
        .await;
    for namespace in ["mirror.example", "MIRROR.example", "cache.example:5000"] {
        let reply = registry
            .ask(
                &format!("HEAD /v2/app/manifests/{digest}?ns={namespace}"),
                &[],
            )
            .await;
        assert_eq!(
            (reply.status, reply.header("oci-namespace")),
            (200, Some(namespace))
        );
    }
    for namespace in ["docker.io", "169.254.169.254", "a%0d%0ab", ""] {
        let reply = registry
            .ask(
                &format!("GET /v2/app/manifests/{digest}?ns={namespace}"),
                &[],
            )
            .await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (404, "NAME_UNKNOWN"),
            "{namespace}"
        );
        assert_eq!(reply.header("oci-namespace"), None);
    }
}

#[tokio::test]
async fn every_answer_carries_a_request_id_and_a_sane_one_is_kept() {
    let registry = Running::start().await;
    let id = |reply: &Reply| reply.header("x-request-id").unwrap().to_owned();
    let first = id(&registry.ask("GET /v2/", &[]).await);
    let second = id(&registry.ask("GET /v2/nothing/here", &[]).await);
    assert_eq!(first.len(), 16);
    assert_ne!(first, second);
    assert_eq!(
        id(&registry.ask("GET /v2/", &["X-Request-Id: child-7/a"]).await),
        "child-7/a"
    );
    let long = format!("X-Request-Id: {}", "a".repeat(129));
    for insane in [
        "X-Request-Id: a b",
        "X-Request-Id: \"quoted\"",
        "X-Request-Id:",
        &long,
    ] {
        assert_eq!(
            id(&registry.ask("GET /v2/", &[insane]).await).len(),
            16,
            "{insane}"
        );
    }
}

#[tokio::test]
async fn configured_headers_are_on_every_answer_but_never_break_one() {
    let mut headers = HeaderMap::new();
    headers.append(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    headers.append("x-many", HeaderValue::from_static("1"));
    headers.append("x-many", HeaderValue::from_static("2"));
    headers.append("content-encoding", HeaderValue::from_static("gzip"));
    headers.append("content-length", HeaderValue::from_static("1"));
    headers.append("content-type", HeaderValue::from_static("text/html"));
    let settings = Settings {
        headers,
        ..Settings::default()
    };
    let registry = Running::with(Setup {
        settings,
        ..Setup::default()
    })
    .await;
    for path in ["/v2/", "/v2/app/manifests/1", "/healthz", "/"] {
        let reply = registry.ask(&format!("GET {path}"), &[]).await;
        assert_eq!(
            reply.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            reply
                .headers
                .iter()
                .filter(|(name, _)| name == "x-many")
                .count(),
            2
        );
        assert_eq!(reply.header("content-encoding"), None);
        assert_ne!(reply.header("content-length"), Some("1"));
    }
    assert_eq!(
        registry.ask("GET /v2/", &[]).await.header("content-type"),
        Some("application/json")
    );
}
