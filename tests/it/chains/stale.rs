//! The top link is cut: every floor goes on, and says how old its word is.

use cistern_tests::caller::{Answered, get, head};
use cistern_tests::{eventually, need};

use super::{one_image, with_distribution, with_script};
use crate::common::pull_and_keep;
use crate::scene::{REPOSITORY, SOON, TAG, TAG_PATH, assert_served, is_stale};

const ALWAYS: &[(&str, &str)] = &[("PROXY_CHECKEVERY", "0s")];

#[track_caller]
fn age(answer: &Answered) -> u64 {
    assert!(is_stale(answer), "{:?}", answer.headers);
    let age = answer.header("Age");
    let age = age.unwrap_or_else(|| panic!("no Age in {:?}", answer.headers));
    age.parse().unwrap()
}

#[tokio::test]
async fn when_the_top_link_is_cut_every_floor_serves_stale_and_says_how_old_it_is() {
    need!("docker-registry");
    let (mut upstream, tower, image, _) = with_distribution(ALWAYS).await;
    pull_and_keep(&tower.bottom, REPOSITORY, TAG, &image).await;
    assert!(!is_stale(&get(TAG_PATH).send(&tower.bottom.host()).await));
    upstream.stop().await;
    for floor in tower.floors() {
        let answer = get(TAG_PATH).send(&floor.host()).await;
        assert_served(&answer, &image.top().bytes);
        assert!(age(&answer) < 60);
        let answer = head(TAG_PATH).send(&floor.host()).await;
        assert_eq!((answer.status, age(&answer) < 60), (200, true));
    }
    // What was confirmed last is the same for all, and grows old together.
    eventually("growing old", SOON, || async {
        age(&get(TAG_PATH).send(&tower.bottom.host()).await) >= 3
    })
    .await;
    let ages = [
        age(&get(TAG_PATH).send(&tower.bottom.host()).await),
        age(&get(TAG_PATH).send(&tower.middle.host()).await),
        age(&get(TAG_PATH).send(&tower.top.host()).await),
    ];
    assert!(ages.is_sorted() && ages[2] - ages[0] <= 2, "{ages:?}");
    pull_and_keep(&tower.bottom, REPOSITORY, TAG, &image).await;
    let list = get("/v2/team/app/tags/list")
        .send(&tower.bottom.host())
        .await;
    assert!(is_stale(&list), "{:?}", list.headers);
    assert_eq!(list.json()["tags"], serde_json::json!([TAG]));
}

#[tokio::test]
async fn after_a_cut_the_bottom_has_the_moved_tag_as_soon_as_the_top_link_is_back() {
    let (upstream, tower, image) = with_script(ALWAYS).await;
    pull_and_keep(&tower.bottom, REPOSITORY, TAG, &image).await;
    upstream.stop().await;
    for _ in 0..3 {
        let answer = get(TAG_PATH).send(&tower.bottom.host()).await;
        assert_served(&answer, &image.top().bytes);
        assert!(is_stale(&answer));
    }
    let next = one_image(2);
    upstream.hold(&next, REPOSITORY, &[TAG]);
    upstream.start_again().await;
    eventually("the moved tag", SOON, || async {
        let answer = get(TAG_PATH).send(&tower.bottom.host()).await;
        answer.body == next.top().bytes && !is_stale(&answer) && answer.header("Age").is_none()
    })
    .await;
    pull_and_keep(&tower.bottom, REPOSITORY, TAG, &next).await;
}

#[tokio::test]
async fn a_child_that_has_never_seen_a_tag_gets_it_from_a_cut_off_parent_and_is_told_its_age() {
    let settings = [("PROXY_CHECKEVERY", "30s")];
    let (upstream, tower, image) = with_script(&settings).await;
    pull_and_keep(&tower.top, REPOSITORY, TAG, &image).await;
    let mut tower = tower;
    upstream.stop().await;
    // Only what has been confirmed within its interval is fresh.
    tower.top.set("REGISTRY_PROXY_CHECKEVERY", "0s");
    tower.top.restart().await;
    for floor in [&tower.bottom, &tower.middle] {
        let answer = get(TAG_PATH).send(&floor.host()).await;
        assert_served(&answer, &image.top().bytes);
        assert!(age(&answer) < 60, "{:?}", answer.headers);
    }
    pull_and_keep(&tower.bottom, REPOSITORY, TAG, &image).await;
    // It renews nothing: the next one is asked about again, and is fresh as soon as that helps.
    assert!(is_stale(&get(TAG_PATH).send(&tower.bottom.host()).await));
    upstream.start_again().await;
    eventually("a confirmed tag", SOON, || async {
        !is_stale(&get(TAG_PATH).send(&tower.bottom.host()).await)
    })
    .await;
}
