//! The upstream cannot confirm a tag: what is cached is served at once, and says so.

use std::time::{Duration, Instant};

use cistern_tests::caller::Answered;
use cistern_tests::eventually;
use cistern_tests::scripted_upstream::{Answer, Cut};

use crate::scene::{SOON, Scene, TAG_PATH, assert_served, is_stale};

/// What a machine that runs many tests at once may add to any time.
const MARGIN: Duration = Duration::from_secs(4);
/// `proxy.checkdeadline` of these tests.
const DEADLINE: Duration = Duration::from_secs(5);
const SETTINGS: &[(&str, &str)] = &[("PROXY_CHECKEVERY", "0s"), ("PROXY_CHECKDEADLINE", "5s")];

async fn timed(scene: &Scene) -> (Answered, Duration) {
    let began = Instant::now();
    let answer = scene.get(TAG_PATH).await;
    (answer, began.elapsed())
}

#[track_caller]
fn assert_stale(scene: &Scene, answer: &Answered) {
    assert_served(answer, &scene.image.top().bytes);
    let warnings: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("warning"))
        .collect();
    assert!(warnings.len() == 1 && is_stale(answer), "{warnings:?}");
    let text = &warnings[0].1;
    assert!(text.ends_with('"') && text.len() < 4096, "{text}");
    assert_eq!(
        answer.header("Docker-Content-Digest"),
        Some(scene.image.digest())
    );
}

#[tokio::test]
async fn a_silent_uplink_costs_the_first_caller_the_deadline_and_the_next_nothing() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.black_hole(true);
    let (first, took) = timed(&scene).await;
    assert_stale(&scene, &first);
    assert!(
        took + Duration::from_millis(100) >= DEADLINE,
        "{took:?}: it was not asked"
    );
    assert!(took < DEADLINE + MARGIN, "{took:?}");
    for _ in 0..3 {
        let (next, took) = timed(&scene).await;
        assert_stale(&scene, &next);
        assert!(took < MARGIN, "{took:?}");
    }
}

#[tokio::test]
async fn after_a_restart_behind_a_silent_uplink_the_deadline_is_paid_once() {
    let mut scene = Scene::warm(SETTINGS).await;
    scene.upstream.black_hole(true);
    scene.cache.restart().await;
    let (first, took) = timed(&scene).await;
    assert_stale(&scene, &first);
    assert!(took < DEADLINE + MARGIN, "{took:?}");
    let (next, took) = timed(&scene).await;
    assert_stale(&scene, &next);
    assert!(took < MARGIN, "{took:?}");
}

#[tokio::test]
async fn every_answer_on_the_way_starts_the_deadline_anew() {
    // Each step is shorter than the deadline, all of them together are longer.
    let settings = [("PROXY_CHECKEVERY", "0s"), ("PROXY_CHECKDEADLINE", "3s")];
    let scene = Scene::warm(&settings).await;
    let step = Duration::from_millis(1500);
    let challenge = format!(
        "Bearer realm=\"{}\",service=\"x\",scope=\"repository:team/app:pull\"",
        scene.upstream.url_of("/token")
    );
    let decide = Answer::by(move |request| match request.header("Authorization") {
        Some(_) => Answer::held().after(step),
        None => Answer::status(401)
            .header("WWW-Authenticate", &challenge)
            .after(step),
    });
    scene.upstream.on("HEAD", TAG_PATH, decide);
    let token = Answer::body(200, "application/json", r#"{"token":"t","expires_in":300}"#);
    scene.upstream.on("GET", "/token", token.after(step));
    let (answer, took) = timed(&scene).await;
    assert_served(&answer, &scene.image.top().bytes);
    assert!(!is_stale(&answer), "after {took:?}");
    assert!(took >= step * 3, "{took:?}");
}

/// The upstream answers so from now on: stale at once, for every caller.
async fn is_served_stale_at_once(scene: &Scene) {
    for _ in 0..3 {
        let (answer, took) = timed(scene).await;
        assert_stale(scene, &answer);
        assert!(took < DEADLINE, "{took:?}");
    }
    let head = scene.head(TAG_PATH).await;
    assert!(head.status == 200 && is_stale(&head) && head.body.is_empty());
}

#[tokio::test]
async fn a_cached_tag_is_served_while_the_upstream_fails() {
    for status in [401, 403, 429, 500, 502, 503] {
        let scene = Scene::warm(SETTINGS).await;
        scene.upstream.on("*", "/v2/*", Answer::status(status));
        is_served_stale_at_once(&scene).await;
    }
}

#[tokio::test]
async fn a_cached_tag_is_served_while_the_upstream_refuses_connections() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.stop().await;
    is_served_stale_at_once(&scene).await;
}

#[tokio::test]
async fn a_cached_tag_is_served_while_connections_are_lost() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.on("*", "/v2/*", Answer::hang_up(Cut::Reset));
    is_served_stale_at_once(&scene).await;
}

#[tokio::test]
async fn a_cached_tag_is_served_while_the_upstream_talks_nonsense() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.on(
        "HEAD",
        "/v2/*",
        Answer::status(200).without_header("Docker-Content-Digest"),
    );
    let page = Answer::body(200, "text/html", "<html>Please log in to this hotel</html>");
    scene.upstream.on("GET", "/v2/*", page);
    is_served_stale_at_once(&scene).await;
}

#[tokio::test]
async fn a_cached_tag_is_served_while_our_credentials_are_refused() {
    use cistern_tests::scripted_upstream::Protection;
    let mut settings = SETTINGS.to_vec();
    settings.extend([("PROXY_USERNAME", "cache"), ("PROXY_PASSWORD", "old")]);
    let scene = Scene::warm(&settings).await;
    scene.upstream.protect(Protection::basic("cache", "new"));
    is_served_stale_at_once(&scene).await;
}

#[tokio::test]
async fn a_tag_is_fresh_again_soon_after_the_uplink_is_back() {
    let settings = [("PROXY_CHECKEVERY", "0s"), ("PROXY_CHECKDEADLINE", "500ms")];
    let scene = Scene::warm(&settings).await;
    scene.upstream.black_hole(true);
    assert_stale(&scene, &scene.get(TAG_PATH).await);
    let ready = scene.get("/readyz").await;
    assert_eq!(
        ready.status, 200,
        "an uplink is no reason to restart a cache"
    );
    assert_eq!(
        ready.json()["upstreams"][0]["degraded"],
        true,
        "{}",
        ready.text()
    );
    let next = scene.move_tag();
    scene.upstream.black_hole(false);
    eventually("serving the moved tag", Duration::from_secs(40), || async {
        let answer = scene.get(TAG_PATH).await;
        !is_stale(&answer) && answer.body == next.top().bytes
    })
    .await;
    assert_eq!(
        scene.get("/readyz").await.json()["upstreams"][0]["degraded"],
        false
    );
    let log = scene.cache.log();
    assert!(log.contains("tag was served stale and has moved"), "{log}");
}

#[tokio::test]
async fn a_stale_answer_is_logged_as_one() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.stop().await;
    assert_stale(&scene, &scene.get(TAG_PATH).await);
    eventually("the line", SOON, || async {
        let log = scene.cache.log();
        log.lines()
            .any(|line| line.contains("manifests/v1") && line.contains("served=stale"))
    })
    .await;
}
