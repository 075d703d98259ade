//! Pushes under way: broken off by a restart, many at once of the same thing, of any length and in any pieces.

use cistern_tests::caller::{Answered, get};
use cistern_tests::cistern;
use cistern_tests::images::{Algorithm, Image, Item, image, random_bytes};
use cistern_tests::pusher::{Pusher, location, with_query};
use cistern_tests::registry::Registry;
use tokio::task::JoinSet;

use crate::common::{
    REPOSITORY, assert_blob, assert_manifest, assert_part, blob_path, manifest_path, pull,
};

async fn registry() -> (Registry, Pusher) {
    let registry = cistern::hosted().start().await;
    let pusher = Pusher::to(&registry.host());
    (registry, pusher)
}

async fn patch(pusher: &Pusher, upload: &str, bytes: &[u8]) -> Answered {
    let call = pusher.call("PATCH", upload).body(bytes.to_vec());
    call.send(pusher.host()).await
}

async fn put(pusher: &Pusher, upload: &str, digest: &str, bytes: &[u8]) -> Answered {
    let target = with_query(upload, "digest", digest);
    let call = pusher.call("PUT", &target).body(bytes.to_vec());
    call.send(pusher.host()).await
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart_where_it_was() {
    for kill in [false, true] {
        let (mut registry, pusher) = registry().await;
        let blob = Item::random(1, 300_000);
        let upload = location(&pusher.begin(REPOSITORY).await);
        let first = patch(&pusher, &upload, &blob.bytes[..200_000]).await;
        assert_eq!(
            (first.status, first.header("Range")),
            (202, Some("0-199999"))
        );
        if kill {
            registry.kill();
            registry.start().await;
        } else {
            registry.restart().await;
        }
        let state = pusher.ask("GET", &upload).await;
        assert_eq!(
            (state.status, state.header("Range")),
            (204, Some("0-199999"))
        );
        let second = patch(&pusher, &upload, &blob.bytes[200_000..250_000]).await;
        assert_eq!(
            (second.status, second.header("Range")),
            (202, Some("0-249999"))
        );
        let last = put(&pusher, &upload, &blob.digest, &blob.bytes[250_000..]).await;
        assert_eq!(last.status, 201, "{}", last.text());
        let path = blob_path(REPOSITORY, &blob.digest);
        assert_blob(&pusher.ask("GET", &path).await, &blob);
        let part = get(&path)
            .range("bytes=199990-200010")
            .send(pusher.host())
            .await;
        assert_part(&part, &blob, 199_990, 200_010);
        assert_eq!(pusher.ask("GET", &upload).await.status, 404);
    }
}

#[tokio::test]
async fn a_body_may_come_in_any_pieces_and_without_a_length() {
    let (_registry, pusher) = registry().await;
    let bytes = random_bytes(2, 100_000);
    for (seed, piece) in [(1, 1000), (2, 65_536), (3, 100_000)] {
        let blob = Item::new("text/plain", [&[seed], &bytes[..]].concat());
        let upload = location(&pusher.begin(REPOSITORY).await);
        let call = pusher
            .call("PATCH", &upload)
            .chunked(blob.bytes.chunks(piece));
        let taken = call.send(pusher.host()).await;
        assert_eq!(
            (taken.status, taken.header("Range")),
            (202, Some("0-100000"))
        );
        let answer = put(&pusher, &location(&taken), &blob.digest, b"").await;
        assert_eq!(answer.status, 201);
        let found = pusher.ask("GET", &location(&answer)).await;
        assert_blob(&found, &blob);
    }
}

#[tokio::test]
async fn a_digest_of_sha512_is_kept_served_and_deleted_as_such() {
    let (_registry, pusher) = registry().await;
    let image = image()
        .algorithm(Algorithm::Sha512)
        .random_layers(3, 2, 10_000)
        .build();
    pusher.image(&image, REPOSITORY, &[]).await;
    for blob in &image.blobs {
        let path = blob_path(REPOSITORY, &blob.digest);
        assert_blob(&pusher.ask("GET", &path).await, blob);
    }
    let path = manifest_path(REPOSITORY, image.digest());
    assert_manifest(&pusher.ask("GET", &path).await, image.top());
    assert_eq!(pusher.ask("DELETE", &path).await.status, 202);
    assert_eq!(pusher.ask("GET", &path).await.status, 404);
}

#[tokio::test]
async fn a_deleted_blob_is_gone_in_its_repository_and_stays_where_it_was_mounted() {
    let (mut registry, pusher) = registry().await;
    let blob = Item::random(4, 50_000);
    assert_eq!(pusher.blob(REPOSITORY, &blob).await.status, 201);
    for (to, query) in [
        (
            "team/one",
            format!("mount={}&from={REPOSITORY}", blob.digest),
        ),
        ("team/two", format!("mount={}", blob.digest)),
    ] {
        let path = format!("/v2/{to}/blobs/uploads/?{query}");
        let mounted = pusher
            .call("POST", &path)
            .body("")
            .send(pusher.host())
            .await;
        assert_eq!(mounted.status, 201, "{}", mounted.text());
        assert_blob(&pusher.ask("GET", &location(&mounted)).await, &blob);
    }
    let status = async |repository: &str| {
        let path = blob_path(repository, &blob.digest);
        pusher.ask("GET", &path).await.status
    };
    let delete = async |repository: &str| {
        let path = blob_path(repository, &blob.digest);
        assert_eq!(pusher.ask("DELETE", &path).await.status, 202);
    };
    delete(REPOSITORY).await;
    assert_eq!(
        (status(REPOSITORY).await, status("team/one").await),
        (404, 200)
    );
    registry.restart().await;
    assert_eq!(
        (status(REPOSITORY).await, status("team/two").await),
        (404, 200)
    );
    delete("team/one").await;
    delete("team/two").await;
    assert!(registry.store().blob(&blob.digest).is_none());
    // Nobody has it now: it cannot be mounted, but it can be pushed again.
    let path = format!("/v2/team/one/blobs/uploads/?mount={}", blob.digest);
    let mounted = pusher
        .call("POST", &path)
        .body("")
        .send(pusher.host())
        .await;
    assert_eq!(mounted.status, 202);
    assert_eq!(pusher.blob("team/one", &blob).await.status, 201);
    assert_eq!(status("team/one").await, 200);
}

async fn push(pusher: Pusher, image: Image, repository: String, tag: &'static str) {
    pusher.image(&image, &repository, &[tag]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_image_pushed_by_many_at_once_is_there_whole() {
    let (registry, pusher) = registry().await;
    let image = image().random_layers(5, 3, 200_000).build();
    let mut running = JoinSet::new();
    for number in 0..24 {
        let repository = format!("team/app{}", number % 3);
        running.spawn(push(pusher.clone(), image.clone(), repository, "v1"));
    }
    running.join_all().await;
    for number in 0..3 {
        pull(&registry, &format!("team/app{number}"), "v1", &image).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_many_set_at_once_names_what_one_of_them_pushed() {
    let (mut registry, pusher) = registry().await;
    let images: Vec<_> = (0..8)
        .map(|seed| image().random_layers(10 + seed, 1, 10_000).build())
        .collect();
    let mut running = JoinSet::new();
    for image in &images {
        running.spawn(push(
            pusher.clone(),
            image.clone(),
            REPOSITORY.to_owned(),
            "v1",
        ));
    }
    running.join_all().await;
    let tagged = pusher.ask("GET", &manifest_path(REPOSITORY, "v1")).await;
    let winner = images
        .iter()
        .find(|image| Some(image.digest()) == tagged.header("Docker-Content-Digest"));
    pull(&registry, REPOSITORY, "v1", winner.unwrap()).await;
    for image in &images {
        let path = manifest_path(REPOSITORY, image.digest());
        assert_manifest(&pusher.ask("GET", &path).await, image.top());
    }
    registry.restart().await;
    pull(&registry, REPOSITORY, "v1", winner.unwrap()).await;
}

#[tokio::test]
async fn a_manifest_pushed_with_several_tags_has_all_of_them() {
    let (registry, pusher) = registry().await;
    let image = image().random_layers(6, 1, 1000).build();
    pusher.image(&image, REPOSITORY, &[]).await;
    let tags: Vec<_> = (0..12).map(|number| format!("v{number}")).collect();
    let query: Vec<_> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let reference = format!("{}?{}", image.digest(), query.join("&"));
    let answer = pusher.manifest(REPOSITORY, &reference, image.top()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let said: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("OCI-Tag"))
        .collect();
    let said: Vec<_> = said
        .iter()
        .flat_map(|(_, value)| value.split(", "))
        .collect();
    assert_eq!(said, tags);
    for tag in &tags {
        pull(&registry, REPOSITORY, tag, &image).await;
    }
}

#[tokio::test]
async fn what_was_pushed_is_not_sent_again_to_who_has_it() {
    let (_registry, pusher) = registry().await;
    let image = image().random_layers(7, 1, 1000).build();
    pusher.image(&image, REPOSITORY, &["v1"]).await;
    for path in [
        manifest_path(REPOSITORY, "v1"),
        blob_path(REPOSITORY, &image.blobs[0].digest),
    ] {
        let first = pusher.ask("GET", &path).await;
        let tag = first.header("ETag").unwrap();
        let again = get(&path)
            .header("If-None-Match", tag)
            .send(pusher.host())
            .await;
        assert_eq!((again.status, again.body.len()), (304, 0));
    }
}
