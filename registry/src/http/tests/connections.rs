//! Connections: how they end, what limits them, and how they are drained.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, header};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::harness::{PATIENCE, Running, Setup, read_head, read_reply, send};
use crate::http::body::AnswerBody;
use crate::http::socket::Socket;
use crate::http::{Limits, Settings, Stopping, connection};
use crate::pull::{BlobBody, BodyBroke};

/// More than any socket buffers.
const LARGE: usize = 64 * 1024 * 1024;

/// Serves one connection on which every answer promises 1,000,000 bytes and breaks after 300,000.
async fn serve_a_body_that_breaks() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    let answer = |_: Request<Incoming>| async {
        let pieces = (0..3).map(|_| Ok(Bytes::from(vec![b'x'; 100_000])));
        let broken = pieces.chain([Err(BodyBroke("the link is down".to_owned()))]);
        let later = stream::iter(broken).then(async |piece| {
            sleep(Duration::from_millis(20)).await;
            piece
        });
        let body = AnswerBody::blob(BlobBody::Passing(later.boxed()), 1_000_000);
        let response = Response::builder().header(header::CONTENT_LENGTH, 1_000_000);
        Ok::<_, Infallible>(response.body(body).unwrap())
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "a test waits for nothing but its caller's side"
    )]
    tokio::spawn(connection::run(
        Socket::Plain(socket, Arc::default()),
        answer,
        Limits::default(),
        Stopping::default(),
    ));
    caller
}

#[tokio::test]
async fn a_body_that_breaks_ends_early_with_fin_and_all_that_was_there() {
    let mut caller = serve_a_body_that_breaks().await;
    send(&mut caller, "GET /v2/a/blobs/x", &[]).await;
    let (status, _) = read_head(&mut caller).await;
    assert_eq!(status, 200);
    let mut body = Vec::new();
    // A reset would be an error here; FIN is the end of what can be read.
    timeout(PATIENCE, caller.read_to_end(&mut body))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(body.len(), 300_000);
}

