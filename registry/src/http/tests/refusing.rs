//! What is refused, in which words, and before a body is read.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{Kind, PATIENCE, Running, Setup, read_reply, send};

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

async fn mirror() -> Running {
    Running::with(Setup {
        kind: Kind::Mirrors,
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn every_write_to_a_mirror_is_refused_with_what_is_allowed_before_its_body_is_read() {
    let registry = mirror().await;
    let writes = [
        "POST /v2/app/blobs/uploads/".to_owned(),
        format!("POST /v2/app/blobs/uploads/?mount={DIGEST}&from=other"),
        "PATCH /v2/app/blobs/uploads/7b1e6c0e".to_owned(),
        format!("PUT /v2/app/blobs/uploads/7b1e6c0e?digest={DIGEST}"),
        "DELETE /v2/app/blobs/uploads/7b1e6c0e".to_owned(),
        "PUT /v2/app/manifests/latest".to_owned(),
        format!("DELETE /v2/app/manifests/{DIGEST}"),
        format!("DELETE /v2/app/blobs/{DIGEST}"),
    ];
    for write in &writes {
        for body in [
            "Content-Length: 1000000",
            "Transfer-Encoding: chunked",
            "Content-Length: 0",
        ] {
            let mut stream = TcpStream::connect(registry.address).await.unwrap();
            send(&mut stream, write, &[body, "Expect: 100-continue"]).await;
            let reply = read_reply(&mut stream, false).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (405, "UNSUPPORTED"),
                "{write}"
            );
            assert_eq!(reply.header("allow"), Some("GET, HEAD"));
            assert_eq!(reply.header("connection"), Some("close"));
            let end = timeout(PATIENCE, stream.read_u8()).await.unwrap();
            assert_eq!(
                end.unwrap_err().kind(),
                std::io::ErrorKind::UnexpectedEof,
                "{write}"
            );
        }
    }
}

#[tokio::test]
async fn a_refused_push_gets_its_answer_even_while_it_still_sends() {
    let registry = mirror().await;
    let (mut answer, mut sending) = TcpStream::connect(registry.address)
        .await
        .unwrap()
        .into_split();
    send(
        &mut sending,
        "PUT /v2/app/manifests/latest",
        &["Content-Length: 8000000"],
    )
    .await;
    let push = async move {
        let body = vec![b'x'; 100_000];
        for _ in 0..80 {
            if sending.write_all(&body).await.is_err() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        sending
    };
    let read = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        read_reply(&mut answer, false).await
    };
    let (_sending, reply) = tokio::join!(push, read);
    assert_eq!(reply.status, 405);
}

#[tokio::test]
async fn methods_that_nobody_knows_are_refused_with_what_is_allowed() {
    let registry = Running::start().await;
    for method in ["OPTIONS", "TRACE", "BREW"] {
        for path in [
            "/v2/",
            "/v2/_catalog",
            "/v2/app/manifests/1",
            "/v2/app/tags/list",
        ] {
            let reply = registry.ask(&format!("{method} {path}"), &[]).await;
            assert_eq!(
                (reply.status, reply.header("allow")),
                (405, Some("GET, HEAD")),
                "{method} {path}"
            );
            assert_eq!(reply.code(), "UNSUPPORTED");
        }
    }
    for write in [
        "POST /v2/",
        "DELETE /v2/_catalog",
        "GET /v2/app/blobs/uploads/",
    ] {
        assert_eq!(registry.ask(write, &[]).await.status, 405, "{write}");
    }
}

#[tokio::test]
async fn paths_that_are_badly_written_are_refused_by_what_is_wrong_with_them() {
    let registry = Running::start().await;
    let long_tag = format!("/v2/app/manifests/{}", "t".repeat(129));
    let long_name = format!("/v2/{}/tags/list", "n".repeat(256));
    let cases = [
        ("/v2/App/manifests/1", 400, "NAME_INVALID"),
        ("/v2/a..b/manifests/1", 400, "NAME_INVALID"),
        ("/v2/../etc/manifests/1", 400, "NAME_INVALID"),
        ("/v2/%2e%2e/etc/manifests/1", 400, "NAME_INVALID"),
        ("/v2/a//b/manifests/1", 400, "NAME_INVALID"),
        (&long_name, 400, "NAME_INVALID"),
        (
            "/v2/app/manifests/sha256:baddigeststring",
            400,
            "DIGEST_INVALID",
        ),
        (
            "/v2/app/blobs/sha256:baddigeststring",
            400,
            "DIGEST_INVALID",
        ),
        (
            "/v2/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e",
            400,
            "DIGEST_INVALID",
        ),
        ("/v2/app/referrers/sha256:short", 400, "DIGEST_INVALID"),
        ("/v2/app/manifests/.hidden", 400, "TAG_INVALID"),
        (&long_tag, 400, "TAG_INVALID"),
        ("/v2/app/nothing/here", 404, "UNSUPPORTED"),
        ("/v2/app", 404, "UNSUPPORTED"),
        ("/v2/%zz/manifests/1", 404, "UNSUPPORTED"),
        ("/v2//_catalog", 404, "UNSUPPORTED"),
        ("/v2/app/blobs/uploads/7b1e6c0e", 404, "BLOB_UPLOAD_UNKNOWN"),
    ];
    for (path, status, code) in cases {
        let reply = registry.ask(&format!("GET {path}"), &[]).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, code),
            "{path}"
        );
        assert_eq!(
            reply.header("docker-distribution-api-version"),
            Some("registry/2.0")
        );
    }
    let push = registry
        .ask("PUT /v2/App/manifests/1", &["Content-Length: 0"])
        .await;
    assert_eq!((push.status, push.code().as_str()), (400, "NAME_INVALID"));
}

#[tokio::test]
async fn what_is_not_there_is_an_unknown_blob_or_manifest() {
    let registry = Running::start().await;
    registry.put_blob("app", "other bytes").await;
    let blob = registry
        .ask(&format!("GET /v2/app/blobs/{DIGEST}"), &[])
        .await;
    assert_eq!((blob.status, blob.code().as_str()), (404, "BLOB_UNKNOWN"));
    for reference in ["latest", DIGEST] {
        let manifest = registry
            .ask(&format!("GET /v2/app/manifests/{reference}"), &[])
            .await;
        assert_eq!(
            (manifest.status, manifest.code().as_str()),
            (404, "MANIFEST_UNKNOWN")
        );
        assert!(manifest.message().contains(reference));
    }
}

#[tokio::test]
async fn the_head_of_an_error_has_the_length_of_its_get_and_no_body() {
    let registry = Running::start().await;
    for path in [
        "/v2/app/manifests/latest",
        "/v2/App/manifests/1",
        "/v2/app/nothing/here",
    ] {
        let got = registry.ask(&format!("GET {path}"), &[]).await;
        let head = registry.ask(&format!("HEAD {path}"), &[]).await;
        assert_eq!(head.status, got.status);
        assert_eq!(head.header("content-type"), Some("application/json"));
        assert_eq!(head.header("content-length"), got.header("content-length"));
    }
}

#[tokio::test]
async fn a_panic_is_a_500_that_names_the_request_and_nothing_else() {
    let registry = Running::start().await;
    let reply = registry
        .ask("GET /panics", &["X-Request-Id: here-it-is"])
        .await;
    assert_eq!((reply.status, reply.code().as_str()), (500, "UNKNOWN"));
    assert!(reply.message().contains("here-it-is"));
    assert!(!reply.message().contains("secret"));
    assert_eq!(registry.ask("GET /v2/", &[]).await.status, 200);
}
