//! What a cache above says that it could not confirm, down to the letter: the upstream is a script that speaks as one.

use cistern_tests::caller::{Answered, get, head};
use cistern_tests::images::Image;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, ScriptedUpstream};

use super::one_image;
use crate::scene::{
    REPOSITORY, Scene, TAG, TAG_PATH, assert_refused, assert_served, cache_of, is_stale,
};

const LIST: &str = "/v2/team/app/tags/list";
const OURS: &str =
    r#"299 - "the upstream could not be asked just now: this is what the cache holds""#;
const ALWAYS: &[(&str, &str)] = &[("PROXY_CHECKEVERY", "0s")];

/// From now on the upstream can confirm nothing; it was last confirmed 70 s ago.
fn says_unconfirmed(upstream: &ScriptedUpstream) {
    let answer = Answer::held().header("Warning", OURS).header("Age", "70");
    for path in [TAG_PATH, LIST] {
        upstream.on("*", path, answer.clone());
    }
}

#[track_caller]
fn assert_unconfirmed(answer: &Answered, image: &Image, ages: impl Fn(u64) -> bool) {
    assert_served(answer, &image.top().bytes);
    assert!(is_stale(answer), "{:?}", answer.headers);
    let age = answer.header("Age").map(|age| age.parse().unwrap());
    assert!(age.is_some_and(ages), "{age:?}");
}

async fn tag(cache: &Registry) -> Answered {
    get(TAG_PATH).send(&cache.host()).await
}

#[tokio::test]
async fn the_age_that_a_parent_tells_is_told_on() {
    let scene = Scene::warm(ALWAYS).await;
    says_unconfirmed(&scene.upstream);
    assert_unconfirmed(&tag(&scene.cache).await, &scene.image, |age| age == 70);
    let answer = head(TAG_PATH).send(&scene.cache.host()).await;
    assert_eq!((answer.status, answer.header("Age")), (200, Some("70")));
}

#[tokio::test]
async fn an_unconfirmed_answer_moves_no_tag_and_our_own_age_is_told_then() {
    let scene = Scene::warm(ALWAYS).await;
    let older = one_image(5);
    scene.upstream.hold(&older, REPOSITORY, &[TAG]);
    says_unconfirmed(&scene.upstream);
    for _ in 0..2 {
        assert_unconfirmed(&tag(&scene.cache).await, &scene.image, |age| age < 60);
    }
    assert_eq!(scene.upstream.count("GET", "/v2/*/manifests/*"), 0);
    scene.upstream.forget_script();
    let confirmed = tag(&scene.cache).await;
    assert_served(&confirmed, &older.top().bytes);
    assert!(!is_stale(&confirmed));
}

#[tokio::test]
async fn an_unconfirmed_answer_to_a_get_renews_nothing_either() {
    let scene = Scene::warm(ALWAYS).await;
    scene.upstream.hold(&one_image(5), REPOSITORY, &[TAG]);
    scene.upstream.on("HEAD", TAG_PATH, Answer::status(405));
    says_unconfirmed(&scene.upstream);
    assert_unconfirmed(&tag(&scene.cache).await, &scene.image, |age| age < 60);
    assert!(scene.upstream.count("GET", TAG_PATH) > 0);
}

#[tokio::test]
async fn what_nobody_here_knows_is_filled_and_stays_to_be_asked_about() {
    let scene = Scene::with(&[("PROXY_CHECKEVERY", "1h")]).await;
    says_unconfirmed(&scene.upstream);
    for _ in 0..2 {
        assert_unconfirmed(&tag(&scene.cache).await, &scene.image, |age| age == 70);
    }
    // Without the parent: what it told, and how long ago that had been when it did.
    scene.upstream.stop().await;
    assert_unconfirmed(&tag(&scene.cache).await, &scene.image, |age| age >= 70);
}

#[tokio::test]
async fn a_strict_tag_is_refused_when_the_parent_cannot_confirm_it() {
    let settings = [("PROXY_CHECKEVERY", "0s"), ("PROXY_STRICT", "team/app:v1")];
    let scene = Scene::warm(&settings).await;
    says_unconfirmed(&scene.upstream);
    let answer = tag(&scene.cache).await;
    assert_refused(&answer, 503, "UNAVAILABLE", &[&scene.upstream.host()]);
    scene.upstream.forget_script();
    assert_served(&tag(&scene.cache).await, &scene.image.top().bytes);
}

#[tokio::test]
async fn a_warning_of_a_registry_that_is_no_cache_is_no_reason_to_doubt() {
    let scene = Scene::with(ALWAYS).await;
    let deprecated = Answer::held()
        .header("Warning", r#"299 - "this image is deprecated""#)
        .header("Age", "70");
    scene.upstream.on("*", "/v2/*", deprecated);
    let answer = tag(&scene.cache).await;
    assert_served(&answer, &scene.image.top().bytes);
    assert_eq!(
        (answer.header("Warning"), answer.header("Age")),
        (None, None)
    );
}

#[tokio::test]
async fn a_parent_behind_a_proxy_that_takes_its_name_off_is_believed_by_its_words() {
    let scene = Scene::warm(ALWAYS).await;
    let renamed = Answer::held()
        .header("Warning", r#"299 - "in words of another version""#)
        .header("Via", "1.1 cistern-0a1b2c3d, 1.1 nginx");
    scene.upstream.on("*", TAG_PATH, renamed);
    assert!(is_stale(&tag(&scene.cache).await));
    scene.upstream.forget_script();
    assert!(!is_stale(&tag(&scene.cache).await));
    says_unconfirmed(&scene.upstream);
    assert!(is_stale(&tag(&scene.cache).await));
}

#[tokio::test]
async fn a_list_of_tags_that_a_parent_could_not_confirm_fills_and_renews_nothing() {
    let (upstream, image) = crate::scene::upstream().await;
    let cache = cache_of(&upstream, ALWAYS).start().await;
    let list = async || get(LIST).send(&cache.host()).await;
    says_unconfirmed(&upstream);
    let filled = list().await;
    assert!(is_stale(&filled), "{:?}", filled.headers);
    assert_eq!(filled.json()["tags"], serde_json::json!([TAG]));
    upstream.hold(&image, REPOSITORY, &["v2"]);
    let same = list().await;
    assert!(is_stale(&same));
    assert_eq!(same.json()["tags"], serde_json::json!([TAG]));
    upstream.forget_script();
    let confirmed = list().await;
    assert!(!is_stale(&confirmed));
    assert_eq!(confirmed.json()["tags"], serde_json::json!([TAG, "v2"]));
}
