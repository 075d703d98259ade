//! A tag is asked for now and then, by HEAD, once for everybody; what it names is then the same for all who ask.

use std::time::Duration;

use cistern_tests::caller::{get, head};
use cistern_tests::eventually;
use cistern_tests::images::{Item, image};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, Recorded};
use cistern_tests::store::Store;
use tokio::task::JoinSet;

use crate::scene::{
    REPOSITORY, SOON, Scene, TAG, TAG_PATH, assert_refused, assert_served, blob, cache_of,
    is_stale, manifest, upstream,
};

/// Asks every time.
const ALWAYS: &[(&str, &str)] = &[("PROXY_CHECKEVERY", "0s")];

fn digest(answer: &cistern_tests::caller::Answered) -> &str {
    answer.header("Docker-Content-Digest").unwrap()
}

#[tokio::test]
async fn a_confirmed_tag_is_served_without_asking_until_its_interval_is_over() {
    let scene = Scene::warm(&[]).await;
    scene.move_tag();
    for _ in 0..5 {
        assert_served(&scene.get(TAG_PATH).await, &scene.image.top().bytes);
        assert_eq!(digest(&scene.head(TAG_PATH).await), scene.image.digest());
    }
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_moved_tag_is_seen_after_its_interval_and_its_old_digest_stays() {
    let scene = Scene::warm(&[("PROXY_CHECKEVERY", "300ms")]).await;
    let next = scene.move_tag();
    eventually("seeing the move", SOON, || async {
        digest(&scene.head(TAG_PATH).await) == next.digest()
    })
    .await;
    assert_served(&scene.get(TAG_PATH).await, &next.top().bytes);
    scene.upstream.forget_requests();
    let old = scene.get(&manifest(scene.image.digest())).await;
    assert_served(&old, &scene.image.top().bytes);
    for layer in &scene.image.blobs {
        assert_served(&scene.get(&blob(&layer.digest)).await, &layer.bytes);
    }
    assert_eq!(scene.upstream.count("GET", "/v2/*"), 0);
}

#[tokio::test]
async fn an_unmoved_tag_costs_one_head_and_no_get() {
    let scene = Scene::warm(ALWAYS).await;
    for count in 1..=3 {
        assert_served(&scene.get(TAG_PATH).await, &scene.image.top().bytes);
        assert_eq!(scene.upstream.count("HEAD", TAG_PATH), count);
    }
    assert_eq!(scene.upstream.count("GET", "/v2/*"), 0);
}

#[tokio::test]
async fn a_moved_tag_costs_one_head_and_one_get_by_digest() {
    let scene = Scene::warm(ALWAYS).await;
    let next = scene.move_tag();
    assert_served(&scene.get(TAG_PATH).await, &next.top().bytes);
    assert_eq!(scene.upstream.count("HEAD", TAG_PATH), 1);
    assert_eq!(scene.upstream.count("GET", TAG_PATH), 0);
    assert_eq!(scene.upstream.count("GET", &manifest(next.digest())), 1);
    assert_eq!(scene.upstream.requests().len(), 2);
}

/// Asks for the tag from `count` callers at once, half of them by HEAD; the digests they were told.
async fn herd(cache: &Registry, path: &str, count: usize) -> Vec<String> {
    let mut callers = JoinSet::new();
    for number in 0..count {
        let (host, path) = (cache.host(), path.to_owned());
        let call = if number % 2 == 0 {
            get(&path)
        } else {
            head(&path)
        };
        callers.spawn(async move {
            let answer = call.send(&host).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            digest(&answer).to_owned()
        });
    }
    callers.join_all().await
}

#[tokio::test]
async fn fifty_callers_of_a_cold_tag_cost_one_head_and_one_get() {
    let (upstream, image) = upstream().await;
    let tags: Vec<String> = (0..10).map(|number| format!("t{number}")).collect();
    let names: Vec<&str> = tags.iter().map(String::as_str).collect();
    upstream.hold(&image, REPOSITORY, &names);
    let cache = cache_of(&upstream, &[]).start().await;
    for tag in &tags {
        let path = manifest(tag);
        let told = herd(&cache, &path, 50).await;
        assert!(told.iter().all(|digest| digest == image.digest()));
        assert_eq!(upstream.count("HEAD", &path), 1, "{tag}");
    }
    assert_eq!(upstream.count("GET", "/v2/team/app/manifests/*"), 1);
}

#[tokio::test]
async fn fifty_callers_cost_one_head_per_interval() {
    let scene = Scene::warm(&[("PROXY_CHECKEVERY", "1s")]).await;
    for round in 1..=3 {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let before = scene.upstream.count("HEAD", TAG_PATH);
        let began = std::time::Instant::now();
        herd(&scene.cache, TAG_PATH, 50).await;
        let asked = scene.upstream.count("HEAD", TAG_PATH) - before;
        let intervals = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
        assert!((1..=intervals).contains(&asked), "{asked} in round {round}");
    }
}

#[tokio::test]
async fn callers_who_come_while_a_check_runs_wait_for_that_one() {
    let scene = Scene::warm(ALWAYS).await;
    let next = scene.move_tag();
    let gate = Gate::new();
    let rule = scene
        .upstream
        .on("HEAD", TAG_PATH, Answer::held().behind(&gate));
    let opener = async {
        gate.wait_reached(1, SOON).await;
        // The others are on their way while the check is held up.
        tokio::time::sleep(Duration::from_millis(300)).await;
        gate.open();
    };
    let (told, ()) = tokio::join!(herd(&scene.cache, TAG_PATH, 50), opener);
    assert!(told.iter().all(|digest| digest == next.digest()));
    assert!(rule.used() <= 3, "{} checks", rule.used());
}

#[tokio::test]
async fn the_digest_that_a_head_names_is_what_get_serves() {
    let scene = Scene::warm(&[("PROXY_CHECKEVERY", "1h")]).await;
    let mut cache = scene.cache;
    cache.set("REGISTRY_PROXY_CHECKEVERY", "200ms");
    cache.restart().await;
    let ask = async |path: &str| get(path).send(&cache.host()).await;
    let next = image().random_layers(3, 1, 1000).build();
    scene.upstream.hold(&next, REPOSITORY, &[TAG]);
    let named = async || digest(&head(TAG_PATH).send(&cache.host()).await).to_owned();
    eventually("seeing the move", SOON, || async {
        named().await == next.digest()
    })
    .await;
    // The manifest itself has not been asked for yet, and cannot be any more.
    scene.upstream.stop().await;
    assert_served(&ask(&manifest(next.digest())).await, &next.top().bytes);
    assert_served(&ask(TAG_PATH).await, &next.top().bytes);
}

#[tokio::test]
async fn what_is_cached_is_served_by_digest_without_any_upstream_request() {
    let scene = Scene::warm(ALWAYS).await;
    assert_served(
        &scene.get(&manifest(scene.image.digest())).await,
        &scene.image.top().bytes,
    );
    assert_eq!(
        scene.head(&manifest(scene.image.digest())).await.status,
        200
    );
    for layer in &scene.image.blobs {
        assert_served(&scene.get(&blob(&layer.digest)).await, &layer.bytes);
        assert_eq!(scene.head(&blob(&layer.digest)).await.status, 200);
    }
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_check_survives_a_restart() {
    let scene = Scene::warm(&[("PROXY_CHECKEVERY", "1h")]).await;
    let mut cache = scene.cache;
    cache.restart().await;
    let answer = get(TAG_PATH).send(&cache.host()).await;
    assert_served(&answer, &scene.image.top().bytes);
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_tag_known_only_from_its_file_is_checked_first() {
    let (upstream, next) = upstream().await;
    let old = image().random_layers(9, 1, 1000).build();
    let store = Store::new();
    store.put(&old, REPOSITORY, &[TAG]);
    let cache = cache_of(&upstream, &[("PROXY_CHECKEVERY", "1h")])
        .store(&store)
        .start()
        .await;
    let answer = get(TAG_PATH).send(&cache.host()).await;
    assert_served(&answer, &next.top().bytes);
    assert!(!is_stale(&answer));
    assert_eq!(store.tag(REPOSITORY, TAG).as_deref(), Some(next.digest()));
}

#[tokio::test]
async fn a_changed_remoteurl_makes_every_tag_unconfirmed() {
    let scene = Scene::warm(&[("PROXY_CHECKEVERY", "1h")]).await;
    let other = cistern_tests::scripted_upstream::ScriptedUpstream::start().await;
    let next = image().random_layers(5, 1, 1000).build();
    other.hold(&next, REPOSITORY, &[TAG]);
    let mut cache = scene.cache;
    other.stop().await;
    cache.set("REGISTRY_PROXY_REMOTEURL", &other.url());
    cache.restart().await;
    let unconfirmed = get(TAG_PATH).send(&cache.host()).await;
    assert_served(&unconfirmed, &scene.image.top().bytes);
    assert!(is_stale(&unconfirmed));
    other.start_again().await;
    eventually("asking the new upstream", SOON, || async {
        let answer = get(TAG_PATH).send(&cache.host()).await;
        answer.body == next.top().bytes && !is_stale(&answer)
    })
    .await;
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_tag_that_is_gone_upstream_is_kept_unless_the_operator_says_otherwise() {
    let scene = Scene::warm(ALWAYS).await;
    scene.upstream.set_tag(REPOSITORY, TAG, None);
    for _ in 0..2 {
        let kept = scene.get(TAG_PATH).await;
        assert_served(&kept, &scene.image.top().bytes);
        assert!(is_stale(&kept));
    }
}

#[tokio::test]
async fn a_tag_that_is_gone_upstream_is_gone_here_if_the_operator_says_follow() {
    let follow = [("PROXY_CHECKEVERY", "0s"), ("PROXY_WHENGONE", "follow")];
    let scene = Scene::warm(&follow).await;
    scene.upstream.set_tag(REPOSITORY, TAG, None);
    for _ in 0..2 {
        let gone = scene.get(TAG_PATH).await;
        assert_refused(
            &gone,
            404,
            "MANIFEST_UNKNOWN",
            &["answered 404", &scene.upstream.host()],
        );
    }
    let by_digest = scene.get(&manifest(scene.image.digest())).await;
    assert_served(&by_digest, &scene.image.top().bytes);
    let again = image().random_layers(6, 1, 1000).build();
    scene.upstream.hold(&again, REPOSITORY, &[TAG]);
    eventually("seeing the new push", SOON, || async {
        scene.get(TAG_PATH).await.body == again.top().bytes
    })
    .await;
}

#[tokio::test]
async fn following_does_not_mean_to_follow_an_upstream_that_is_away() {
    let follow = [("PROXY_CHECKEVERY", "0s"), ("PROXY_WHENGONE", "follow")];
    let scene = Scene::warm(&follow).await;
    scene.upstream.on("*", "/v2/*", Answer::status(503));
    let kept = scene.get(TAG_PATH).await;
    assert_served(&kept, &scene.image.top().bytes);
    assert!(is_stale(&kept));
}

#[tokio::test]
async fn a_blob_known_from_one_repository_is_no_proof_for_another() {
    let scene = Scene::warm(&[]).await;
    let layer = scene.image.largest_blob();
    let other = format!("/v2/team/other/blobs/{}", layer.digest);
    for answer in [scene.get(&other).await, scene.head(&other).await] {
        assert_eq!(answer.status, 404);
    }
    let by_digest = format!("/v2/team/other/manifests/{}", scene.image.digest());
    assert_eq!(scene.get(&by_digest).await.status, 404);
    scene.upstream.hold_blob(layer, "team/other");
    assert_served(&scene.get(&other).await, &layer.bytes);
    let again = scene.upstream.requests_of("GET", &other);
    assert_eq!(
        again
            .iter()
            .map(Recorded::bytes_sent)
            .filter(|sent| *sent > 1000)
            .count(),
        0
    );
}

#[tokio::test]
async fn a_download_for_one_repository_is_not_joined_from_another_without_proof() {
    let (upstream, _) = upstream().await;
    let layer = Item::random(21, 300_000);
    upstream.hold_blob(&layer, REPOSITORY);
    let cache = cache_of(&upstream, &[]).start().await;
    let gate = Gate::new();
    upstream.on(
        "GET",
        &blob(&layer.digest),
        Answer::held().stops_at(200_000, &gate),
    );
    let path = blob(&layer.digest);
    let mut first = get(&path).open(&cache.host()).await.unwrap();
    assert_eq!(first.status, 200);
    let stranger = format!("/v2/team/other/blobs/{}", layer.digest);
    assert_eq!(get(&stranger).send(&cache.host()).await.status, 404);
    upstream.hold_blob(&layer, "team/other");
    let joined = get(&stranger).open(&cache.host()).await.unwrap();
    assert_eq!(joined.status, 200);
    gate.open();
    assert_eq!(joined.finish().await.body, layer.bytes);
    assert_eq!(first.read(layer.bytes.len()).await, layer.bytes);
    assert_eq!(upstream.count("GET", &path), 1);
}
