//! A caller that pushes over one connection, and writes bodies byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{PATIENCE, Reply, Running, read_reply, send};

/// `sha256` of `hello world`.
pub(super) const HELLO: &str =
    "sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";

/// A connection that goes on after an answer.
pub(super) struct Line {
    pub(super) stream: TcpStream,
}

impl Line {
    pub(super) async fn to(registry: &Running) -> Self {
        let stream = TcpStream::connect(registry.address).await.unwrap();
        Self { stream }
    }

    /// A whole request with a body of known length.
    pub(super) async fn ask(&mut self, request: &str, headers: &[&str], body: &[u8]) -> Reply {
        let length = format!("Content-Length: {}", body.len());
        send(
            &mut self.stream,
            request,
            &[headers, &[length.as_str()]].concat(),
        )
        .await;
        self.stream.write_all(body).await.unwrap();
        self.reply().await
    }

    pub(super) async fn head(&mut self, request: &str, headers: &[&str]) {
        send(&mut self.stream, request, headers).await;
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(super) async fn reply(&mut self) -> Reply {
        read_reply(&mut self.stream, false).await
    }

    /// Nothing comes any more: the other side has closed, and without a reset.
    pub(super) async fn assert_closed(&mut self) {
        let end = timeout(PATIENCE, self.stream.read_u8()).await.unwrap();
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    }
}

/// Begins a push; its address.
pub(super) async fn begin(registry: &Running) -> String {
    let reply = registry
        .ask("POST /v2/app/blobs/uploads/", &["Content-Length: 0"])
        .await;
    assert_eq!(reply.status, 202);
    reply.header("location").unwrap().to_owned()
}

/// How much of a push is here, in the words of the answer; asked until it is `range`, as a lost connection is noticed a moment later.
pub(super) async fn assert_comes_to(registry: &Running, upload: &str, range: &str) {
    let asking = async {
        loop {
            let reply = registry.ask(&format!("GET {upload}"), &[]).await;
            assert_eq!(reply.status, 204);
            if reply.header("range") == Some(range) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("{upload} never came to {range}"));
}

pub(super) async fn assert_no_blob(registry: &Running, digest: &str) {
    let reply = registry
        .ask(&format!("GET /v2/app/blobs/{digest}"), &[])
        .await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "BLOB_UNKNOWN"));
}

pub(super) async fn assert_hello(registry: &Running) {
    let reply = registry
        .ask(&format!("GET /v2/app/blobs/{HELLO}"), &[])
        .await;
    assert_eq!((reply.status, &*reply.body), (200, &b"hello world"[..]));
}

/// Pushes `hello world` to a repository in one request.
pub(super) async fn push_hello(registry: &Running, repository: &str) {
    let push = format!("POST /v2/{repository}/blobs/uploads/?digest={HELLO}");
    let kept = Line::to(registry)
        .await
        .ask(&push, &[], b"hello world")
        .await;
    assert_eq!(kept.status, 201);
    let blob = format!("/v2/{repository}/blobs/{HELLO}");
    assert_eq!(kept.header("location"), Some(blob.as_str()));
}
