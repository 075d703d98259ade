//! One copy of a blob serves many repositories, but only those that are known to hold it.

use std::time::Duration;

use cistern_tests::caller::{Answered, Ended, get, head};
use cistern_tests::images::{Image, Item, image};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Cut, Gate, ScriptedUpstream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::common::{
    MIB, SOON, assert_blob, assert_manifest, assert_part, blob_path, chain, kept, manifest_path,
    part_gets, whole_gets,
};

fn asking(cache: &Registry, path: &str) -> JoinHandle<Answered> {
    let (path, host) = (path.to_owned(), cache.host());
    tokio::spawn(async move { get(&path).send(&host).await })
}

fn assert_unknown(answer: &Answered, upstream: &ScriptedUpstream) {
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (404, "BLOB_UNKNOWN")
    );
    assert!(
        answer.text().contains(&upstream.host()),
        "{}",
        answer.text()
    );
}

/// Law 6: what is here for one repository is no way round the access of another.
#[tokio::test]
async fn a_stored_blob_is_given_to_another_repository_only_when_its_upstream_says_so() {
    let (upstream, cache) = chain().await;
    let blob = Item::random(1, 200_000);
    upstream.hold_blob(&blob, "team/a");
    let (ours, theirs) = (
        blob_path("team/a", &blob.digest),
        blob_path("team/b", &blob.digest),
    );
    assert_blob(&get(&ours).send(&cache.host()).await, &blob);
    kept(&cache, &blob.digest).await;
    assert_unknown(&get(&theirs).send(&cache.host()).await, &upstream);
    assert_unknown(
        &get(&theirs).range("bytes=0-9").send(&cache.host()).await,
        &upstream,
    );
    assert_eq!(head(&theirs).send(&cache.host()).await.status, 404);
    assert!(upstream.count("HEAD", &theirs) > 0);
    upstream.hold_blob(&blob, "team/b");
    assert_blob(&get(&theirs).send(&cache.host()).await, &blob);
    assert_eq!(
        whole_gets(&upstream, &ours) + whole_gets(&upstream, &theirs),
        1
    );
    upstream.stop().await;
    assert_blob(&get(&theirs).send(&cache.host()).await, &blob);
    assert_eq!(
        get(&blob_path("team/c", &blob.digest))
            .send(&cache.host())
            .await
            .status,
        503
    );
}

#[tokio::test]
async fn an_upstream_that_refuses_every_head_says_by_one_byte_that_it_holds_a_blob() {
    for refusal in [401, 403, 404, 405] {
        let (upstream, cache) = chain().await;
        let blob = Item::random(2, 200_000);
        upstream.hold_blob(&blob, "team/a");
        upstream.hold_blob(&blob, "team/b");
        upstream.on("HEAD", "/v2/*", Answer::status(refusal));
        let (ours, theirs) = (
            blob_path("team/a", &blob.digest),
            blob_path("team/b", &blob.digest),
        );
        assert_blob(&get(&ours).send(&cache.host()).await, &blob);
        kept(&cache, &blob.digest).await;
        assert_blob(&get(&theirs).send(&cache.host()).await, &blob);
        assert_eq!(
            (
                whole_gets(&upstream, &theirs),
                part_gets(&upstream, &theirs)
            ),
            (0, 1),
            "{refusal}"
        );
    }
}

#[tokio::test]
async fn a_running_download_is_joined_from_another_repository_only_when_its_upstream_says_so() {
    let (upstream, cache) = chain().await;
    let (blob, gate) = (Item::random(3, 2 * MIB), Gate::new());
    upstream.hold_blob(&blob, "team/a");
    let (ours, theirs) = (
        blob_path("team/a", &blob.digest),
        blob_path("team/b", &blob.digest),
    );
    upstream.on("GET", &ours, Answer::held().stops_at(MIB, &gate));
    let first = asking(&cache, &ours);
    gate.wait_reached(1, SOON).await;
    assert_unknown(&get(&theirs).send(&cache.host()).await, &upstream);
    upstream.hold_blob(&blob, "team/b");
    let mut joined = get(&theirs).open(&cache.host()).await.unwrap();
    let begun = joined.read(1).await;
    assert!(
        !begun.is_empty(),
        "reads along while the upstream stands still"
    );
    gate.open();
    let rest = joined.finish().await;
    assert!(rest.is_complete() && [begun, rest.body].concat() == blob.bytes);
    assert_blob(&first.await.unwrap(), &blob);
    assert_eq!(
        whole_gets(&upstream, &ours) + whole_gets(&upstream, &theirs),
        1
    );
}

