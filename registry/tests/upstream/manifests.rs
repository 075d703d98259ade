use cistern::upstream::{Fault, Heard, Said};
use cistern_oci::MANIFEST_ACCEPT;

use super::server::{Manner, Reply, Server, ok, reply};
use super::{anonymous, fault, invalid, name, reference, sha256};

const BODY: &str = r#" {"schemaVersion": 2,  "mediaType":"application/vnd.oci.image.manifest.v1+json", "x": null}"#;
const TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn manifest() -> Reply {
    ok(BODY)
        .header("Content-Type", TYPE)
        .header("Docker-Content-Digest", sha256(BODY.as_bytes()).to_string())
}

#[tokio::test]
async fn a_manifest_keeps_its_bytes_type_and_digest() {
    let server = Server::start(|_| manifest()).await;
    let upstream = anonymous(&server);
    let by_tag = upstream
        .get_manifest(&name("a/b"), &reference("latest"), &Heard::default())
        .await
        .unwrap()
        .manifest;
    assert_eq!(by_tag.bytes, BODY);
    assert_eq!(by_tag.media_type.as_str(), TYPE);
    assert_eq!(by_tag.digest, sha256(BODY.as_bytes()));
    let digest = reference(&by_tag.digest.to_string());
    let by_digest = upstream
        .get_manifest(&name("a/b"), &digest, &Heard::default())
        .await
        .unwrap()
        .manifest;
    assert_eq!(by_digest, by_tag);
}

#[tokio::test]
async fn every_question_for_a_manifest_carries_the_complete_list_of_types_and_wants_bare_bytes() {
    let server = Server::start(|seen| {
        if seen.method == "HEAD" {
            reply(404)
        } else {
            manifest()
        }
    })
    .await;
    anonymous(&server)
        .head_manifest(&name("a"), &reference("1"), &Heard::default())
        .await
        .unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert_eq!(request.header("accept"), Some(MANIFEST_ACCEPT));
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        assert!(
            request
                .header("user-agent")
                .unwrap()
                .starts_with("cistern/")
        );
    }
}

#[tokio::test]
async fn a_head_that_names_a_digest_needs_no_get() {
    let server = Server::start(|_| manifest()).await;
    let head = anonymous(&server)
        .head_manifest(&name("a"), &reference("1"), &Heard::default())
        .await
        .unwrap();
    assert_eq!(head.digest, Some(sha256(BODY.as_bytes())));
    assert_eq!(head.manifest, None);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_head_is_believed_only_after_a_get() {
    for status in [400, 401, 403, 404, 405, 406, 501] {
        let server = Server::start(move |seen| {
            if seen.method == "HEAD" {
                reply(status)
            } else {
                manifest()
            }
        })
        .await;
        let head = anonymous(&server)
            .head_manifest(&name("a"), &reference("1"), &Heard::default())
            .await;
        let manifest = head
            .unwrap_or_else(|error| panic!("{status}: {error}"))
            .manifest
            .unwrap();
        assert_eq!(manifest.digest, sha256(BODY.as_bytes()), "{status}");
    }
    let server = Server::start(|_| reply(404)).await;
    let gone = anonymous(&server)
        .head_manifest(&name("a"), &reference("1"), &Heard::default())
        .await;
    assert_eq!(fault(gone), Fault::NotFound(Said::NotFound));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_head_without_a_usable_digest_is_followed_by_a_get() {
    for digest in ["", "sha256:0", "latest"] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "HEAD" => reply(200).header("Docker-Content-Digest", digest),
            _ => manifest(),
        })
        .await;
        let head = anonymous(&server)
            .head_manifest(&name("a"), &reference("1"), &Heard::default())
            .await
            .unwrap();
        assert_eq!(head.digest, Some(sha256(BODY.as_bytes())));
        assert_eq!(head.manifest.unwrap().bytes, BODY);
    }
}

