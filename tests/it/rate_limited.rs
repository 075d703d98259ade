//! An upstream that says 429 is left alone: cached tags are served, nobody is dialled, and one question is the retry of all.

use std::time::Duration;

use cistern_tests::caller::get;
use cistern_tests::scripted_upstream::{Answer, Protection, TokenDesk};
use tokio::task::JoinSet;

use crate::scene::{SOON, Scene, TAG_PATH, assert_refused, assert_served, is_stale, manifest};

const ALWAYS_CHECKED: &[(&str, &str)] = &[("PROXY_CHECKEVERY", "0s")];

fn limited(seconds: &str) -> Answer {
    Answer::status(429).header("Retry-After", seconds)
}

#[tokio::test]
async fn a_cached_tag_is_served_stale_during_a_pause_that_costs_one_question() {
    for limit in [limited("300"), Answer::status(429)] {
        let scene = Scene::warm(ALWAYS_CHECKED).await;
        scene.upstream.on("*", "*", limit);
        let mut callers = JoinSet::new();
        for _ in 0..50 {
            let host = scene.cache.host();
            callers.spawn(async move { get(TAG_PATH).send(&host).await });
        }
        for answer in callers.join_all().await {
            assert_served(&answer, &scene.image.top().bytes);
            assert!(is_stale(&answer));
        }
        for _ in 0..5 {
            assert!(is_stale(&scene.get(TAG_PATH).await));
        }
        assert_eq!(scene.upstream.requests().len(), 1);
    }
}

#[tokio::test]
async fn what_is_not_cached_is_refused_during_a_pause_without_asking_and_with_what_is_left_of_it() {
    let scene = Scene::new().await;
    scene.upstream.on("*", "*", limited("200"));
    let paths: Vec<String> = (0..10).map(|tag| manifest(&format!("t{tag}"))).collect();
    for path in paths.iter().chain([&scene.layer()]) {
        let refused = scene.get(path).await;
        assert_refused(
            &refused,
            503,
            "UNAVAILABLE",
            &[&scene.upstream.host(), "429"],
        );
        let seconds: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
        assert!((150..=200).contains(&seconds), "{seconds}");
    }
    assert_eq!(scene.upstream.requests().len(), 1);
}

#[tokio::test]
async fn after_the_pause_everything_is_as_before() {
    let scene = Scene::warm(ALWAYS_CHECKED).await;
    scene.upstream.on_next(1, "*", "*", limited("1"));
    let moved = scene.move_tag();
    assert!(is_stale(&scene.get(TAG_PATH).await));
    cistern_tests::eventually("the moved tag", SOON, || async {
        let answer = scene.get(TAG_PATH).await;
        answer.body == moved.top().bytes && !is_stale(&answer)
    })
    .await;
}

#[tokio::test]
async fn a_token_server_that_says_429_is_left_alone_too() {
    let scene = Scene::new().await;
    let desk = TokenDesk::new();
    scene.upstream.protect(Protection::Bearer(desk));
    scene.upstream.forget_script();
    scene.upstream.on("GET", "/token", limited("300"));
    for tag in 0..5 {
        let path = format!("/v2/team/app{tag}/manifests/v1");
        assert_refused(&scene.get(&path).await, 503, "UNAVAILABLE", &["429"]);
    }
    assert_eq!(scene.upstream.count("GET", "/token"), 1);
}

#[tokio::test]
async fn a_pause_is_told_in_the_log_and_no_pause_outlives_its_time_by_much() {
    let scene = Scene::warm(ALWAYS_CHECKED).await;
    scene.upstream.on_next(1, "*", "*", limited("2"));
    assert!(is_stale(&scene.get(TAG_PATH).await));
    scene.cache.logs("too many requests: left alone").await;
    let limit = Duration::from_secs(30);
    cistern_tests::eventually("a confirmed tag", limit, || async {
        !is_stale(&scene.get(TAG_PATH).await)
    })
    .await;
}
