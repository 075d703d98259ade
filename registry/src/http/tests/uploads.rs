//! Pushes of blobs: mounted, given up, or not what their digest says.

use cistern_oci::{Algorithm, Digest};

use super::harness::Running;
use super::line::{HELLO, Line, assert_hello, assert_no_blob, begin, push_hello};

#[tokio::test]
async fn a_blob_that_is_here_is_mounted_and_one_that_is_not_begins_a_push() {
    let registry = Running::start().await;
    push_hello(&registry, "other").await;
    let missing = Digest::of(Algorithm::Sha512, b"not here");
    let cases = [
        (format!("mount={HELLO}&from=nowhere"), 202),
        (format!("mount={missing}&from=other"), 202),
        (format!("mount={missing}"), 202),
        (format!("mount={HELLO}&from=other"), 201),
        (format!("mount={HELLO}"), 201),
    ];
    for (query, status) in cases {
        let mounted = registry
            .ask(
                &format!("POST /v2/app/blobs/uploads/?{query}"),
                &["Content-Length: 0"],
            )
            .await;
        assert_eq!(mounted.status, status, "{query}");
        let location = mounted.header("location").unwrap();
        let found = registry.ask(&format!("GET {location}"), &[]).await;
        assert_eq!(
            found.status,
            if status == 201 { 200 } else { 204 },
            "{location}"
        );
    }
    assert_hello(&registry).await;
    for query in [
        "mount=sha256:none&from=other",
        &format!("mount={HELLO}&from=Other"),
    ] {
        let refused = registry
            .ask(
                &format!("POST /v2/app/blobs/uploads/?{query}"),
                &["Content-Length: 0"],
            )
            .await;
        assert_eq!(refused.status, 400, "{query}");
    }
}

#[tokio::test]
async fn an_upload_that_was_given_up_is_unknown() {
    let registry = Running::start().await;
    let upload = begin(&registry).await;
    let status = registry.ask(&format!("GET {upload}"), &[]).await;
    assert_eq!(
        (status.status, status.header("location")),
        (204, Some(&*upload))
    );
    let cancelled = registry.ask(&format!("DELETE {upload}"), &[]).await;
    assert_eq!(cancelled.status, 204);
    for request in [
        format!("GET {upload}"),
        format!("DELETE {upload}"),
        format!("PUT {upload}?digest={HELLO}"),
    ] {
        let reply = registry.ask(&request, &["Content-Length: 0"]).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (404, "BLOB_UPLOAD_UNKNOWN"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused_and_nothing_of_them_stays() {
    let registry = Running::start().await;
    let upload = begin(&registry).await;
    let refused = Line::to(&registry)
        .await
        .ask(&format!("PUT {upload}?digest={HELLO}"), &[], b"hello moon")
        .await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (400, "DIGEST_INVALID")
    );
    assert_no_blob(&registry, HELLO).await;
    assert_eq!(
        registry.ask(&format!("GET {upload}"), &[]).await.status,
        404
    );
    for query in [
        "digest=sha256:none",
        "digest=md5:00",
        "digest-algorithm=md5",
    ] {
        let refused = registry
            .ask(
                &format!("POST /v2/app/blobs/uploads/?{query}"),
                &["Content-Length: 0"],
            )
            .await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (400, "DIGEST_INVALID"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn who_lost_the_answer_to_the_last_request_gets_it_again() {
    let registry = Running::start().await;
    let upload = begin(&registry).await;
    let last = format!("PUT {upload}?digest={HELLO}");
    for _ in 0..2 {
        let kept = Line::to(&registry)
            .await
            .ask(&last, &[], b"hello world")
            .await;
        assert_eq!(kept.status, 201);
    }
    let other = format!("sha256:{}", "0".repeat(64));
    let unknown = Line::to(&registry)
        .await
        .ask(&format!("PUT {upload}?digest={other}"), &[], b"hello world")
        .await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "BLOB_UPLOAD_UNKNOWN")
    );
}
