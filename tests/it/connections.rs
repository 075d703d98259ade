//! One connection after the other: kept, reused, and closed when what follows on it cannot be trusted.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::scene::{SOON, Scene, TAG_PATH};

/// A connection that is kept.
struct Kept(TcpStream);

impl Kept {
    async fn to(scene: &Scene) -> Self {
        Self(TcpStream::connect(scene.cache.address()).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The head of the next answer.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        let reading = async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.unwrap());
            }
        };
        tokio::time::timeout(SOON, reading).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    /// The next answer: its head, and as many bytes as it says.
    async fn answer(&mut self) -> (String, Vec<u8>) {
        let head = self.head().await;
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).unwrap();
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (head, body)
    }

    /// What comes until the other side closes.
    async fn rest(&mut self) -> String {
        let mut rest = String::new();
        let reading = self.0.read_to_string(&mut rest);
        tokio::time::timeout(SOON, reading).await.unwrap().unwrap();
        rest
    }
}

#[tokio::test]
async fn many_requests_pass_through_one_connection_in_their_order() {
    let scene = Scene::new().await;
    let host = scene.cache.host();
    let mut kept = Kept::to(&scene).await;
    let request =
        |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for _ in 0..3 {
        kept.send(&request("HEAD", TAG_PATH)).await;
        assert!(kept.head().await.starts_with("HTTP/1.1 200 "));
        kept.send(&request("GET", TAG_PATH)).await;
        assert_eq!(kept.answer().await.1, scene.image.top().bytes);
        kept.send(&request("GET", &scene.layer())).await;
        assert_eq!(kept.answer().await.1, scene.image.largest_blob().bytes);
        kept.send(&request("GET", "/v2/team/app/manifests/none"))
            .await;
        assert!(kept.answer().await.0.starts_with("HTTP/1.1 404 "));
    }
    // All at once, without waiting for answers.
    let all = request("GET", TAG_PATH) + &request("GET", &scene.layer()) + &request("GET", "/v2/");
    kept.send(&all).await;
    assert_eq!(kept.answer().await.1, scene.image.top().bytes);
    assert_eq!(kept.answer().await.1, scene.image.largest_blob().bytes);
    assert_eq!(kept.answer().await.1, b"{}");
}

#[tokio::test]
async fn a_refused_push_is_answered_before_its_body_and_the_connection_is_closed() {
    let scene = Scene::new().await;
    for more in [
        "Content-Length: 1000000000\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello",
        "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let mut kept = Kept::to(&scene).await;
        kept.send(&format!("PUT {TAG_PATH} HTTP/1.1\r\nHost: cache\r\n{more}"))
            .await;
        let answer = kept.rest().await.to_lowercase();
        assert!(answer.starts_with("http/1.1 405 "), "{answer}");
        assert!(
            answer.contains("connection: close") && answer.contains("allow: get, head"),
            "{answer}"
        );
        assert_eq!(answer.matches("http/1.1 ").count(), 1, "{answer}");
    }
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_push_that_hides_another_request_in_its_body_gets_one_answer() {
    let scene = Scene::new().await;
    let hidden = format!("GET {TAG_PATH} HTTP/1.1\r\nHost: cache\r\n\r\n");
    let mut kept = Kept::to(&scene).await;
    let length = hidden.len();
    kept.send(&format!("POST /v2/team/app/blobs/uploads/ HTTP/1.1\r\nHost: cache\r\nContent-Length: {length}\r\n\r\n{hidden}{hidden}")).await;
    let answer = kept.rest().await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_head_that_is_no_http_is_refused_and_the_server_goes_on() {
    let scene = Scene::new().await;
    let long = format!("GET /v2/{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET /v2/ HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1000));
    for bad in [
        "\u{16}\u{3}\u{1}hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v2/ HTTP/9.9\r\n\r\n",
        &long,
        &many,
        "GET /v2/ HTTP/1.1\r\nA b\r\n\r\n",
    ] {
        let mut kept = Kept::to(&scene).await;
        kept.0.write_all(bad.as_bytes()).await.ok();
        let mut answer = Vec::new();
        let reading = kept.0.read_to_end(&mut answer);
        tokio::time::timeout(SOON, reading).await.unwrap().ok();
        assert!(
            !answer.starts_with(b"HTTP/1.1 2"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    scene.pull().await;
}

#[tokio::test]
async fn requests_in_absolute_form_and_of_http_1_0_are_understood() {
    let scene = Scene::new().await;
    let mut kept = Kept::to(&scene).await;
    kept.send(&format!(
        "GET http://cache.lan:5000{TAG_PATH} HTTP/1.1\r\nHost: cache.lan:5000\r\n\r\n"
    ))
    .await;
    assert_eq!(kept.answer().await.1, scene.image.top().bytes);
    let mut old = Kept::to(&scene).await;
    old.send(&format!("GET {TAG_PATH} HTTP/1.0\r\n\r\n")).await;
    assert_eq!(old.answer().await.1, scene.image.top().bytes);
    assert_eq!(old.rest().await, "", "it is closed after its one answer");
}

#[tokio::test]
async fn a_caller_that_sends_its_head_slowly_is_waited_for_and_holds_up_nobody() {
    let scene = Scene::new().await;
    let mut slow = Kept::to(&scene).await;
    for piece in ["GET /v2", "/ HTTP/1.1\r\nHo", "st: cache\r\n"] {
        slow.send(piece).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(scene.get("/v2/").await.status, 200);
    }
    slow.send("\r\n").await;
    assert_eq!(slow.answer().await.1, b"{}");
}
