//! The same store for what was pushed: what one of the two was given the other serves, goes on with, and deletes.

use cistern_tests::caller::get;
use cistern_tests::images::{Image, image, referring_artifact};
use cistern_tests::pusher::Pusher;
use cistern_tests::registry::{Product, Registry};
use cistern_tests::{cistern, distribution, need};
use serde_json::json;

use super::{
    REPOSITORY, Tagged, assert_distribution_serves, extraordinary, manifest_path, ordinary, pull,
};

async fn push(registry: &Registry, images: &[Tagged]) {
    let pusher = Pusher::to(&registry.host());
    for (tag, image) in images {
        pusher.image(image, REPOSITORY, &[tag]).await;
    }
}

async fn delete(registry: &Registry, image: &Image) {
    let path = manifest_path(REPOSITORY, image.digest());
    let deleted = Pusher::to(&registry.host()).ask("DELETE", &path).await;
    assert_eq!(deleted.status, 202, "{}", deleted.text());
}

async fn assert_gone(registry: &Registry, (tag, image): &Tagged) {
    for reference in [tag, image.digest()] {
        let path = manifest_path(REPOSITORY, reference);
        let call = get(&path).header("Accept", &image.top().media_type);
        assert_eq!(call.send(&registry.host()).await.status, 404, "{reference}");
    }
}

/// One more image, pushed after a change of programs.
fn later() -> Tagged {
    let image = image().random_layers(77, 1, 10_000).build();
    ("later", image)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_to_cistern_distribution_serves_keeps_and_deletes() {
    need!("docker-registry");
    let (ordinary, extraordinary) = (ordinary(), extraordinary());
    let mut registry = cistern::hosted().start().await;
    push(&registry, &ordinary).await;
    push(&registry, &extraordinary).await;
    registry.replace_with(Product::Distribution).await;
    for (tag, image) in &ordinary {
        assert_distribution_serves(&registry, tag, image).await;
    }
    delete(&registry, &ordinary[0].1).await;
    push(&registry, &[later()]).await;
    registry.stop().await;
    let said = distribution::collect_garbage(registry.store(), &[]).await;
    assert!(said.success, "{}", said.output);
    registry.replace_with(Product::Cistern).await;
    assert_gone(&registry, &ordinary[0]).await;
    for (tag, image) in ordinary[1..].iter().chain(&[later()]) {
        pull(&registry, REPOSITORY, tag, image).await;
    }
    // And once more there, after it was pushed again here.
    push(&registry, &ordinary[..1]).await;
    registry.replace_with(Product::Distribution).await;
    assert_distribution_serves(&registry, ordinary[0].0, &ordinary[0].1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_to_distribution_cistern_serves_keeps_and_deletes() {
    need!("docker-registry");
    let images = ordinary();
    let mut registry = distribution::hosted().start().await;
    // Cistern deletes only where it is told that it may; the other one is told by its file.
    registry.set("REGISTRY_STORAGE_DELETE_ENABLED", "true");
    push(&registry, &images).await;
    let subject = &images[0].1;
    let note = referring_artifact("application/vnd.example.note", "a note", subject.top());
    push(&registry, &[("note", note.clone())]).await;

    registry.replace_with(Product::Cistern).await;
    for (tag, image) in &images {
        pull(&registry, REPOSITORY, tag, image).await;
    }
    let list = get(&format!("/v2/{REPOSITORY}/tags/list"))
        .send(&registry.host())
        .await;
    let mut tags: Vec<_> = images.iter().map(|(tag, _)| *tag).chain(["note"]).collect();
    tags.sort_unstable();
    assert_eq!(list.json()["tags"], json!(tags));
    // Distribution never knew what the note is about.
    let found = get(&format!("/v2/{REPOSITORY}/referrers/{}", subject.digest()))
        .send(&registry.host())
        .await;
    let found = found.json()["manifests"][0]["digest"].clone();
    assert_eq!(found, note.digest());

    delete(&registry, &images[1].1).await;
    push(&registry, &[later()]).await;
    registry.replace_with(Product::Distribution).await;
    assert_gone(&registry, &images[1]).await;
    for (tag, image) in images.iter().chain(&[later()]) {
        if *tag != images[1].0 {
            assert_distribution_serves(&registry, tag, image).await;
        }
    }
}
