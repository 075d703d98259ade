//! HTTPS with a certificate from files (`http.tls.*`): the same answers as in the clear, limits, and files that change.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cistern_tests::caller::{Ended, call, get, head};
use cistern_tests::certificates::{Authority, Lifetime};
use cistern_tests::scripted_upstream::{Answer, Gate};
use cistern_tests::tls_tunnel::{TlsCaller, TlsTunnel};
use cistern_tests::{addresses, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::{MIB, SOON, assert_blob, assert_part, whole_gets};
use crate::scene::{TAG_PATH, assert_served};
use crate::tls_scene::{TlsScene, der, shown_by};

#[tokio::test]
async fn an_image_is_pulled_over_https_to_the_byte() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().start().await;
    let door = scene.door().await;
    // Twice: while it is fetched, and from the store.
    for _ in 0..2 {
        let top = get(TAG_PATH).send(&door.host()).await;
        assert_served(&top, &scene.image.top().bytes);
        for layer in &scene.image.blobs {
            let path = crate::scene::blob(&layer.digest);
            assert_blob(&get(&path).send(&door.host()).await, layer);
            let answer = head(&path).send(&door.host()).await;
            let size = layer.bytes.len().to_string();
            assert_eq!((answer.status, answer.body.len()), (200, 0));
            assert_eq!(answer.header("Content-Length"), Some(size.as_str()));
        }
    }
    assert_eq!(door.refusals(), Vec::<String>::new());
    cache.logs(&format!("tls={}", scene.address)).await;
}

#[tokio::test]
async fn a_big_blob_and_any_part_of_it_come_to_the_byte() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().start().await;
    let door = scene.door().await;
    let (blob, path) = scene.blob(7, 24 * MIB + 12_345);
    assert_blob(&get(&path).send(&door.host()).await, &blob);
    crate::common::kept(&cache, &blob.digest).await;
    // From the store, where pieces of files would be handed over in the clear.
    assert_blob(&get(&path).send(&door.host()).await, &blob);
    let size = blob.bytes.len();
    for (first, last) in [
        (0, 0),
        (1, 65_536),
        (65_535, 10 * MIB),
        (5 * MIB + 1, size - 1),
        (size - 1, size - 1),
    ] {
        let answer = get(&path).range(&format!("bytes={first}-{last}"));
        assert_part(&answer.send(&door.host()).await, &blob, first, last);
    }
}

#[tokio::test]
async fn many_callers_over_https_cost_one_upstream_copy() {
    let scene = TlsScene::new().await;
    let _cache = scene.cache().start().await;
    let door = scene.door().await;
    let (blob, path) = scene.blob(9, 4 * MIB);
    let gate = Gate::new();
    scene
        .upstream
        .on("GET", &path, Answer::held().stops_at(MIB, &gate));
    let mut callers = Vec::new();
    for _ in 0..20 {
        let (host, call) = (door.host(), get(&path));
        callers.push(tokio::spawn(async move { call.send(&host).await }));
    }
    eventually("the first question", SOON, || async {
        scene.upstream.count("GET", &path) > 0
    })
    .await;
    gate.open();
    for caller in callers {
        assert_blob(&caller.await.unwrap(), &blob);
    }
    assert_eq!(whole_gets(&scene.upstream, &path), 1);
}

#[tokio::test]
async fn a_caller_that_does_not_trust_the_root_is_refused_and_the_log_says_why() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().start().await;
    let stranger = TlsCaller::trusting(&Authority::new("another root").bundle());
    let error = stranger.connect(cache.address()).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    cache.logs("reason=not_trusted").await;
    // Trusted, but called by a name that is not in the certificate.
    let misnamed = scene.caller().calling("other.example");
    let error = misnamed.connect(cache.address()).await.unwrap_err();
    assert!(error.to_string().contains("not valid for"), "{error}");
    scene
        .caller()
        .calling("gateway.example")
        .connect(cache.address())
        .await
        .unwrap();
}

