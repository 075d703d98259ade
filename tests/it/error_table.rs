//! Nothing is cached: what an upstream answers, or fails to answer, decides status, code, message and detail.

use std::ops::RangeInclusive;

use cistern_tests::caller::Answered;
use cistern_tests::scripted_upstream::{Answer, Cut, Protection, TokenDesk};
use serde_json::{Value, json};

use crate::scene::{Scene, TAG_PATH, assert_refused, error, manifest};

/// The three kinds of question, and the code of "there is no such thing".
fn questions(scene: &Scene) -> [(String, &'static str); 3] {
    [
        (TAG_PATH.to_owned(), "MANIFEST_UNKNOWN"),
        (manifest(scene.image.digest()), "MANIFEST_UNKNOWN"),
        (scene.layer(), "BLOB_UNKNOWN"),
    ]
}

#[track_caller]
fn assert_detail(answer: &Answered, expected: &Value) {
    let detail = &error(answer)["detail"];
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&detail[name], value, "{name} of {detail}");
    }
}

/// Every question is answered with 404, in words that name the upstream and its answer.
async fn all_are_unknown(scene: &Scene, says: &str, status: u16) {
    let host = scene.upstream.host();
    for (path, code) in questions(scene) {
        let answer = scene.get(&path).await;
        assert_refused(&answer, 404, code, &[&host, says]);
        assert_detail(
            &answer,
            &json!({ "upstream": host, "cause": "not_found", "status": status }),
        );
        assert_eq!(answer.header("Retry-After"), None);
        let head = scene.head(&path).await;
        assert!(head.status == 404 && head.body.is_empty() && head.is_complete());
    }
}

/// Every question is answered with 503 and a time to come back.
async fn all_are_unavailable(
    scene: &Scene,
    says: &[&str],
    detail: Value,
    after: RangeInclusive<u64>,
) {
    let host = scene.upstream.host();
    for (path, _) in questions(scene) {
        let answer = scene.get(&path).await;
        assert_refused(&answer, 503, "UNAVAILABLE", says);
        assert_refused(&answer, 503, "UNAVAILABLE", &[&host]);
        assert_detail(&answer, &json!({ "upstream": host }));
        assert_detail(&answer, &detail);
        let seconds: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
        assert!(after.contains(&seconds), "{path}: {seconds} s");
        assert_eq!(answer.header("WWW-Authenticate"), None);
        let head = scene.head(&path).await;
        assert!(head.status == 503 && head.body.is_empty() && head.is_complete());
    }
}

#[tokio::test]
async fn a_404_of_the_upstream_is_a_404() {
    let scene = Scene::new().await;
    scene.upstream.on("*", "/v2/*", Answer::status(404));
    all_are_unknown(&scene, "answered 404", 404).await;
    let tags = scene.get("/v2/team/app/tags/list").await;
    assert_refused(
        &tags,
        404,
        "NAME_UNKNOWN",
        &[&scene.upstream.host(), "answered 404"],
    );
}

#[tokio::test]
async fn a_404_to_head_is_believed_only_when_get_says_so_too() {
    let scene = Scene::new().await;
    scene.upstream.on("HEAD", "/v2/*", Answer::status(404));
    let answer = scene.get(TAG_PATH).await;
    assert_eq!(
        (answer.status, &answer.body),
        (200, &scene.image.top().bytes)
    );
    let blob = scene.head(&scene.layer()).await;
    assert_eq!(blob.status, 200);
}

#[tokio::test]
async fn a_refusal_after_a_granted_token_means_that_it_does_not_exist() {
    for status in [401, 403] {
        let scene = Scene::new().await;
        scene.upstream.protect(Protection::Bearer(TokenDesk::new()));
        let refusal = Answer::status(status)
            .header("WWW-Authenticate", "Bearer error=\"insufficient_scope\"");
        scene.upstream.on("*", "/v2/*", refusal);
        all_are_unknown(
            &scene,
            &format!("answered {status} although it had granted a token"),
            status,
        )
        .await;
    }
}

