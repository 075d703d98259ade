//! Who waits for whom, and for how long: a parent gives up before its child does, and says when to come back.

use std::time::Duration;

use cistern_tests::caller::get;
use cistern_tests::images::Item;
use cistern_tests::scripted_upstream::{Answer, ScriptedUpstream};

use super::{Tower, with_script};
use crate::common::pull_and_keep;
use crate::scene::{REPOSITORY, TAG, TAG_PATH, assert_refused, assert_served, blob, is_stale};

#[tokio::test]
async fn the_time_to_come_back_that_an_upstream_names_reaches_the_bottom() {
    for (status, headers) in [(503, "42"), (429, "42")] {
        let upstream = ScriptedUpstream::start().await;
        let answer = Answer::status(status).header("Retry-After", headers);
        upstream.on("*", "/v2/*", answer);
        let tower = Tower::of(&upstream.url(), &[]).await;
        for path in [TAG_PATH.to_owned(), blob(&Item::random(1, 9).digest)] {
            let answer = get(&path).send(&tower.bottom.host()).await;
            assert_refused(&answer, 503, "UNAVAILABLE", &[&tower.middle.host()]);
            let wait: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
            assert!((30..=42).contains(&wait), "{status}: {wait}");
        }
    }
}

#[tokio::test]
async fn a_missing_image_is_missing_on_every_floor() {
    let (_upstream, tower, _) = with_script(&[]).await;
    let answer = get("/v2/team/app/manifests/none")
        .send(&tower.bottom.host())
        .await;
    assert_refused(
        &answer,
        404,
        "MANIFEST_UNKNOWN",
        &[&tower.middle.host(), "404"],
    );
}

/// Each floor is silent for a second less than the one below bears, so that it is the silent upstream that is named, and not a
/// parent that is well.
#[tokio::test]
async fn a_silent_uplink_makes_no_child_believe_that_its_parent_is_silent() {
    let settings = [("PROXY_CHECKEVERY", "0s"), ("PROXY_CHECKDEADLINE", "6s")];
    let (upstream, tower, image) = with_script(&settings).await;
    pull_and_keep(&tower.bottom, REPOSITORY, TAG, &image).await;
    upstream.black_hole(true);
    let answer = get(TAG_PATH).send(&tower.bottom.host()).await;
    assert_served(&answer, &image.top().bytes);
    assert!(is_stale(&answer));
    // The top one gave up after four seconds, and neither of the others did.
    assert!(
        answer.whole_after < Duration::from_secs(6),
        "{:?}",
        answer.whole_after
    );
    assert!(
        answer.whole_after > Duration::from_secs(3),
        "{:?}",
        answer.whole_after
    );
    for (floor, is_well) in [
        (&tower.top, false),
        (&tower.middle, true),
        (&tower.bottom, true),
    ] {
        let ready = get("/readyz").send(&floor.host()).await.json();
        let state = ready["upstreams"][0]["degraded"].clone();
        assert_eq!(state, !is_well, "{ready}");
    }
}

#[tokio::test]
async fn a_parent_gives_up_on_what_nobody_has_before_its_child_does() {
    let (upstream, tower, _) = with_script(&[]).await;
    upstream.black_hole(true);
    let (tag, cold) = (TAG_PATH.to_owned(), blob(&Item::random(1, 9).digest));
    let (tag, cold) = tokio::join!(
        async { get(&tag).send(&tower.bottom.host()).await },
        async { get(&cold).send(&tower.bottom.host()).await },
    );
    for answer in [tag, cold] {
        // The middle one has answered: it was not silent for the bottom one, nor the top one for it.
        assert_refused(&answer, 503, "UNAVAILABLE", &[&tower.middle.host(), "503"]);
        assert!(answer.header("Retry-After").is_some());
        assert!(
            answer.whole_after < Duration::from_secs(16),
            "{:?}",
            answer.whole_after
        );
    }
    let ready = get("/readyz").send(&tower.bottom.host()).await.json();
    assert_eq!(ready["upstreams"][0]["degraded"], false, "{ready}");
}
