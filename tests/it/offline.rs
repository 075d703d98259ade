//! The link is lost: what is here is served at once and without a dial, says how old it is, and the operator can see all of it.

use std::time::{Duration, Instant};

use cistern_tests::caller::Answered;
use cistern_tests::eventually;
use serde_json::Value;

use crate::scene::{
    REPOSITORY, SOON, Scene, TAG_PATH, assert_served, blob, error, is_stale, manifest,
};

/// Asks about a tag every time, and gives silence half a second.
const SETTINGS: &[(&str, &str)] = &[
    ("PROXY_CHECKEVERY", "0s"),
    ("PROXY_CHECKDEADLINE", "500ms"),
    ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true"),
];
const TAGS: &str = "/v2/team/app/tags/list";
/// Every question about a repository; a sign of life is asked for elsewhere.
const QUESTIONS: &str = "/v2/team/*";

async fn ready(scene: &Scene) -> Value {
    scene.get("/readyz").await.json()
}

async fn is_offline(scene: &Scene) {
    let why = "the link being known as lost";
    eventually(why, Duration::from_secs(40), || async {
        ready(scene).await["upstreams"][0]["state"] == "offline"
    })
    .await;
}

#[track_caller]
fn assert_stale(scene: &Scene, answer: &Answered) {
    assert_served(answer, &scene.image.top().bytes);
    assert!(is_stale(answer), "{:?}", answer.headers);
}

fn age(answer: &Answered) -> u64 {
    answer.header("Age").unwrap().parse().unwrap()
}

#[tokio::test]
async fn behind_a_silent_link_the_second_pull_of_a_cached_tag_dials_nobody() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.hold(&scene.image, REPOSITORY, &["v2"]);
    assert_served(&scene.get(&manifest("v2")).await, &scene.image.top().bytes);
    scene.upstream.black_hole(true);
    let began = Instant::now();
    assert_stale(&scene, &scene.get(TAG_PATH).await);
    assert!(began.elapsed() >= Duration::from_millis(400));
    let questions = scene.upstream.count("*", QUESTIONS);
    for path in [TAG_PATH, &manifest("v2"), TAG_PATH] {
        assert_stale(&scene, &scene.get(path).await);
        assert_stale(&scene, &scene.get(path).await);
    }
    assert_eq!(scene.upstream.count("*", QUESTIONS), questions);
}

#[tokio::test]
async fn over_a_lost_link_nobody_is_dialled_for_what_is_here() {
    let scene = Scene::warm(SETTINGS).await;
    let referrers = format!("/v2/{REPOSITORY}/referrers/{}", scene.image.digest());
    assert_eq!(scene.get(TAGS).await.status, 200);
    assert_eq!(scene.get(&referrers).await.status, 200);
    scene.upstream.black_hole(true);
    assert_stale(&scene, &scene.get(TAG_PATH).await);
    is_offline(&scene).await;
    let questions = scene.upstream.count("*", QUESTIONS);
    for _ in 0..3 {
        assert_stale(&scene, &scene.get(TAG_PATH).await);
        let tags = scene.get(TAGS).await;
        assert!(tags.status == 200 && is_stale(&tags), "{}", tags.text());
        assert_eq!(scene.get(&referrers).await.status, 200);
        let by_digest = scene.get(&manifest(scene.image.digest())).await;
        assert_served(&by_digest, &scene.image.top().bytes);
        for item in &scene.image.blobs {
            assert_served(&scene.get(&blob(&item.digest)).await, &item.bytes);
        }
    }
    assert_eq!(scene.upstream.count("*", QUESTIONS), questions);
}

#[tokio::test]
async fn an_unconfirmed_tag_says_how_long_ago_it_was_confirmed() {
    let mut scene = Scene::warm(SETTINGS).await;
    let fresh = scene.get(TAG_PATH).await;
    assert!(fresh.header("Age").is_none() && !is_stale(&fresh));
    scene.upstream.stop().await;
    assert!(age(&scene.get(TAG_PATH).await) < 30);
    eventually("growing older", SOON, || async {
        age(&scene.get(TAG_PATH).await) >= 2
    })
    .await;
    // Whoever starts again without a link still knows.
    scene.cache.restart().await;
    let answer = scene.head(TAG_PATH).await;
    assert!(
        is_stale(&answer) && age(&answer) >= 2,
        "{:?}",
        answer.headers
    );
}

#[tokio::test]
async fn readiness_says_since_when_the_link_is_lost_and_why_and_what_is_served_unconfirmed() {
    let scene = Scene::warm(SETTINGS).await;
    let before = ready(&scene).await;
    assert_eq!(before["upstreams"][0]["state"], "online");
    assert_eq!(before["stale_tags"]["count"], 0);
    scene.upstream.stop().await;
    assert_stale(&scene, &scene.get(TAG_PATH).await);
    is_offline(&scene).await;
    let report = ready(&scene).await;
    assert_eq!(
        report["ready"], true,
        "a link is no reason to restart a cache"
    );
    let upstream = &report["upstreams"][0];
    let since = upstream["since"].as_str().unwrap();
    assert!(
        since.ends_with('Z') && since.len() == "2001-01-01T00:00:00Z".len(),
        "{since}"
    );
    let why = upstream["last_error"].as_str().unwrap();
    assert!(
        why.contains(&scene.upstream.host()) && why.contains("connect"),
        "{why}"
    );
    let stale = &report["stale_tags"]["tags"][0];
    let named = [&stale["repository"], &stale["tag"], &stale["digest"]];
    assert_eq!(named, [REPOSITORY, "v1", scene.image.digest()]);
    let why = stale["why"].as_str().unwrap();
    assert!(why.contains(&scene.upstream.host()), "{stale}");
    assert!(stale["since"].is_string() && stale["last_asked"].is_string());
}

#[tokio::test]
async fn metrics_and_log_tell_of_a_lost_link() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.stop().await;
    assert_stale(&scene, &scene.get(TAG_PATH).await);
    is_offline(&scene).await;
    let host = scene.upstream.host();
    let page = scene.get("/metrics").await.text();
    for line in [
        format!("cistern_link_state{{upstream=\"{host}\"}} 2"),
        "cistern_stale_tags 1".to_owned(),
    ] {
        assert!(page.lines().any(|told| told == line), "{line}: {page}");
    }
    assert!(page.contains("cistern_probes_total{"), "{page}");
    let log = scene.cache.log();
    for line in [
        "link degraded",
        "link is down",
        "served unconfirmed from now on",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{line}: {log}");
    }
    scene.upstream.start_again().await;
    eventually("being told of the return", SOON, || async {
        scene.cache.log().contains("link answers again")
    })
    .await;
    assert_eq!(
        ready(&scene).await["upstreams"][0]["last_error"],
        Value::Null
    );
}

#[tokio::test]
async fn what_is_not_here_is_refused_soon_over_a_lost_link_and_never_as_missing() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.stop().await;
    assert_stale(&scene, &scene.get(TAG_PATH).await);
    is_offline(&scene).await;
    for path in [
        manifest("other"),
        manifest(&format!("sha256:{}", "0".repeat(64))),
    ] {
        let answer = scene.get(&path).await;
        assert_eq!(
            (answer.status, &error(&answer)["code"]),
            (503, &"UNAVAILABLE".into())
        );
        assert!(answer.header("Retry-After").is_some());
    }
}