async fn know(upstream: &ScriptedUpstream, cache: &Registry, image: &Image, repository: &str) {
    upstream.hold(image, repository, &["v1"]);
    let answer = get(&manifest_path(repository, "v1"))
        .send(&cache.host())
        .await;
    assert_manifest(&answer, image.top());
}

#[tokio::test]
async fn a_repository_whose_manifest_names_a_blob_joins_without_a_question() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(1, 1, 2 * MIB).build();
    know(&upstream, &cache, &image, "team/a").await;
    know(&upstream, &cache, &image, "team/b").await;
    let (layer, gate) = (image.largest_blob(), Gate::new());
    let (ours, theirs) = (
        blob_path("team/a", &layer.digest),
        blob_path("team/b", &layer.digest),
    );
    upstream.on("GET", "/v2/*/blobs/*", Answer::held().stops_at(MIB, &gate));
    let first = asking(&cache, &ours);
    gate.wait_reached(1, SOON).await;
    let second = asking(&cache, &theirs);
    let mut third = get(&theirs).open(&cache.host()).await.unwrap();
    assert!(!third.read(1).await.is_empty());
    gate.open();
    assert_blob(&first.await.unwrap(), layer);
    assert_blob(&second.await.unwrap(), layer);
    assert!(third.finish().await.is_complete());
    assert_eq!(upstream.count("*", "/v2/*/blobs/*"), 1);
    kept(&cache, &layer.digest).await;
    assert_blob(&get(&theirs).send(&cache.host()).await, layer);
    assert_eq!(upstream.count("*", "/v2/*/blobs/*"), 1);
}

/// Law 4: a download has as many sources as repositories want it, and fails only when all have failed.
#[tokio::test]
async fn when_one_repository_is_refused_the_download_goes_on_from_the_next_that_joined() {
    for refusal in [
        Answer::status(404),
        Answer::status(500),
        Answer::hang_up(Cut::Fin),
    ] {
        let (upstream, cache) = chain().await;
        let image = image().random_layers(2, 1, 6 * MIB).build();
        know(&upstream, &cache, &image, "team/a").await;
        know(&upstream, &cache, &image, "team/b").await;
        let (layer, gate) = (image.largest_blob(), Gate::new());
        let (ours, theirs) = (
            blob_path("team/a", &layer.digest),
            blob_path("team/b", &layer.digest),
        );
        upstream.on("*", &ours, refusal.behind(&gate));
        let first = asking(&cache, &ours);
        gate.wait_reached(1, SOON).await;
        let far = join(&upstream, &cache, &theirs).await;
        assert_part(&far.await.unwrap(), layer, 5_500_000, 5_500_099);
        let second = asking(&cache, &theirs);
        gate.open();
        assert_blob(&second.await.unwrap(), layer);
        assert_blob(&first.await.unwrap(), layer);
        assert_eq!(whole_gets(&upstream, &theirs), 1);
    }
}

/// Lets a repository join a download that has not begun to come: with a range far ahead, which is asked of its upstream by
/// itself, so that the upstream sees when it has joined. What became of that range.
async fn join(upstream: &ScriptedUpstream, cache: &Registry, path: &str) -> JoinHandle<Answered> {
    let (call, host) = (get(path).range("bytes=5500000-5500099"), cache.host());
    let joined = tokio::spawn(async move { call.send(&host).await });
    upstream.wait_for("GET", path, 1, SOON).await;
    joined
}

