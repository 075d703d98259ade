//! Health, readiness, metrics, and where each of them is offered.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tokio::net::UnixStream;

use super::harness::{Running, Setup, ask_at, read_reply, send};
use crate::http::Settings;
use crate::warm::Bootstrap;

#[tokio::test]
async fn health_and_readiness_judge_the_store_and_tell_of_the_upstreams() {
    let registry = Running::start().await;
    let health = registry.ask("GET /healthz", &[]).await;
    assert_eq!(
        (health.status, health.body.as_slice()),
        (200, b"ok\n".as_slice())
    );
    let ready = registry.ask("GET /readyz", &[]).await;
    let upstreams = json!([{
        "upstream": "up.example",
        "state": "offline",
        "degraded": true,
        "since": "1970-01-01T00:00:00Z",
        "last_error": "up.example: no answer in time",
        "credentials_refused": false,
        "paused_for": 7,
    }]);
    assert_eq!(
        ready.status, 200,
        "a link that is down is no reason to restart a cache"
    );
    let mut report = ready.json();
    let stale = report["stale_tags"].take();
    assert_eq!(
        report,
        json!({
            "ready": true,
            "store": "ok",
            "upstreams": upstreams,
            "stale_tags": null,
            "bootstrap": { "required": false, "ready": true, "missing": [] },
        })
    );
    assert_eq!(stale["count"], 101);
    let tags = stale["tags"].as_array().unwrap();
    assert_eq!(tags.len(), 100, "the page has an end");
    let first = json!({
        "repository": "plant/app",
        "tag": "v1",
        "digest": tags[0]["digest"],
        "since": "1970-01-01T00:00:01Z",
        "why": "up.example: no answer in time",
        "last_asked": "1970-01-01T00:01:00Z",
    });
    assert_eq!(tags[0], first);
    assert_eq!(registry.ask("HEAD /healthz", &[]).await.status, 200);
    assert_eq!(
        registry
            .ask("POST /healthz", &["Content-Length: 0"])
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn a_store_that_is_ill_makes_health_and_readiness_fail() {
    let registry = Running::with(Setup {
        store_is_ill: true,
        ..Setup::default()
    })
    .await;
    assert_eq!(registry.ask("GET /healthz", &[]).await.status, 503);
    let ready = registry.ask("GET /readyz", &[]).await;
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &json!(false)));
}

#[tokio::test]
async fn readiness_waits_for_the_bootstrap_set_only_where_it_is_required() {
    for (is_required, status) in [(true, 503), (false, 200)] {
        let missing = vec!["$upstream:443/azureiotedge-agent:1.5".to_owned()];
        let registry = Running::with(Setup {
            bootstrap: Some(Bootstrap {
                is_required,
                missing: missing.clone(),
            }),
            ..Setup::default()
        })
        .await;
        let ready = registry.ask("GET /readyz", &[]).await;
        let wanted = json!({ "required": is_required, "ready": false, "missing": missing });
        assert_eq!(
            (ready.status, &ready.json()["bootstrap"]),
            (status, &wanted)
        );
        assert_eq!(ready.json()["ready"], !is_required);
        assert_eq!(registry.ask("GET /healthz", &[]).await.status, 200);
    }
}

#[tokio::test]
async fn metrics_are_on_the_debug_address_and_on_the_main_one_only_if_asked_for() {
    let registry = Running::with(Setup {
        with_debug: true,
        ..Setup::default()
    })
    .await;
    registry.ask("GET /v2/", &[]).await;
    assert_eq!(registry.ask("GET /metrics", &[]).await.status, 404);
    let debug = registry.debug_address.unwrap();
    let page = ask_at(debug, "GET /metrics", &[]).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = String::from_utf8(page.body).unwrap();
    assert!(
        text.contains("cistern_requests_total{action=\"ping\",status=\"200\",served=\"none\"} 1\n"),
        "{text}"
    );
    assert_eq!(ask_at(debug, "GET /healthz", &[]).await.status, 200);
    assert_eq!(ask_at(debug, "GET /v2/", &[]).await.status, 404);

    let settings = Settings {
        metrics_on_main: true,
        metrics_path: "/internal/metrics".to_owned(),
        ..Settings::default()
    };
    let registry = Running::with(Setup {
        settings,
        ..Setup::default()
    })
    .await;
    assert_eq!(registry.ask("GET /internal/metrics", &[]).await.status, 200);
    assert_eq!(registry.ask("GET /metrics", &[]).await.status, 404);
}

#[tokio::test]
async fn a_metrics_path_that_is_taken_or_no_path_does_not_stop_the_server() {
    for path in ["/healthz", "metrics", "/{all}", "/v2/", ""] {
        let settings = Settings {
            metrics_on_main: true,
            metrics_path: path.to_owned(),
            ..Settings::default()
        };
        let registry = Running::with(Setup {
            settings,
            ..Setup::default()
        })
        .await;
        assert_eq!(
            registry.ask("GET /metrics", &[]).await.status,
            200,
            "{path}"
        );
        assert_eq!(registry.ask("GET /healthz", &[]).await.body, b"ok\n");
    }
}

#[tokio::test]
async fn the_admin_socket_is_its_owners_and_offers_no_registry() {
    let registry = Running::start().await;
    let mode = std::fs::metadata(&registry.admin)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    for (page, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/v2/", 404),
        ("/", 404),
    ] {
        let mut stream = UnixStream::connect(&registry.admin).await.unwrap();
        send(&mut stream, &format!("GET {page}"), &[]).await;
        assert_eq!(
            read_reply(&mut stream, false).await.status,
            status,
            "{page}"
        );
    }
}

#[tokio::test]
async fn an_admin_socket_left_behind_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = crate::http::socket::Listener::bind_owner_only(&path).unwrap();
    let connected = UnixStream::connect(&path).await;
    assert!(connected.is_ok());
    drop(listener);
}