#[tokio::test]
async fn a_body_that_breaks_ends_with_fin_even_when_the_caller_has_sent_more() {
    let mut caller = serve_a_body_that_breaks().await;
    send(&mut caller, "GET /v2/a/blobs/x", &[]).await;
    for _ in 0..1000 {
        send(
            &mut caller,
            "GET /v2/a/blobs/next",
            &["X-Padding: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
        )
        .await;
    }
    read_head(&mut caller).await;
    let mut body = Vec::new();
    timeout(PATIENCE, caller.read_to_end(&mut body))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(body.len(), 300_000);
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection_also_without_waiting() {
    let registry = Running::start().await;
    let digest = registry.put_blob("app", "some bytes").await;
    let mut stream = TcpStream::connect(registry.address).await.unwrap();
    for _ in 0..3 {
        send(&mut stream, &format!("GET /v2/app/blobs/{digest}"), &[]).await;
        assert_eq!(read_reply(&mut stream, false).await.body, b"some bytes");
        send(&mut stream, &format!("HEAD /v2/app/blobs/{digest}"), &[]).await;
        assert_eq!(read_reply(&mut stream, true).await.status, 200);
    }
    for _ in 0..20 {
        send(&mut stream, &format!("GET /v2/app/blobs/{digest}"), &[]).await;
        send(&mut stream, "GET /v2/app/manifests/none", &[]).await;
    }
    for _ in 0..20 {
        assert_eq!(read_reply(&mut stream, false).await.body, b"some bytes");
        assert_eq!(read_reply(&mut stream, false).await.status, 404);
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let limits = Limits {
        head_time: Duration::from_millis(200),
        ..Limits::default()
    };
    let registry = Running::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    for sent in ["", "GET /v2/ HTTP/1.1\r\nHost:"] {
        let mut stream = TcpStream::connect(registry.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let started = Instant::now();
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest))
            .await
            .unwrap()
            .unwrap();
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let registry = Running::start().await;
    let large = format!("X-Large: {}", "a".repeat(300_000));
    let many: Vec<String> = (0..200).map(|line| format!("X-{line}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for headers in [vec![large.as_str()], many] {
        let mut stream = TcpStream::connect(registry.address).await.unwrap();
        send(&mut stream, "GET /v2/", &headers).await;
        assert_eq!(read_reply(&mut stream, false).await.status, 431);
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let registry = Running::with(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(registry.address).await.unwrap();
        send(&mut stream, "GET /v2/", &[]).await;
        open.push(stream);
    }
    let mut third = open.pop().unwrap();
    for stream in &mut open {
        assert_eq!(read_reply(stream, false).await.status, 200);
    }
    assert!(
        timeout(Duration::from_millis(200), third.read_u8())
            .await
            .is_err()
    );
    assert_eq!(registry.counted("cistern_connections"), Some(2));
    drop(open);
    assert_eq!(read_reply(&mut third, false).await.status, 200);
}

/// Asks for a large blob and reads only its head.
async fn begin_a_large_body(registry: &Running) -> TcpStream {
    let digest = registry.put_blob("app", vec![7; LARGE]).await;
    let mut stream = TcpStream::connect(registry.address).await.unwrap();
    send(&mut stream, &format!("GET /v2/app/blobs/{digest}"), &[]).await;
    assert_eq!(read_head(&mut stream).await.0, 200);
    stream
}

#[tokio::test]
async fn when_it_is_told_to_stop_idle_connections_end_and_running_bodies_finish() {
    let registry = Running::start().await;
    let mut running = begin_a_large_body(&registry).await;
    let mut fresh = TcpStream::connect(registry.address).await.unwrap();
    let mut idle = TcpStream::connect(registry.address).await.unwrap();
    send(&mut idle, "GET /v2/", &[]).await;
    read_reply(&mut idle, false).await;

    registry.stopping.gently.cancel();
    for quiet in [&mut idle, &mut fresh] {
        let end = timeout(Duration::from_secs(1), quiet.read_u8())
            .await
            .unwrap();
        assert_eq!(end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
    assert!(
        timeout(Duration::from_millis(100), registry.listening.ended())
            .await
            .is_err()
    );
    let refused = TcpStream::connect(registry.address).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);

    let mut body = Vec::new();
    timeout(PATIENCE, running.read_to_end(&mut body))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(body.len(), LARGE);
    drop(running);
    timeout(Duration::from_secs(3), registry.listening.ended())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_body_that_outlasts_the_drain_time_is_cut_with_fin() {
    let settings = Settings {
        drain: Duration::from_millis(200),
        ..Settings::default()
    };
    let registry = Running::with(Setup {
        settings,
        ..Setup::default()
    })
    .await;
    let mut running = begin_a_large_body(&registry).await;
    let started = Instant::now();
    registry.stopping.gently.cancel();
    timeout(Duration::from_secs(3), registry.listening.ended())
        .await
        .unwrap();
    assert!(started.elapsed() >= Duration::from_millis(200));
    let mut body = Vec::new();
    timeout(PATIENCE, running.read_to_end(&mut body))
        .await
        .unwrap()
        .unwrap();
    assert!(body.len() < LARGE);
}

#[tokio::test]
async fn a_second_signal_ends_at_once_what_the_first_would_let_finish() {
    let registry = Running::start().await;
    let _running = begin_a_large_body(&registry).await;
    registry.stopping.gently.cancel();
    assert!(
        timeout(Duration::from_millis(100), registry.listening.ended())
            .await
            .is_err()
    );
    registry.stopping.at_once.cancel();
    timeout(Duration::from_secs(2), registry.listening.ended())
        .await
        .unwrap();
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open() {
    let registry = Running::start().await;
    let mut stream = TcpStream::connect(registry.address).await.unwrap();
    send(&mut stream, "GET /v2/", &[]).await;
    read_reply(&mut stream, false).await;
    assert_eq!(registry.counted("cistern_connections"), Some(1));
    drop(stream);
    timeout(PATIENCE, async {
        while registry.counted("cistern_connections") != Some(0) {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}
