//! The uplink is slow, broken or gone: what is cached is served, what is not is refused in words that a client can act on.

use std::time::Duration;

use cistern_tests::addresses;
use cistern_tests::caller::{get, head};
use cistern_tests::cistern::mirror_of;
use cistern_tests::images::{Item, image};
use cistern_tests::registry::{Product, RegistryBuilder};
use cistern_tests::scripted_upstream::{Answer, ScriptedUpstream};
use cistern_tests::store::Store;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::scene::{
    REPOSITORY, SOON, Scene, TAG, TAG_PATH, assert_refused, assert_served, blob, error, is_stale,
    manifest,
};

/// What containerd waits for the head of an answer.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_upstream_that_never_answers_becomes_an_error_before_clients_give_up() {
    let scene = Scene::new().await;
    scene.upstream.black_hole(true);
    let host = scene.cache.host();
    let ask = async |path: String| {
        let patient = Duration::from_secs(40);
        let answer = get(&path).patience(patient).send(&host).await;
        assert!(answer.whole_after < HEAD_WITHIN, "{:?}", answer.whole_after);
        assert_eq!(answer.status, 503, "{path}: {}", answer.text());
        assert!(answer.header("Retry-After").is_some());
        answer
    };
    let blob_head = async {
        let answer = head(&scene.layer())
            .patience(Duration::from_secs(40))
            .send(&host)
            .await;
        assert!(answer.status == 503 && answer.whole_after < HEAD_WITHIN);
    };
    let by_digest = manifest(scene.image.digest());
    let ((), tag, ..) = tokio::join!(
        blob_head,
        ask(TAG_PATH.to_owned()),
        ask(by_digest),
        ask(scene.layer()),
        ask(format!("/v2/{REPOSITORY}/tags/list")),
    );
    let says = [scene.upstream.host(), "no answer in time".to_owned()];
    assert_refused(
        &tag,
        503,
        "UNAVAILABLE",
        &says.each_ref().map(String::as_str),
    );
    assert_eq!(error(&tag)["detail"]["cause"], "timeout");
}

#[tokio::test]
async fn what_is_cached_is_served_without_asking_an_upstream_that_refuses_connections() {
    let mut scene = Scene::warm(&[]).await;
    scene.upstream.stop().await;
    scene.cache.restart().await;
    for item in &scene.image.manifests {
        assert_served(&scene.get(&manifest(&item.digest)).await, &item.bytes);
    }
    for item in &scene.image.blobs {
        assert_served(&scene.get(&blob(&item.digest)).await, &item.bytes);
    }
    assert_served(&scene.get(TAG_PATH).await, &scene.image.top().bytes);
    let missing = scene.get(&manifest("never-pulled")).await;
    let says = [
        "could not be reached",
        "no connection",
        &scene.upstream.host(),
    ];
    assert_refused(&missing, 503, "UNAVAILABLE", &says);
    let missing = scene.get(&blob(&Item::random(9, 10).digest)).await;
    assert_refused(&missing, 503, "UNAVAILABLE", &says);
}

/// A cache of `url` on a store that holds an image already; what it answers for the tag, a blob, and something else.
async fn offline(url: &str, cause: &str, words: &str) {
    let image = image().random_layers(1, 1, 1000).build();
    let store = Store::new();
    store.put(&image, REPOSITORY, &[TAG]);
    let cache = mirror_of(url).store(&store).start().await;
    let ask = async |path: String| get(&path).send(&cache.host()).await;
    for item in &image.blobs {
        assert_served(&ask(blob(&item.digest)).await, &item.bytes);
    }
    let top = image.top();
    assert_served(&ask(manifest(&top.digest)).await, &top.bytes);
    let tag = ask(TAG_PATH.to_owned()).await;
    assert_served(&tag, &top.bytes);
    assert!(is_stale(&tag), "{cause}");
    let missing = ask(manifest("never-pulled")).await;
    assert_refused(
        &missing,
        503,
        "UNAVAILABLE",
        &["could not be reached", words],
    );
    assert_eq!(error(&missing)["detail"]["cause"], cause);
}

