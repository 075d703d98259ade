//! Bodies of pushes, byte by byte: announced, without a length, cut short, too long, and not sent at all when nobody wants them.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{PATIENCE, Running, read_head, read_reply, send};
use super::line::{HELLO, Line, assert_comes_to, assert_hello, assert_no_blob, begin};

#[tokio::test]
async fn one_connection_carries_a_whole_push() {
    let registry = Running::start().await;
    let mut line = Line::to(&registry).await;
    let begun = line.ask("POST /v2/app/blobs/uploads/", &[], b"").await;
    assert_eq!(begun.status, 202);
    let upload = begun.header("location").unwrap();
    assert!(upload.starts_with("/v2/app/blobs/uploads/"), "{upload}");
    let patched = line
        .ask(
            &format!("PATCH {upload}"),
            &["Content-Range: 0-4"],
            b"hello",
        )
        .await;
    assert_eq!(
        (patched.status, patched.header("range")),
        (202, Some("0-4"))
    );
    assert_eq!(patched.header("location"), Some(upload));
    let patched = line
        .ask(
            &format!("PATCH {upload}"),
            &["Content-Range: bytes 5-5/*"],
            b" ",
        )
        .await;
    assert_eq!(
        (patched.status, patched.header("range")),
        (202, Some("0-5"))
    );
    let kept = line
        .ask(&format!("PUT {upload}?digest={HELLO}"), &[], b"world")
        .await;
    assert_eq!(kept.status, 201);
    let blob = format!("/v2/app/blobs/{HELLO}");
    assert_eq!(kept.header("location"), Some(blob.as_str()));
    assert_eq!(kept.header("docker-content-digest"), Some(HELLO));
    let read = line.ask(&format!("GET {blob}"), &[], b"").await;
    assert_eq!((read.status, &*read.body), (200, &b"hello world"[..]));
}

#[tokio::test]
async fn a_body_without_a_length_may_come_in_pieces_of_any_size_with_extensions_and_trailers() {
    let registry = Running::start().await;
    let upload = begin(&registry).await;
    let mut line = Line::to(&registry).await;
    line.head(&format!("PATCH {upload}"), &["Transfer-Encoding: chunked"])
        .await;
    for byte in b"1;name=value\r\nh\r\n0004\r\nello\r\n0\r\nX-Trailer: no\r\n\r\n" {
        line.write(&[*byte]).await;
    }
    let patched = line.reply().await;
    assert_eq!(
        (patched.status, patched.header("range")),
        (202, Some("0-4"))
    );
    line.head(
        &format!("PUT {upload}?digest={HELLO}"),
        &["Transfer-Encoding: chunked"],
    )
    .await;
    line.write(b"6\r\n world\r\n0\r\n\r\n").await;
    assert_eq!(line.reply().await.status, 201);
    assert_hello(&registry).await;
}

#[tokio::test]
async fn a_body_is_asked_for_when_it_is_wanted() {
    let registry = Running::start().await;
    let upload = begin(&registry).await;
    let mut line = Line::to(&registry).await;
    line.head(
        &format!("PUT {upload}?digest={HELLO}"),
        &["Content-Length: 11", "Expect: 100-continue"],
    )
    .await;
    let (status, _) = timeout(PATIENCE, read_head(&mut line.stream))
        .await
        .unwrap();
    assert_eq!(status, 100);
    line.write(b"hello world").await;
    assert_eq!(line.reply().await.status, 201);
    assert_hello(&registry).await;
}

/// A request with a body that is refused by its head, with the status and, if it matters, the code.
type Unwanted = (String, Vec<&'static str>, u16, &'static str);