#[tokio::test]
async fn a_token_server_that_gives_strangers_nothing_means_that_it_does_not_exist() {
    let scene = Scene::new().await;
    let desk = TokenDesk::new().only_for("somebody", "else");
    scene.upstream.protect(Protection::Bearer(desk));
    all_are_unknown(&scene, "which has no credentials for it", 401).await;
}

#[tokio::test]
async fn an_upstream_that_wants_a_password_we_were_not_given_has_nothing_for_us() {
    let scene = Scene::new().await;
    scene
        .upstream
        .protect(Protection::basic("somebody", "else"));
    all_are_unknown(&scene, "which has no credentials for it", 401).await;
}

/// The credentials of the cache are refused: 403, never a challenge that a client would answer with its own password.
async fn refuses_our_credentials(protection: Protection) {
    let wrong = [("PROXY_USERNAME", "cache"), ("PROXY_PASSWORD", "hunter2")];
    let scene = Scene::with(&wrong).await;
    scene.upstream.protect(protection);
    let host = scene.upstream.host();
    for (path, _) in questions(&scene) {
        let answer = scene.get(&path).await;
        let says = format!("{host} refused this cache's credentials (401)");
        assert_refused(&answer, 403, "DENIED", &[&says]);
        assert_detail(
            &answer,
            &json!({ "upstream": host, "cause": "credentials", "status": 401 }),
        );
        assert_eq!(answer.header("WWW-Authenticate"), None);
    }
    let ready = scene.get("/readyz").await;
    assert_eq!(
        ready.json()["upstreams"][0]["credentials_refused"],
        true,
        "{}",
        ready.text()
    );
    let log = scene.cache.log();
    assert_eq!(
        log.matches("refuses this cache's credentials").count(),
        1,
        "{log}"
    );
    assert!(!log.contains("hunter2"));
}

#[tokio::test]
async fn a_token_server_that_refuses_our_credentials_is_named_with_403() {
    let desk = TokenDesk::new().only_for("cache", "correct");
    refuses_our_credentials(Protection::Bearer(desk)).await;
}

#[tokio::test]
async fn an_upstream_that_refuses_our_password_is_named_with_403() {
    refuses_our_credentials(Protection::basic("cache", "correct")).await;
}

#[tokio::test]
async fn refused_credentials_are_known_to_readiness_whatever_was_asked_for() {
    let wrong = [("PROXY_USERNAME", "cache"), ("PROXY_PASSWORD", "hunter2")];
    for number in 0..4 {
        let scene = Scene::with(&wrong).await;
        scene
            .upstream
            .protect(Protection::basic("cache", "correct"));
        let paths = questions(&scene).map(|(path, _)| path);
        let path = paths
            .get(number)
            .map_or("/v2/team/app/tags/list", String::as_str);
        assert_eq!(scene.get(path).await.status, 403, "{path}");
        let refused = async || {
            let ready = scene.get("/readyz").await;
            ready.status == 200 && ready.json()["upstreams"][0]["credentials_refused"] == true
        };
        cistern_tests::eventually(path, crate::scene::SOON, refused).await;
    }
}

#[tokio::test]
async fn credentials_refused_are_counted() {
    let wrong = [
        ("PROXY_USERNAME", "cache"),
        ("PROXY_PASSWORD", "hunter2"),
        ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true"),
    ];
    let scene = Scene::with(&wrong).await;
    scene
        .upstream
        .protect(Protection::basic("cache", "correct"));
    assert_eq!(scene.get(TAG_PATH).await.status, 403);
    let metrics = scene.get("/metrics").await.text();
    let line = format!(
        "cistern_credentials_refused_total{{upstream=\"{}\"}} 1",
        scene.upstream.host()
    );
    assert!(metrics.contains(&line), "{metrics}");
}