#[tokio::test]
async fn plain_http_on_the_https_port_is_answered_as_go_does() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().start().await;
    for call in [
        get("/v2/"),
        head("/v2/"),
        call("POST", "/v2/x/blobs/uploads/"),
    ] {
        let answer = call.send(&cache.host()).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.ended, Ended::Complete);
    }
    let answer = get("/v2/").send(&cache.host()).await;
    assert_eq!(
        answer.text(),
        "Client sent an HTTP request to an HTTPS server.\n"
    );
}

#[tokio::test]
async fn with_an_address_of_its_own_for_tls_the_main_one_stays_plain() {
    let scene = TlsScene::new().await;
    let plain = addresses::free();
    let cache = scene.cache().address(plain);
    let cache = cache.set("REGISTRY_HTTP_TLS_ADDR", &scene.address.to_string());
    let cache = cache.start().await;
    assert_served(
        &get(TAG_PATH).send(&cache.host()).await,
        &scene.image.top().bytes,
    );
    let door = scene.door().await;
    assert_served(
        &get(TAG_PATH).send(&door.host()).await,
        &scene.image.top().bytes,
    );
}

#[tokio::test]
async fn a_version_below_the_minimum_is_refused() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().set("REGISTRY_HTTP_TLS_MINIMUMTLS", "tls1.3");
    let cache = cache.start().await;
    let roots = scene.root.bundle();
    let old = TlsCaller::new(&roots, None, &[&rustls::version::TLS12]);
    assert!(old.connect(cache.address()).await.is_err());
    cache.logs("reason=nothing_in_common").await;
    let new = TlsCaller::new(&roots, None, &[&rustls::version::TLS13]);
    new.connect(cache.address()).await.unwrap();
}

#[tokio::test]
async fn both_versions_are_spoken_by_default() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().start().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let caller = TlsCaller::new(&scene.root.bundle(), None, &[version]);
        let door = TlsTunnel::to(cache.address(), caller).await;
        assert_served(
            &get(TAG_PATH).send(&door.host()).await,
            &scene.image.top().bytes,
        );
    }
}

#[tokio::test]
async fn with_client_authorities_a_caller_needs_a_certificate_of_theirs() {
    let scene = TlsScene::new().await;
    let children = Authority::new("children");
    scene.put("clients.pem", &children.bundle());
    let cache = scene
        .cache()
        .set("REGISTRY_HTTP_TLS_CLIENTCAS_0", &scene.text("clients.pem"));
    let cache = cache.start().await;
    let roots = scene.root.bundle();
    let child = children.edge_ca("child");
    let others = Authority::new("others");
    let served = async |caller: TlsCaller| {
        let door = TlsTunnel::to(cache.address(), caller).await;
        get(TAG_PATH).send(&door.host()).await.status
    };
    assert_eq!(
        served(TlsCaller::showing(&roots, &child.client("child 1"))).await,
        200
    );
    assert_eq!(served(TlsCaller::trusting(&roots)).await, 0);
    let wrong = others.edge_ca("x").client("child 1");
    assert_eq!(served(TlsCaller::showing(&roots, &wrong)).await, 0);
    // A server's certificate is not a caller's.
    let other_kind = child.server("child.example", &[]);
    let caller = TlsCaller::showing(&roots, &other_kind);
    assert_eq!(served(caller).await, 0);
    let over = Lifetime::ended_since(Duration::from_secs(5));
    let over = children.edge_ca_with("old", over).client("child 1");
    assert_eq!(served(TlsCaller::showing(&roots, &over)).await, 0);
    cache.logs("reason=client_certificate").await;
}

