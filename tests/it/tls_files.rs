//! HTTPS with a certificate from files (`http.tls.*`): the same answers as in the clear, limits, and files that change.

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
use crate::tls_scene::TlsScene;

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