#[tokio::test]
async fn a_429_is_passed_on_as_503_with_the_upstreams_own_time() {
    let scene = Scene::new().await;
    scene.upstream.on(
        "*",
        "/v2/*",
        Answer::status(429).header("Retry-After", "70"),
    );
    let detail = json!({ "cause": "rate_limited", "status": 429 });
    let says = ["answered 429", "too many requests"];
    // What is left of it, for those who come later.
    all_are_unavailable(&scene, &says, detail, 40..=70).await;
}

#[tokio::test]
async fn a_429_that_names_a_date_is_passed_on_in_seconds() {
    let scene = Scene::new().await;
    let limited = Answer::status(429)
        .header("Date", "Wed, 21 Oct 2015 07:28:00 GMT")
        .header("Retry-After", "Wed, 21 Oct 2015 07:29:30 GMT");
    scene.upstream.on("*", "/v2/*", limited);
    let detail = json!({ "cause": "rate_limited" });
    all_are_unavailable(&scene, &["answered 429"], detail, 60..=90).await;
}

#[tokio::test]
async fn a_429_without_a_time_or_with_a_day_of_it_is_passed_on_with_a_bearable_one() {
    for (said, told) in [(None, 1..=18), (Some("86400"), 300..=300)] {
        let scene = Scene::new().await;
        let limited = Answer::status(429);
        let limited = match said {
            Some(said) => limited.header("Retry-After", said),
            None => limited,
        };
        scene.upstream.on("*", "/v2/*", limited);
        all_are_unavailable(&scene, &["answered 429"], json!({}), told).await;
    }
}

#[tokio::test]
async fn a_5xx_is_passed_on_as_503_that_names_it() {
    for status in [500, 501, 503, 504] {
        let scene = Scene::new().await;
        scene.upstream.on("*", "/v2/*", Answer::status(status));
        let detail = json!({ "cause": "status", "status": status });
        all_are_unavailable(&scene, &[&format!("answered {status}")], detail, 5..=5).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_is_a_503_that_says_so() {
    for cut in [Cut::Fin, Cut::Reset] {
        let scene = Scene::new().await;
        scene.upstream.on("*", "/v2/*", Answer::hang_up(cut));
        let detail = json!({ "cause": "closed" });
        all_are_unavailable(&scene, &["the connection was lost"], detail, 5..=5).await;
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_is_a_503_that_says_so() {
    let scene = Scene::new().await;
    scene.upstream.stop().await;
    let detail = json!({ "cause": "connect" });
    all_are_unavailable(
        &scene,
        &["could not be reached", "no connection"],
        detail,
        5..=5,
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_503_that_says_so() {
    let scene = Scene::new().await;
    scene
        .upstream
        .on("*", "/v2/*", Answer::raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"));
    let detail = json!({ "cause": "invalid" });
    all_are_unavailable(
        &scene,
        &["cannot be used", "does not answer in HTTP"],
        detail,
        5..=5,
    )
    .await;
}

#[tokio::test]
async fn an_answer_with_a_content_encoding_is_refused_and_never_stored() {
    let scene = Scene::new().await;
    scene.upstream.on("GET", "/v2/*", Answer::held().gzipped());
    let answer = scene.get(TAG_PATH).await;
    assert_refused(&answer, 503, "UNAVAILABLE", &["Content-Encoding"]);
    assert_detail(&answer, &json!({ "cause": "invalid" }));
    let blob = scene.get(&scene.layer()).await;
    assert!(!(blob.status == 200 && blob.is_complete()));
    assert_eq!(scene.cache.store().digests(), Vec::<String>::new());
}

#[tokio::test]
async fn what_failed_a_moment_ago_is_told_with_its_age() {
    let scene = Scene::new().await;
    scene.upstream.on("*", "/v2/*", Answer::status(502));
    let first = scene.get(TAG_PATH).await;
    assert!(!first.text().contains(" s ago"), "{}", first.text());
    let asked = scene.upstream.requests().len();
    cistern_tests::eventually("telling the age", crate::scene::SOON, || async {
        let later = scene.get(TAG_PATH).await.text();
        later.contains(", 1 s ago") || later.contains(", 2 s ago")
    })
    .await;
    assert_eq!(scene.upstream.requests().len(), asked);
}
