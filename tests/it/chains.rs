//! A cache in front of a cache in front of a cache: whatever one of them can do, three can.

mod loops;
mod patience;
mod stale;
mod unconfirmed;

use std::time::Duration;

use cistern_tests::caller::{get, head};
use cistern_tests::cistern::mirror_of;
use cistern_tests::distribution;
use cistern_tests::eventually;
use cistern_tests::images::{Image, Item, image};
use cistern_tests::need;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Cut, ScriptedUpstream};
use cistern_tests::store::Store;

use crate::common::{assert_blob, assert_part, pull_and_keep};
use crate::scene::{REPOSITORY, TAG, TAG_PATH, assert_served, blob, configured, is_stale};

/// Three caches, each the child of the one before it.
struct Tower {
    top: Registry,
    middle: Registry,
    bottom: Registry,
}

impl Tower {
    /// In front of the registry at `url`, each with these settings (environment variables without `REGISTRY_`).
    async fn of(url: &str, settings: &[(&str, &str)]) -> Self {
        let top = configured(mirror_of(url), settings).start().await;
        let middle = configured(mirror_of(&top.url()), settings).start().await;
        let bottom = configured(mirror_of(&middle.url()), settings).start().await;
        Self {
            top,
            middle,
            bottom,
        }
    }

    fn floors(&self) -> [&Registry; 3] {
        [&self.top, &self.middle, &self.bottom]
    }
}

fn one_image(seed: u64) -> Image {
    image().random_layers(seed, 2, 300_000).build()
}

/// Distribution with an image and a loose blob, and three caches in front of it.
async fn with_distribution(settings: &[(&str, &str)]) -> (Registry, Tower, Image, Item) {
    let (store, image, loose) = (Store::new(), one_image(1), Item::random(7, 6_000_000));
    store.put(&image, REPOSITORY, &[TAG]);
    store.put_bytes(&loose);
    let link = store.layer_link(REPOSITORY, &loose.digest);
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::fs::write(link, &loose.digest).unwrap();
    let upstream = distribution::on_store(&store).start().await;
    let tower = Tower::of(&upstream.url(), settings).await;
    (upstream, tower, image, loose)
}

/// A scripted upstream with an image, and three caches in front of it.
async fn with_script(settings: &[(&str, &str)]) -> (ScriptedUpstream, Tower, Image) {
    let (upstream, image) = (ScriptedUpstream::start().await, one_image(1));
    upstream.hold(&image, REPOSITORY, &[TAG]);
    let tower = Tower::of(&upstream.url(), settings).await;
    (upstream, tower, image)
}

#[tokio::test]
async fn an_image_is_pulled_through_three_caches_and_kept_on_every_floor() {
    need!("docker-registry");
    let (mut upstream, tower, image, _) = with_distribution(&[]).await;
    pull_and_keep(&tower.bottom, REPOSITORY, TAG, &image).await;
    let asked = distribution::requests(&upstream);
    let gets = asked
        .iter()
        .filter(|(method, path, _)| method == "GET" && path.contains("/blobs/"))
        .count();
    assert_eq!(
        gets,
        image.blobs.len(),
        "one copy of each over the top link"
    );
    upstream.stop().await;
    for floor in tower.floors() {
        pull_and_keep(floor, REPOSITORY, TAG, &image).await;
    }
}

#[tokio::test]
async fn a_head_of_a_cold_blob_goes_up_through_three_caches_and_downloads_nothing() {
    need!("docker-registry");
    let (_upstream, tower, _, loose) = with_distribution(&[]).await;
    let answer = head(&blob(&loose.digest)).send(&tower.bottom.host()).await;
    let size = loose.bytes.len().to_string();
    assert_eq!(
        (answer.status, answer.header("Content-Length")),
        (200, Some(size.as_str()))
    );
    for floor in tower.floors() {
        assert!(floor.store().blob(&loose.digest).is_none());
    }
    let missing = blob(&Item::random(99, 10).digest);
    assert_eq!(head(&missing).send(&tower.bottom.host()).await.status, 404);
}

#[tokio::test]
async fn cold_ranges_are_answered_206_through_three_caches() {
    need!("docker-registry");
    let (_upstream, tower, _, loose) = with_distribution(&[]).await;
    let (path, size) = (blob(&loose.digest), loose.bytes.len());
    let far = size - 51;
    for (range, first, last) in [
        ("bytes=-51", far, size - 1),
        ("bytes=0-0", 0, 0),
        ("bytes=4000000-4000999", 4_000_000, 4_000_999),
        ("bytes=5999990-", 5_999_990, size - 1),
    ] {
        let answer = get(&path).range(range).send(&tower.bottom.host()).await;
        assert_part(&answer, &loose, first, last);
    }
    assert_blob(&get(&path).send(&tower.bottom.host()).await, &loose);
}