#[tokio::test]
async fn when_all_repositories_are_refused_each_caller_is_told_in_the_words_of_its_own() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(3, 1, 6 * MIB).build();
    know(&upstream, &cache, &image, "team/a").await;
    know(&upstream, &cache, &image, "team/b").await;
    let (layer, gate) = (image.largest_blob(), Gate::new());
    let (ours, theirs) = (
        blob_path("team/a", &layer.digest),
        blob_path("team/b", &layer.digest),
    );
    upstream.on("*", &ours, Answer::status(404).behind(&gate));
    upstream.on("*", &theirs, Answer::status(403));
    let first = asking(&cache, &ours);
    gate.wait_reached(1, SOON).await;
    let second = join(&upstream, &cache, &theirs).await;
    gate.open();
    assert_unknown(&first.await.unwrap(), &upstream);
    let second = second.await.unwrap();
    assert_eq!(
        (second.status, second.error_code().as_str()),
        (503, "UNAVAILABLE")
    );
    assert!(second.text().contains("403"), "{}", second.text());
}

/// Laws 4 and 6 together: who started a download without proof is not served from somebody else's source.
#[tokio::test]
async fn a_caller_whose_own_repository_is_refused_gets_nothing_from_the_source_of_another() {
    let (upstream, cache) = chain().await;
    let image = image().random_layers(4, 1, 6 * MIB).build();
    know(&upstream, &cache, &image, "team/b").await;
    let (layer, gate) = (image.largest_blob(), Gate::new());
    let (ours, theirs) = (
        blob_path("team/a", &layer.digest),
        blob_path("team/b", &layer.digest),
    );
    upstream.on("*", &ours, Answer::status(404).behind(&gate));
    let first = asking(&cache, &ours);
    gate.wait_reached(1, SOON).await;
    let far = join(&upstream, &cache, &theirs).await;
    assert_part(&far.await.unwrap(), layer, 5_500_000, 5_500_099);
    let second = asking(&cache, &theirs);
    gate.open();
    assert_blob(&second.await.unwrap(), layer);
    let first = first.await.unwrap();
    assert_ne!((first.status, first.ended), (200, Ended::Complete));
    assert_unknown(&first, &upstream);
    kept(&cache, &layer.digest).await;
    assert_unknown(&get(&ours).send(&cache.host()).await, &upstream);
}

/// Law 6: neither a second caller of the same repository nor an upstream that stumbles stands for proof.
#[tokio::test]
async fn two_callers_of_an_unproven_repository_are_no_proof_for_each_other() {
    for refusal in [
        Answer::status(404),
        Answer::status(403),
        Answer::status(500),
        Answer::hang_up(Cut::Fin),
    ] {
        let (upstream, cache) = chain().await;
        let image = image().random_layers(5, 1, 6 * MIB).build();
        know(&upstream, &cache, &image, "team/b").await;
        let (layer, gate) = (image.largest_blob(), Gate::new());
        let (ours, theirs) = (
            blob_path("team/a", &layer.digest),
            blob_path("team/b", &layer.digest),
        );
        upstream.on("*", &ours, refusal.behind(&gate));
        let first = asking(&cache, &ours);
        gate.wait_reached(1, SOON).await;
        let second = asking(&cache, &ours);
        let proven = asking(&cache, &theirs);
        // Joining shows nowhere outside: whoever has not joined by now would only make this test prove less.
        sleep(Duration::from_millis(500)).await;
        gate.open();
        assert_blob(&proven.await.unwrap(), layer);
        kept(&cache, &layer.digest).await;
        for answer in [first.await.unwrap(), second.await.unwrap()] {
            assert!(matches!(answer.status, 404 | 503), "{}", answer.status);
        }
        let after = get(&ours).send(&cache.host()).await;
        assert!(matches!(after.status, 404 | 503), "{}", after.status);
    }
}
