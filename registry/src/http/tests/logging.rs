//! The access log: one line per request, written when the body ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cistern_oci::Algorithm;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::subscriber::DefaultGuard;

use super::harness::{Kind, PATIENCE, Running, Setup, read_head, send};
use crate::http::Settings;

/// What was logged on this thread, on which all of a test runs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> (Self, DefaultGuard) {
        // Whether anybody listens is remembered for all threads; without this, a test that does not may decide it for one that does.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines of the access log; waits until there are `count`.
    async fn requests(&self, count: usize) -> Vec<Value> {
        timeout(PATIENCE, async {
            loop {
                let text = String::from_utf8(self.0.lock().clone()).unwrap();
                let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
                let requests: Vec<Value> = lines
                    .filter(|line: &Value| line["target"] == "cistern::access")
                    .collect();
                if requests.len() >= count {
                    return requests;
                }
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_request_is_one_line_that_says_who_asked_for_what_and_what_they_got() {
    let (log, _guard) = Log::listen();
    let settings = Settings {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Settings::default()
    };
    let registry = Running::with(Setup {
        settings,
        ..Setup::default()
    })
    .await;
    let digest = registry
        .put_manifest(
            "team/app",
            &["1.5"],
            Algorithm::Sha256,
            r#"{"schemaVersion":2}"#,
        )
        .await;
    // child:hunter2
    let headers = [
        "User-Agent: docker/29.0 \"quoted\"",
        "Authorization: Basic Y2hpbGQ6aHVudGVyMg==",
        "X-Forwarded-For: 10.9.8.7, 192.168.1.20",
        "X-Request-Id: id-1",
    ];
    registry
        .ask("GET /v2/team/app/manifests/1.5?ns=mirror.example", &headers)
        .await;
    let lines = log.requests(1).await;
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!(line["message"], "GET /v2/team/app/manifests/1.5 200");
    assert_eq!(line["action"], "manifest_get");
    assert_eq!(line["repository"], "team/app");
    assert_eq!(line["reference"], "1.5");
    assert_eq!(line["digest"], digest.to_string());
    assert_eq!(line["status"], 200);
    assert_eq!(line["bytes"], 19);
    assert_eq!(line["served"], "hit");
    assert_eq!(line["end"], "complete");
    assert_eq!(line["caller"], "192.168.1.20");
    assert_eq!(line["user"], "child");
    assert_eq!(line["user_agent"], "docker/29.0 \"quoted\"");
    assert_eq!(line["request_id"], "id-1");
    assert!(line["duration_ms"].is_f64() && line["ns"].is_null());
    let all = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(
        !all.contains("hunter2") && !all.contains("Y2hpbGQ6"),
        "{all}"
    );
}

#[tokio::test]
async fn refusals_are_lines_too_and_pages_are_for_debugging_only() {
    let (log, _guard) = Log::listen();
    let registry = Running::start().await;
    registry.ask("GET /healthz", &[]).await;
    registry.ask("GET /v2/App/manifests/1", &[]).await;
    registry
        .ask("PUT /v2/app/manifests/1", &["Content-Length: 0"])
        .await;
    let lines = log.requests(2).await;
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line["status"].as_u64(), line["served"].as_str()))
        .collect();
    assert_eq!(
        seen,
        [(Some(400), Some("refused")), (Some(400), Some("refused"))]
    );
}

#[tokio::test]
async fn writes_that_succeed_say_whether_something_came_or_went() {
    let (log, _guard) = Log::listen();
    let registry = Running::with(Setup {
        kind: Kind::Deletable,
        ..Setup::default()
    })
    .await;
    // The digest of nothing.
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let push = format!("POST /v2/app/blobs/uploads/?digest={digest}");
    registry.ask(&push, &["Content-Length: 0"]).await;
    registry
        .ask(&format!("DELETE /v2/app/blobs/{digest}"), &[])
        .await;
    let lines = log.requests(2).await;
    let seen: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["status"].as_u64(),
                line["action"].as_str(),
                line["served"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Some(201), Some("write"), Some("pushed")),
            (Some(202), Some("write"), Some("deleted"))
        ]
    );
    for (kind, total) in [("blob", 1), ("delete", 1), ("manifest", 0)] {
        let counted = format!("cistern_writes_total{{kind=\"{kind}\",outcome=\"done\"}}");
        assert_eq!(registry.counted(&counted), Some(total));
    }
    assert_eq!(registry.counted("cistern_uploads_open"), Some(0));
}

#[tokio::test]
async fn a_caller_that_leaves_is_logged_and_counted_as_cancelled_with_what_it_got() {
    let (log, _guard) = Log::listen();
    let registry = Running::start().await;
    let digest = registry.put_blob("app", vec![7; 64 * 1024 * 1024]).await;
    let mut stream = TcpStream::connect(registry.address).await.unwrap();
    send(&mut stream, &format!("GET /v2/app/blobs/{digest}"), &[]).await;
    read_head(&mut stream).await;
    drop(stream);
    let line = &log.requests(1).await[0];
    assert_eq!(
        (line["status"].as_u64(), line["end"].as_str()),
        (Some(200), Some("cancelled"))
    );
    let bytes = line["bytes"].as_u64().unwrap();
    assert!(bytes < 64 * 1024 * 1024);
    assert_eq!(
        registry.counted("cistern_bodies_unfinished_total{why=\"cancelled\"}"),
        Some(1)
    );
    assert_eq!(
        registry.counted("cistern_body_bytes_total{served=\"hit\"}"),
        Some(bytes)
    );
}

#[tokio::test]
async fn nothing_is_logged_when_the_access_log_is_disabled() {
    let (log, _guard) = Log::listen();
    let settings = Settings {
        access_log: false,
        ..Settings::default()
    };
    let registry = Running::with(Setup {
        settings,
        ..Setup::default()
    })
    .await;
    registry.ask("GET /v2/", &[]).await;
    registry.ask("GET /v2/app/manifests/1", &[]).await;
    assert_eq!(log.requests(0).await, Vec::<Value>::new());
    assert_eq!(
        registry.counted("cistern_requests_total{action=\"ping\",status=\"200\",served=\"none\"}"),
        Some(1)
    );
}

#[tokio::test]
async fn a_fault_of_ours_is_explained_in_the_log_under_the_id_that_the_caller_was_told() {
    let (log, _guard) = Log::listen();
    let registry = Running::start().await;
    registry.ask("GET /panics", &["X-Request-Id: id-2"]).await;
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains("a request failed here"))
        .unwrap();
    assert!(line.contains("id-2") && line.contains("panicked"), "{line}");
}
