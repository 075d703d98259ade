//! The files of `http.tls`: read again when they change, refused when they cannot be used, and watched for their end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cistern_tests::caller::get;
use cistern_tests::certificates::{Authority, Lifetime};
use cistern_tests::{addresses, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::common::SOON;
use crate::scene::{TAG_PATH, assert_served};
use crate::tls_scene::{TlsScene, der, shown_by};

#[tokio::test]
async fn a_certificate_that_is_renewed_under_load_costs_no_request_and_no_connection() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().start().await;
    let door = scene.door().await;
    assert_served(
        &get(TAG_PATH).send(&door.host()).await,
        &scene.image.top().bytes,
    );
    // A connection from before, to be used afterwards.
    let mut kept = scene.caller().connect(cache.address()).await.unwrap();
    let mut failed = Vec::new();
    let mut asked = 0;
    for _ in 0..3 {
        let next = scene.server(Lifetime::default());
        scene.put_pair(&next);
        let wanted = der(&next.certificate);
        let deadline = Instant::now() + SOON;
        while shown_by(&cache, &scene.caller()).await != Some(wanted.clone()) {
            assert!(
                Instant::now() < deadline,
                "the new certificate was not shown"
            );
            let answers = many(20, &door.host()).await;
            asked += answers.len();
            failed.extend(answers.into_iter().filter(|status| *status != 200));
        }
    }
    assert!(
        failed.is_empty(),
        "{failed:?} of {asked}: {:?}",
        door.refusals()
    );
    let request = "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    kept.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    kept.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

async fn many(count: usize, host: &str) -> Vec<u16> {
    let mut callers = Vec::new();
    for _ in 0..count {
        let host = host.to_owned();
        callers.push(tokio::spawn(async move {
            get(TAG_PATH).send(&host).await.status
        }));
    }
    let mut statuses = Vec::new();
    for caller in callers {
        statuses.push(caller.await.unwrap());
    }
    statuses
}

#[tokio::test]
async fn a_pair_that_is_half_written_leaves_the_one_before_in_use_until_it_is_whole() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().start().await;
    let before = shown_by(&cache, &scene.caller()).await.unwrap();
    let next = scene.server(Lifetime::default());
    let half = next.chain.split_at(next.chain.len() / 2).0;
    scene.put("server.pem", half);
    cache.logs("the certificates read before stay in use").await;
    assert_eq!(shown_by(&cache, &scene.caller()).await.unwrap(), before);
    scene.put("server.pem", &next.chain);
    cache
        .logs("its private key is not the key of the first certificate")
        .await;
    assert_eq!(shown_by(&cache, &scene.caller()).await.unwrap(), before);
    scene.put("server.key", &next.key);
    eventually("the new pair", SOON, || async {
        shown_by(&cache, &scene.caller()).await == Some(der(&next.certificate))
    })
    .await;
    cache.logs("the files of http.tls can be used again").await;
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start_and_are_named() {
    let scene = TlsScene::new().await;
    let other = scene.server(Lifetime::default());
    scene.put("other.key", &other.key);
    scene.put("empty.pem", "nothing here\n");
    for (name, file, says) in [
        ("CERTIFICATE", "missing.pem", "cannot be read"),
        ("CERTIFICATE", "empty.pem", "no certificate"),
        ("CERTIFICATE", "server.key", "swapped"),
        ("KEY", "other.key", "is not the key"),
        ("KEY", "empty.pem", "no private key"),
        ("CLIENTCAS", "empty.pem", "no certificate"),
    ] {
        let variable = format!("REGISTRY_HTTP_TLS_{name}");
        let cache = scene.cache().set(&variable, &scene.text(file));
        let (status, log) = cache.start_in_vain().await;
        let setting = format!("http.tls.{}", name.to_lowercase());
        assert!(!status.success());
        for words in [setting.as_str(), file, says] {
            assert!(log.contains(words), "{words:?} is missing in {log}");
        }
    }
}

#[tokio::test]
async fn an_expired_certificate_is_a_warning_and_the_server_starts() {
    let scene = TlsScene::new().await;
    let over = Lifetime::ended_since(Duration::from_secs(60));
    let over = scene.server(over);
    scene.put("server.pem", &over.certificate);
    scene.put("server.key", &over.key);
    let cache = scene.cache().start().await;
    cache.logs("is over since").await;
    // Without the device's own certificate the way to the root is missing.
    cache.logs("issuer gateway.deviceca").await;
    cache.logs("a certificate is over: it is refused").await;
}

#[tokio::test]
async fn a_health_check_finds_the_server_behind_tls_and_behind_client_certificates() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().start().await;
    let asked = healthcheck(&cache, &[]).await;
    assert!(asked.contains("healthy: https://"), "{asked}");
    drop(cache);
    scene.put("clients.pem", &Authority::new("children").bundle());
    let authorities = scene.text("clients.pem");
    let cache = scene
        .cache()
        .set("REGISTRY_HTTP_TLS_CLIENTCAS", &authorities);
    let cache = cache.start().await;
    let asked = healthcheck(&cache, &[("REGISTRY_HTTP_TLS_CLIENTCAS", &authorities)]).await;
    assert!(asked.starts_with("healthy: /healthz on "), "{asked}");
}

/// What `cistern healthcheck` says, with the server's own settings.
async fn healthcheck(cache: &cistern_tests::registry::Registry, more: &[(&str, &str)]) -> String {
    let address: SocketAddr = cache.address();
    let mut command = tokio::process::Command::new(cistern_tests::cistern::program());
    command
        .arg("healthcheck")
        .env("REGISTRY_HTTP_ADDR", address.to_string())
        .env(
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
            cache.store().path(),
        )
        .env("REGISTRY_HTTP_TLS_CERTIFICATE", "x")
        .env("REGISTRY_HTTP_TLS_KEY", "x");
    for (name, value) in more {
        command.env(name, value);
    }
    let output = command.output().await.unwrap();
    let (out, err) = (output.stdout, output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&err));
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn the_end_of_each_certificate_is_in_the_metrics_and_on_the_readiness_page() {
    let scene = TlsScene::new().await;
    let near = scene.server(Lifetime::ends_in(Duration::from_hours(24 * 5)));
    scene.put_pair(&near);
    scene.put("ca.pem", &scene.root.bundle());
    let debug = addresses::free();
    let cache = scene
        .cache()
        .set("REGISTRY_HTTP_DEBUG_ADDR", &debug.to_string())
        .set("REGISTRY_PROXY_CA", &scene.text("ca.pem"));
    let cache = cache.start().await;
    cache.logs("a certificate is about to end").await;
    let page = get("/readyz").send(&debug.to_string()).await.json();
    assert_eq!(page["tls"]["serving"], true);
    let own = &page["certificates"][0];
    assert_eq!(own["use"], "server");
    assert_eq!(own["names"][1], "gateway.example");
    assert!(own["left_seconds"].as_u64().unwrap() > 86_400 * 4);
    eventually("the other file", SOON, || async {
        let metrics = get("/metrics").send(&debug.to_string()).await.text();
        let told = |used_for: &str| {
            let start = format!("cistern_certificate_expiry_seconds{{use=\"{used_for}\"");
            metrics.lines().any(|line| line.starts_with(&start))
        };
        told("server") && told("upstream-authority")
    })
    .await;
}