#[tokio::test]
async fn a_store_is_served_while_the_upstream_refuses_connections() {
    offline(
        &format!("http://{}", addresses::refused()),
        "connect",
        "no connection",
    )
    .await;
}

#[tokio::test]
async fn a_store_is_served_while_the_upstreams_name_does_not_resolve() {
    // Too long for a name: no resolver is asked, so the answer does not depend on the network.
    let name = "a".repeat(64);
    offline(
        &format!("http://{name}.invalid"),
        "dns",
        "its name cannot be resolved",
    )
    .await;
}

#[tokio::test]
async fn a_store_is_served_while_the_upstream_speaks_no_tls() {
    let listener = TcpListener::bind((addresses::next(), 0)).await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let plain = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            socket
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .ok();
        }
    });
    offline(&url, "tls", "TLS failed").await;
    plain.abort();
}

#[tokio::test]
async fn a_store_is_served_while_the_upstreams_certificate_is_not_trusted() {
    let upstream = ScriptedUpstream::start_tls().await;
    offline(&upstream.url(), "tls", "proxy.ca").await;
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_cache_starts_while_its_upstream_is_a_black_hole() {
    let scene = Scene::warm(&[("PROXY_CHECKDEADLINE", "500ms")]).await;
    let mut cache = scene.cache;
    scene.upstream.black_hole(true);
    let took = cache.restart().await;
    assert!(took < SOON, "{took:?}");
    let layer = scene.image.largest_blob();
    let answer = get(&blob(&layer.digest)).send(&cache.host()).await;
    assert_served(&answer, &layer.bytes);
}

#[tokio::test]
async fn one_stumble_of_the_upstream_is_not_seen_by_callers() {
    for status in [500, 502, 503, 504] {
        let scene = Scene::new().await;
        let stumble = |method, path: &str| {
            scene
                .upstream
                .on_next(1, method, path, Answer::status(status))
        };
        let rules = [
            stumble("HEAD", TAG_PATH),
            stumble("GET", "/v2/team/app/manifests/*"),
            stumble("GET", &scene.layer()),
            stumble("GET", "/v2/team/app/tags/list"),
        ];
        scene.pull().await;
        let tags = scene.get("/v2/team/app/tags/list").await;
        assert_eq!(tags.json()["tags"][0], TAG);
        assert!(rules.iter().all(|rule| rule.used() == 1), "{status}");
    }
}

#[tokio::test]
async fn an_upstream_that_goes_on_failing_is_named_and_asked_again_soon() {
    let scene = Scene::new().await;
    scene.upstream.on("*", "/v2/*", Answer::status(502));
    let says = [&*scene.upstream.host(), "answered 502"];
    for path in [TAG_PATH, &manifest(scene.image.digest()), &scene.layer()] {
        let answer = scene.get(path).await;
        assert_refused(&answer, 503, "UNAVAILABLE", &says);
        assert_eq!(error(&answer)["detail"]["status"], 502);
    }
    scene.upstream.forget_script();
    cistern_tests::eventually("serving again", SOON, || async {
        scene.get(TAG_PATH).await.status == 200 && scene.get(&scene.layer()).await.status == 200
    })
    .await;
    scene.pull().await;
}

#[tokio::test]
async fn without_an_upstream_every_repository_lives_here() {
    let image = image().random_layers(1, 1, 1000).build();
    let store = Store::new();
    store.put(&image, REPOSITORY, &[TAG]);
    let hosted = RegistryBuilder::new(Product::Cistern)
        .store(&store)
        .start()
        .await;
    let ask = async |path: &str| get(path).send(&hosted.host()).await;
    assert_served(&ask(TAG_PATH).await, &image.top().bytes);
    let layer = image.largest_blob();
    assert_served(&ask(&blob(&layer.digest)).await, &layer.bytes);
    let missing = ask(&manifest("other")).await;
    assert_refused(&missing, 404, "MANIFEST_UNKNOWN", &["other", "not known"]);
    let missing = ask(&blob(&Item::random(9, 10).digest)).await;
    assert_refused(&missing, 404, "BLOB_UNKNOWN", &["not known"]);
}