#[tokio::test]
async fn client_authorities_that_change_are_asked_for_from_then_on() {
    let scene = TlsScene::new().await;
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    scene.put("clients.pem", &before.bundle());
    let cache = scene
        .cache()
        .set("REGISTRY_HTTP_TLS_CLIENTCAS", &scene.text("clients.pem"));
    let cache = cache.start().await;
    let roots = scene.root.bundle();
    let door = async |authority: &Authority| {
        let caller = TlsCaller::showing(&roots, &authority.edge_ca("child").client("child"));
        TlsTunnel::to(cache.address(), caller).await
    };
    let (old, new) = (door(&before).await, door(&after).await);
    assert_eq!(get("/v2/").send(&old.host()).await.status, 200);
    assert_eq!(get("/v2/").send(&new.host()).await.status, 0);
    scene.put("clients.pem", &after.bundle());
    eventually("the new authority", SOON, || async {
        get("/v2/").send(&new.host()).await.status == 200
    })
    .await;
    assert_eq!(get("/v2/").send(&old.host()).await.status, 0);
}

#[tokio::test]
async fn five_hundred_silent_handshakes_keep_nobody_waiting_and_are_cut() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().start().await;
    let mut silent = Vec::new();
    for number in 0..500 {
        let mut stream = TcpStream::connect(cache.address()).await.unwrap();
        if number % 2 == 0 {
            // The beginning of a handshake, and no more.
            stream.write_all(&[0x16, 3, 1, 0, 200]).await.unwrap();
        }
        silent.push(stream);
    }
    let door = scene.door().await;
    let began = Instant::now();
    assert_served(
        &get(TAG_PATH).send(&door.host()).await,
        &scene.image.top().bytes,
    );
    // Their time limit is ten seconds: it was not waited for.
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    for mut stream in silent {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "a silent connection was never closed");
    }
    cache.logs("reason=too_slow").await;
}

#[tokio::test]
async fn a_caller_that_reads_slowly_slows_nobody_and_gets_every_byte() {
    let scene = TlsScene::new().await;
    let cache = scene.cache().start().await;
    let (blob, path) = scene.blob(11, 16 * MIB);
    let mut slow = scene.caller().connect(cache.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1000];
    slow.read_exact(&mut answer).await.unwrap();
    let door = scene.door().await;
    assert_blob(&get(&path).send(&door.host()).await, &blob);
    // Only now the slow one goes on.
    slow.read_to_end(&mut answer).await.unwrap();
    assert!(
        answer.ends_with(&blob.bytes[MIB..]),
        "other bytes than the blob's"
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_is_noticed_and_its_connection_given_back() {
    let scene = TlsScene::new().await;
    let cache = scene.cache();
    let debug = addresses::free();
    let cache = cache
        .set("REGISTRY_HTTP_DEBUG_ADDR", &debug.to_string())
        .start()
        .await;
    let (_, path) = scene.blob(13, 8 * MIB);
    let gate = Gate::new();
    scene
        .upstream
        .on("GET", &path, Answer::held().stops_at(MIB, &gate));
    let mut caller = scene.caller().connect(cache.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    caller.write_all(request.as_bytes()).await.unwrap();
    caller.read_exact(&mut [0; 1000]).await.unwrap();
    drop(caller);
    // The upstream is silent: nothing is written that could fail.
    eventually("noticing it", SOON, || async {
        let page = get("/metrics").send(&debug.to_string()).await.text();
        page.lines().any(|line| {
            line.starts_with("cistern_bodies_unfinished_total{") && !line.ends_with(" 0")
        })
    })
    .await;
    gate.open();
}

#[tokio::test]
async fn a_body_that_runs_at_a_stop_is_finished_over_tls_too() {
    let scene = TlsScene::new().await;
    let mut cache = scene.cache().start().await;
    let (blob, path) = scene.blob(17, 4 * MIB);
    let gate = Gate::new();
    scene
        .upstream
        .on("GET", &path, Answer::held().stops_at(MIB, &gate));
    let door = scene.door().await;
    let mut opened = get(&path).open(&door.host()).await.unwrap();
    let first = opened.read(1000).await;
    cache.begin_to_stop();
    cache.logs("stopping").await;
    gate.open();
    let rest = opened.finish().await;
    assert_eq!(rest.ended, Ended::Complete);
    assert_eq!([first, rest.body].concat(), blob.bytes);
    assert!(cache.ended_within(SOON).await.success());
}

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
            let answers = crate::tls_files::many(20, &door.host()).await;
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
