//! Bodies that are cut short, and requests that are no HTTP or too long.

use cistern_tests::images::{Item, OCI_MANIFEST, image};
use cistern_tests::pusher::with_query;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{MIB, REPOSITORY, Scene, UPLOADS, blob_path, manifest_path};

/// Sends the head and these bytes, and hangs up.
async fn cut_short(scene: &Scene, method: &str, target: &str, headers: &str, bytes: &[u8]) {
    let mut stream = TcpStream::connect(scene.registry.address()).await.unwrap();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: registry\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    // Until the other side has closed too: by then it is done with it.
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest)
        .await
        .ok();
}

#[tokio::test]
async fn of_a_body_that_is_cut_short_nothing_is_kept_under_any_name() {
    let scene = Scene::new().await;
    let blob = Item::random(9, 100_000);
    let half = &blob.bytes[..50_000];
    let length = "Content-Length: 100000\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let mut chunks = b"c350\r\n".to_vec();
    chunks.extend_from_slice(half);
    let single = with_query(UPLOADS, "digest", &blob.digest);
    cut_short(&scene, "POST", &single, length, half).await;
    cut_short(&scene, "POST", &single, chunked, &chunks).await;
    for (headers, bytes) in [(length, half), (chunked, &chunks)] {
        let target = with_query(&scene.begin().await, "digest", &blob.digest);
        cut_short(&scene, "PUT", &target, headers, bytes).await;
    }
    // Exactly its digest, only the end mark is missing.
    let mut whole = b"186a0\r\n".to_vec();
    whole.extend_from_slice(&blob.bytes);
    let target = with_query(&scene.begin().await, "digest", &blob.digest);
    cut_short(&scene, "PUT", &target, chunked, &whole).await;
    let path = blob_path(REPOSITORY, &blob.digest);
    assert_eq!(scene.caller.ask("GET", &path).await.status, 404);

    let other = image()
        .random_layers(5, 0, 0)
        .created("2001-01-01T00:00:00Z")
        .build();
    let manifest = other.top();
    let size = manifest.bytes.len();
    let headers = format!("Content-Type: {OCI_MANIFEST}\r\nContent-Length: {size}\r\n");
    for reference in ["v2", &manifest.digest] {
        let path = manifest_path(REPOSITORY, reference);
        cut_short(&scene, "PUT", &path, &headers, &manifest.bytes[..size - 1]).await;
        assert_eq!(scene.caller.ask("GET", &path).await.status, 404);
    }
    scene.assert_nothing_stored().await;
}

#[tokio::test]
async fn a_piece_that_is_cut_short_can_be_sent_again_from_where_it_broke_off() {
    let scene = Scene::new().await;
    let blob = Item::random(10, 100_000);
    let upload = scene.begin().await;
    let headers = "Content-Length: 100000\r\nContent-Range: 0-99999\r\n";
    cut_short(&scene, "PATCH", &upload, headers, &blob.bytes[..70_000]).await;
    let state = scene.caller.ask("GET", &upload).await;
    assert_eq!(state.status, 204);
    let range = state.header("Range").unwrap();
    let last: usize = range.strip_prefix("0-").unwrap().parse().unwrap();
    let taken = if last == 0 { 0 } else { last + 1 };
    assert!(taken <= 70_000, "{range}");
    let target = with_query(&upload, "digest", &blob.digest);
    let rest = blob.bytes.slice(taken..);
    let answer = scene
        .send(scene.caller.call("PUT", &target).body(rest))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let path = blob_path(REPOSITORY, &blob.digest);
    assert!(scene.caller.ask("GET", &path).await.body == blob.bytes);
}

#[tokio::test]
async fn requests_that_are_no_http_or_far_too_long_are_refused() {
    let scene = Scene::new().await;
    let upload = scene.begin().await;
    let call = |name: &str, value: &str| scene.caller.call("PATCH", &upload).header(name, value);
    let cases = [
        (call("Content-Length", "abc").raw("something"), 400),
        (call("Content-Length", "-1").raw("something"), 400),
        (
            call("Content-Length", "9")
                .header("Content-Length", "8")
                .raw("something"),
            400,
        ),
        (
            call("Content-Length", "99999999999999999999999999").raw("something"),
            400,
        ),
        (
            call("Transfer-Encoding", "chunked").raw("zz\r\nsomething\r\n0\r\n\r\n"),
            400,
        ),
        (call("X-Long", &"a".repeat(2 * MIB)).body("something"), 431),
        (
            (0..300)
                .fold(call("X-0", "0"), |call, number| {
                    call.header(&format!("X-{number}"), "0")
                })
                .body(""),
            431,
        ),
    ];
    for (call, status) in cases {
        let answer = scene.send(call).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let long = with_query(&upload, "digest", &"a".repeat(MIB));
    let answer = scene
        .send(scene.caller.call("PUT", &long).body("something"))
        .await;
    assert!(
        matches!(answer.status, 400 | 414 | 431),
        "{}",
        answer.status
    );
    let state = scene.caller.ask("GET", &upload).await;
    assert_eq!(state.status, 204);
    scene.assert_nothing_stored().await;
}
