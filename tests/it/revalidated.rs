//! The link is back: what was used is asked about, and who waits for it is answered, without anybody having to ask again.

use std::time::Duration;

use cistern_tests::eventually;
use cistern_tests::images::image;

use crate::scene::{REPOSITORY, SOON, Scene, TAG_PATH, assert_served, is_stale, manifest};

const SETTINGS: &[(&str, &str)] = &[("PROXY_CHECKEVERY", "0s"), ("PROXY_CHECKDEADLINE", "500ms")];
/// An outage by silence takes a while to be believed.
const BELIEVED: Duration = Duration::from_secs(40);

async fn is(scene: &Scene, state: &str) {
    eventually(state, BELIEVED, || async {
        scene.get("/readyz").await.json()["upstreams"][0]["state"] == state
    })
    .await;
}

#[tokio::test]
async fn a_tag_that_moved_while_the_link_was_lost_is_known_without_anybody_asking() {
    let scene = Scene::warm(SETTINGS).await;
    scene.upstream.stop().await;
    assert!(is_stale(&scene.get(TAG_PATH).await));
    is(&scene, "offline").await;
    let next = scene.move_tag();
    scene.upstream.forget_requests();
    scene.upstream.start_again().await;
    let fetched = manifest(next.digest());
    scene.upstream.wait_for("GET", &fetched, 1, BELIEVED).await;
    eventually("the ledger being settled", SOON, || async {
        scene.get("/readyz").await.json()["stale_tags"]["count"] == 0
    })
    .await;
    assert_eq!(scene.upstream.count("HEAD", TAG_PATH), 1);
    let log = scene.cache.log();
    assert!(log.contains("tag was served stale and has moved"), "{log}");
    // It is here for good: the link may go again.
    scene.upstream.stop().await;
    let answer = scene.get(TAG_PATH).await;
    assert_served(&answer, &next.top().bytes);
}

#[tokio::test]
async fn a_tag_used_before_the_outage_is_asked_about_after_it() {
    let scene = Scene::warm(SETTINGS).await;
    let other = image().random_layers(9, 1, 1_000).build();
    scene.upstream.hold(&other, REPOSITORY, &["v2"]);
    assert_served(&scene.get(&manifest("v2")).await, &other.top().bytes);
    scene.upstream.stop().await;
    assert!(is_stale(&scene.get(TAG_PATH).await));
    is(&scene, "offline").await;
    scene.upstream.forget_requests();
    scene.upstream.start_again().await;
    for path in [TAG_PATH, &manifest("v2")] {
        scene.upstream.wait_for("HEAD", path, 1, BELIEVED).await;
    }
}

#[tokio::test]
async fn a_tag_that_is_still_fresh_is_not_asked_about() {
    let settings = [("PROXY_CHECKEVERY", "1h"), ("PROXY_CHECKDEADLINE", "500ms")];
    let scene = Scene::warm(&settings).await;
    scene.upstream.stop().await;
    assert_eq!(scene.get(&manifest("other")).await.status, 503);
    is(&scene, "offline").await;
    scene.upstream.forget_requests();
    scene.upstream.start_again().await;
    is(&scene, "online").await;
    assert!(!is_stale(&scene.get(TAG_PATH).await));
    assert_eq!(scene.upstream.count("*", TAG_PATH), 0);
}

#[tokio::test]
async fn who_waits_for_a_cold_tag_when_a_silent_link_returns_gets_it() {
    let scene = Scene::warm(SETTINGS).await;
    let other = image().random_layers(9, 1, 1_000).build();
    scene.upstream.hold(&other, REPOSITORY, &["v2"]);
    scene.upstream.black_hole(true);
    assert!(is_stale(&scene.get(TAG_PATH).await));
    is(&scene, "offline").await;
    let path = manifest("v2");
    let (answer, ()) = tokio::join!(scene.get(&path), async {
        // The connection on which the question waits stays mute for ever.
        scene.upstream.wait_for("HEAD", &path, 1, SOON).await;
        scene.upstream.black_hole(false);
    });
    assert_served(&answer, &other.top().bytes);
    assert_eq!(scene.upstream.count("HEAD", &path), 2);
}