#[tokio::test]
async fn a_blob_whose_top_link_is_lost_on_the_way_is_one_whole_answer_at_the_bottom() {
    let (upstream, tower, _) = with_script(&[]).await;
    let (large, size) = (Item::random(8, 4_000_000), 4_000_000);
    upstream.hold_blob(&large, REPOSITORY);
    let path = blob(&large.digest);
    let cut = Answer::held().cut_at(size / 2, Cut::Fin);
    upstream.on_next(1, "GET", &path, cut);
    upstream.on_next(4, "GET", &path, Answer::hang_up(Cut::Fin));
    let answer = get(&path).send(&tower.bottom.host()).await;
    assert_blob(&answer, &large);
    assert!(upstream.bytes_sent() <= size as u64 + 1024 * 1024);
}

#[tokio::test]
async fn an_upstream_is_told_through_which_caches_a_question_came_and_nothing_else_of_the_caller() {
    let (upstream, tower, _) = with_script(&[]).await;
    let via = |answer: &cistern_tests::caller::Answered| answer.header("Via").map(str::to_owned);
    let mut names = Vec::new();
    for floor in tower.floors() {
        names.push(via(&get("/v2/").send(&floor.host()).await).unwrap());
    }
    upstream.forget_requests();
    let call = get(TAG_PATH)
        .header("Via", "1.0 squid (with a, comment), malformed")
        .header("Cookie", "a=b")
        .header("X-Forwarded-For", "127.0.0.77")
        .header("Authorization", "Bearer secret");
    let answer = call.send(&tower.bottom.host()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(via(&answer).as_deref(), Some(names[2].as_str()), "our own");
    names.reverse();
    let chain = format!("1.0 squid, {}", names.join(", "));
    let asked = upstream.requests();
    assert!(!asked.is_empty());
    for request in asked {
        let seen: Vec<_> = request.headers_of("Via").collect();
        assert_eq!(
            seen,
            [chain.as_str()],
            "{} {}",
            request.method,
            request.path
        );
        for header in ["Cookie", "X-Forwarded-For", "Authorization"] {
            assert_eq!(request.header(header), None);
        }
    }
    for (n, floor) in tower.floors().iter().enumerate() {
        let name = names[2 - n].strip_prefix("1.1 cistern-").unwrap();
        assert!(name.len() == 8 && !floor.host().contains(name), "{name}");
    }
}

#[tokio::test]
async fn work_of_our_own_is_asked_for_by_nobody() {
    let (upstream, tower, _) = with_script(&[("PROXY_CHECKEVERY", "0s")]).await;
    let by_a_child = get(TAG_PATH).header("Via", "1.1 below");
    assert_eq!(by_a_child.send(&tower.top.host()).await.status, 200);
    upstream.stop().await;
    assert!(is_stale(&by_a_child.send(&tower.top.host()).await));
    upstream.start_again().await;
    upstream.forget_requests();
    eventually("asking about the tag again", crate::scene::SOON, || async {
        upstream.count("HEAD", TAG_PATH) > 0
    })
    .await;
    for request in upstream.requests() {
        let via = request.header("Via").unwrap();
        assert!(
            via.starts_with("1.1 cistern-") && !via.contains(','),
            "{via}"
        );
    }
}

#[tokio::test]
async fn a_child_of_a_cistern_hears_of_a_moved_tag_within_seconds_unless_told_otherwise() {
    let (upstream, first) = (ScriptedUpstream::start().await, one_image(1));
    upstream.hold(&first, REPOSITORY, &[TAG]);
    let always = [("PROXY_CHECKEVERY", "0s")];
    let top = configured(mirror_of(&upstream.url()), &always)
        .start()
        .await;
    let child = mirror_of(&top.url()).start().await;
    let seldom = [("PROXY_CHECKEVERY", "1h")];
    let told = configured(mirror_of(&top.url()), &seldom).start().await;
    for cache in [&child, &told] {
        let answer = get(TAG_PATH).send(&cache.host()).await;
        assert_served(&answer, &first.top().bytes);
    }
    let next = one_image(2);
    upstream.hold(&next, REPOSITORY, &[TAG]);
    // Its own default would be 30 s.
    eventually("the moved tag", Duration::from_secs(20), || async {
        get(TAG_PATH).send(&child.host()).await.body == next.top().bytes
    })
    .await;
    let later = get(TAG_PATH).send(&told.host()).await;
    assert_served(&later, &first.top().bytes);
}