#[tokio::test]
async fn a_rate_limited_head_is_not_followed_by_a_get() {
    let server = Server::start(|_| reply(429).header("Retry-After", "9")).await;
    let limited = anonymous(&server)
        .head_manifest(&name("a"), &reference("1"), &Heard::default())
        .await;
    assert_eq!(
        fault(limited),
        Fault::RateLimited {
            retry_after: Some(std::time::Duration::from_secs(9))
        }
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_wrong_body_for_a_digest_is_refused_whatever_the_header_says() {
    let wanted = sha256(b"something else").to_string();
    let header = wanted.clone();
    let server =
        Server::start(move |_| ok(BODY).header("Docker-Content-Digest", header.clone())).await;
    let refused = anonymous(&server)
        .get_manifest(&name("a"), &reference(&wanted), &Heard::default())
        .await;
    assert!(invalid(refused).contains(&wanted));
}

#[tokio::test]
async fn a_wrong_digest_header_for_a_tag_is_not_believed() {
    for status in [404, 400] {
        let header = sha256(b"something else").to_string();
        let server = Server::start(move |seen| match seen.path() {
            "/v2/a/manifests/1" => ok(BODY).header("Docker-Content-Digest", header.clone()),
            _ => reply(status),
        })
        .await;
        let found = anonymous(&server)
            .get_manifest(&name("a"), &reference("1"), &Heard::default())
            .await
            .unwrap()
            .manifest;
        assert_eq!(found.digest, sha256(BODY.as_bytes()));
    }
}

#[tokio::test]
async fn bytes_that_were_spoilt_under_a_tag_are_not_taken_for_a_manifest() {
    let spoilt = BODY.replace("null", "true");
    let (bytes, by_tag) = (spoilt.clone(), "/v2/a/manifests/1");
    let server = Server::start(move |seen| {
        let body = if seen.path() == by_tag { &*bytes } else { BODY };
        ok(body).header("Docker-Content-Digest", sha256(BODY.as_bytes()).to_string())
    })
    .await;
    let ask = async |server: &Server| {
        let upstream = anonymous(server);
        let (of, tag, heard) = (name("a"), reference("1"), Heard::default());
        upstream.get_manifest(&of, &tag, &heard).await
    };
    assert_eq!(ask(&server).await.unwrap().manifest.bytes, BODY);
    let server = Server::start(move |_| {
        ok(spoilt.clone()).header("Docker-Content-Digest", sha256(BODY.as_bytes()).to_string())
    })
    .await;
    assert!(invalid(ask(&server).await).contains(&sha256(BODY.as_bytes()).to_string()));
}

#[tokio::test]
async fn missing_types_and_lengths_are_borne() {
    for manner in [Manner::Chunked, Manner::UntilClose] {
        let server =
            Server::start(move |_| ok(BODY).header("Content-Type", "text/plain").manner(manner))
                .await;
        let found = anonymous(&server)
            .get_manifest(&name("a"), &reference("1"), &Heard::default())
            .await
            .unwrap()
            .manifest;
        assert_eq!(found.media_type.as_str(), TYPE);
        assert_eq!(found.bytes, BODY);
    }
}

#[tokio::test]
async fn a_manifest_of_four_mebibytes_passes_and_a_larger_or_endless_one_does_not() {
    let sized = |length: usize| format!("{{\"x\":\"{}\"}}", "x".repeat(length - 8));
    let largest = sized(4 * 1024 * 1024);
    let server = Server::start(move |_| ok(largest.clone())).await;
    let found = anonymous(&server)
        .get_manifest(&name("a"), &reference("1"), &Heard::default())
        .await
        .unwrap()
        .manifest;
    assert_eq!(found.bytes.len(), 4 * 1024 * 1024);
    let larger = sized(5 * 1024 * 1024);
    for manner in [Manner::Plain, Manner::Chunked, Manner::Endless] {
        let larger = larger.clone();
        let server = Server::start(move |_| ok(larger.clone()).manner(manner)).await;
        let refused = anonymous(&server)
            .get_manifest(&name("a"), &reference("1"), &Heard::default())
            .await;
        assert!(invalid(refused).contains("4194304"), "{manner:?}");
    }
}

#[tokio::test]
async fn a_login_page_is_no_manifest() {
    for page in ["<html>Please log in</html>", "", "[1]", "{\"cut\":"] {
        let server = Server::start(move |_| ok(page).header("Content-Type", "text/html")).await;
        let refused = anonymous(&server)
            .get_manifest(&name("a"), &reference("1"), &Heard::default())
            .await;
        assert!(invalid(refused).contains("no manifest"), "{page}");
    }
}

#[tokio::test]
async fn an_encoded_manifest_is_refused() {
    let server = Server::start(|_| manifest().header("Content-Encoding", "gzip")).await;
    let refused = anonymous(&server)
        .get_manifest(&name("a"), &reference("1"), &Heard::default())
        .await;
    assert!(invalid(refused).contains("gzip"));
}

#[tokio::test]
async fn a_manifest_that_breaks_on_its_way_is_asked_for_again() {
    let server = Server::sequence([manifest().manner(Manner::CutAfter(10)), manifest()]).await;
    let found = anonymous(&server)
        .get_manifest(&name("a"), &reference("1"), &Heard::default())
        .await
        .unwrap()
        .manifest;
    assert_eq!(found.bytes, BODY);
}