/// What is wrong already before the body: an unknown push, no digest, another length, another place, too much.
fn unwanted(upload: &str) -> Vec<Unwanted> {
    let unknown = "/v2/app/blobs/uploads/7b1e6c0e-0000-4000-8000-000000000000";
    let elsewhere = upload.replace("/app/", "/other/");
    let length = "Content-Length: 11";
    vec![
        (
            format!("PATCH {unknown}"),
            vec![length],
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (
            format!("PATCH {elsewhere}"),
            vec![length],
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (
            format!("PUT {unknown}?digest={HELLO}"),
            vec![length],
            404,
            "BLOB_UPLOAD_UNKNOWN",
        ),
        (format!("PUT {upload}"), vec![length], 400, "DIGEST_INVALID"),
        (
            format!("PUT {upload}?digest=sha256:none"),
            vec![length],
            400,
            "DIGEST_INVALID",
        ),
        (
            format!("PATCH {upload}"),
            vec![length, "Content-Range: 0-11"],
            400,
            "SIZE_INVALID",
        ),
        (
            format!("PATCH {upload}"),
            vec!["Transfer-Encoding: chunked", "Content-Range: 7-9"],
            416,
            "BLOB_UPLOAD_INVALID",
        ),
        (
            format!("PUT {upload}?digest={HELLO}"),
            vec![
                length,
                "Content-Range: 18446744073709551605-18446744073709551615",
            ],
            416,
            "BLOB_UPLOAD_INVALID",
        ),
        (
            "PUT /v2/app/manifests/latest".to_owned(),
            vec!["Content-Length: 4194305"],
            413,
            "",
        ),
    ]
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_not_asked_for() {
    let registry = Running::start().await;
    let upload = begin(&registry).await;
    for (request, headers, status, code) in unwanted(&upload) {
        let mut line = Line::to(&registry).await;
        line.head(
            &request,
            &[headers.as_slice(), &["Expect: 100-continue"]].concat(),
        )
        .await;
        let reply = line.reply().await;
        assert_eq!(reply.status, status, "{request} {headers:?}");
        assert!(
            code.is_empty() || reply.code() == code,
            "{request}: {}",
            reply.code()
        );
        assert_eq!(reply.header("connection"), Some("close"), "{request}");
        if status == 416 {
            assert_eq!(reply.header("location"), Some(upload.as_str()));
            assert!(reply.header("range").is_some());
        }
        line.assert_closed().await;
    }
    // All that left the push as it was.
    let kept = Line::to(&registry)
        .await
        .ask(&format!("PUT {upload}?digest={HELLO}"), &[], b"hello world")
        .await;
    assert_eq!(kept.status, 201);
}

#[tokio::test]
async fn what_came_before_the_line_was_lost_stays_and_the_push_goes_on_behind_it() {
    let registry = Running::start().await;
    for framing in ["Content-Length: 11", "Transfer-Encoding: chunked"] {
        let upload = begin(&registry).await;
        let mut line = Line::to(&registry).await;
        line.head(&format!("PATCH {upload}"), &[framing]).await;
        let piece: &[u8] = if framing.starts_with('C') {
            b"hello"
        } else {
            b"5\r\nhello\r\n"
        };
        line.write(piece).await;
        drop(line);
        assert_comes_to(&registry, &upload, "0-4").await;
        let kept = Line::to(&registry)
            .await
            .ask(&format!("PUT {upload}?digest={HELLO}"), &[], b" world")
            .await;
        assert_eq!(kept.status, 201, "{framing}");
        assert_hello(&registry).await;
    }
}

#[tokio::test]
async fn a_blob_whose_last_byte_came_is_not_kept_when_its_body_did_not_end() {
    let registry = Running::start().await;
    // Without the last, empty piece nobody knows that this was all.
    let upload = begin(&registry).await;
    let mut line = Line::to(&registry).await;
    line.head(
        &format!("PUT {upload}?digest={HELLO}"),
        &["Transfer-Encoding: chunked"],
    )
    .await;
    line.write(b"b\r\nhello world\r\n").await;
    line.stream.shutdown().await.unwrap();
    let mut said = Vec::new();
    timeout(PATIENCE, line.stream.read_to_end(&mut said))
        .await
        .unwrap()
        .unwrap();
    assert!(!said.starts_with(b"HTTP/1.1 2"), "{said:?}");
    assert_no_blob(&registry, HELLO).await;
    assert_comes_to(&registry, &upload, "0-10").await;
}

#[tokio::test]
async fn of_a_push_in_one_request_that_breaks_off_nothing_stays() {
    let registry = Running::start().await;
    let mut line = Line::to(&registry).await;
    line.head(
        &format!("POST /v2/app/blobs/uploads/?digest={HELLO}"),
        &["Content-Length: 400000"],
    )
    .await;
    line.write(&vec![b'x'; 300_000]).await;
    let uploads = registry.admin.parent().unwrap().join("cistern/uploads");
    // The push has begun.
    assert_becomes(&uploads, 1).await;
    drop(line);
    assert_becomes(&uploads, 0).await;
    assert_no_blob(&registry, HELLO).await;
}

/// Waits until there are so many pushes in the store.
async fn assert_becomes(uploads: &Path, count: usize) {
    let looking = async {
        while std::fs::read_dir(uploads).map_or(0, Iterator::count) != count {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, looking)
        .await
        .unwrap_or_else(|_| panic!("there never were {count} pushes"));
}

#[tokio::test]
async fn a_piece_of_another_length_than_its_place_is_refused() {
    let registry = Running::start().await;
    for (place, body) in [
        ("Content-Range: 0-3", &b"5\r\nhello\r\n0\r\n\r\n"[..]),
        ("Content-Range: 0-9", b"5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let upload = begin(&registry).await;
        let mut line = Line::to(&registry).await;
        line.head(
            &format!("PATCH {upload}"),
            &["Transfer-Encoding: chunked", place],
        )
        .await;
        line.write(body).await;
        let reply = line.reply().await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, "SIZE_INVALID"),
            "{place}"
        );
    }
}

#[tokio::test]
async fn places_that_are_none_are_refused() {
    let registry = Running::start().await;
    let upload = begin(&registry).await;
    for place in [
        "",
        "-",
        "5",
        "5-",
        "-5",
        "5-1",
        "0-x",
        "+0-10",
        "0-99999999999999999999",
        "items 0-10",
    ] {
        let header = format!("Content-Range: {place}");
        let reply = Line::to(&registry)
            .await
            .ask(&format!("PATCH {upload}"), &[&header], b"hello world")
            .await;
        assert_eq!(reply.status, 400, "{place:?}");
    }
    let reply = registry.ask(&format!("GET {upload}"), &[]).await;
    assert_eq!(reply.status, 204);
    // None of it was taken.
    let kept = Line::to(&registry)
        .await
        .ask(&format!("PUT {upload}?digest={HELLO}"), &[], b"hello world")
        .await;
    assert_eq!(kept.status, 201);
}

#[tokio::test]
async fn a_manifest_without_an_end_is_refused_while_it_still_comes() {
    let registry = Running::start().await;
    let (mut answer, mut sending) = TcpStream::connect(registry.address)
        .await
        .unwrap()
        .into_split();
    send(
        &mut sending,
        "PUT /v2/app/manifests/latest",
        &["Transfer-Encoding: chunked"],
    )
    .await;
    let endless = async move {
        let mut piece = b"10000\r\n".to_vec();
        piece.extend_from_slice(&vec![b' '; 0x10000]);
        piece.extend_from_slice(b"\r\n");
        // The other side stops to listen at some time.
        while sending.write_all(&piece).await.is_ok() {}
        sending
    };
    let read = async { read_reply(&mut answer, false).await };
    let reply = tokio::select! {
        _ = endless => panic!("the line was cut without an answer"),
        reply = read => reply,
    };
    assert_eq!(reply.status, 413);
    assert_eq!(reply.header("connection"), Some("close"));
    let listed = registry.ask("GET /v2/app/tags/list", &[]).await;
    assert_eq!(listed.status, 404);
}
