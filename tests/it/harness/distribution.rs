//! Debian's Distribution as an upstream, as the cache that is to be replaced, and over stores made by hand.

use cistern_tests::caller::get;
use cistern_tests::distribution;
use cistern_tests::images::{Family, Image, Layer, image, index, odd_json};
use cistern_tests::need;
use cistern_tests::registry::{Product, Registry};
use cistern_tests::store::Store;
use cistern_tests::token_server::TokenServer;

fn two_platforms() -> Image {
    index(&[
        image().random_layers(1, 2, 2000),
        image()
            .platform("arm64", Some("v8"))
            .random_layers(2, 1, 2000),
    ])
}

fn stored(image: &Image) -> Store {
    let store = Store::new();
    store.put(image, "team/app", &["v1"]);
    store
}

async fn assert_serves(registry: &Registry, image: &Image) {
    for manifest in &image.manifests {
        let answer = get(&format!("/v2/team/app/manifests/{}", manifest.digest))
            .header("Accept", &manifest.media_type)
            .send(&registry.host())
            .await;
        assert_eq!(
            (answer.status, &answer.body),
            (200, &manifest.bytes),
            "{}",
            answer.text()
        );
        assert_eq!(
            answer.header("content-type"),
            Some(manifest.media_type.as_str())
        );
    }
    for blob in &image.blobs {
        let answer = get(&format!("/v2/team/app/blobs/{}", blob.digest))
            .send(&registry.host())
            .await;
        assert_eq!((answer.status, &answer.body), (200, &blob.bytes));
    }
    let by_tag = get("/v2/team/app/manifests/v1")
        .header("Accept", &image.top().media_type)
        .send(&registry.host())
        .await;
    assert_eq!(by_tag.header("docker-content-digest"), Some(image.digest()));
}

#[tokio::test]
async fn it_serves_a_store_that_was_written_without_it() {
    need!("docker-registry");
    let single = image().layer(Layer::text("hello", "hello"));
    let docker = single.clone().family(Family::Docker).build();
    for image in [two_platforms(), odd_json(&single.build()), docker] {
        let store = stored(&image);
        let registry = distribution::on_store(&store).start().await;
        assert_serves(&registry, &image).await;
        let seen = distribution::requests(&registry);
        let blobs = seen
            .iter()
            .filter(|(_, path, status)| path.contains("/blobs/") && *status == 200)
            .count();
        assert_eq!(blobs, image.blobs.len(), "{}", registry.log());
    }
}

#[tokio::test]
async fn its_garbage_collection_keeps_what_a_tag_needs_and_drops_the_rest() {
    need!("docker-registry");
    let image = two_platforms();
    let store = stored(&image);
    let lost = cistern_tests::images::Item::random(9, 100);
    store.put_bytes(&lost);
    distribution::collect_garbage(&store, &[]).await.well();
    assert!(store.blob(&lost.digest).is_none());
    let left = store.digests();
    assert!(
        image
            .blobs
            .iter()
            .chain(&image.manifests)
            .all(|item| left.contains(&item.digest))
    );
}

#[tokio::test]
async fn with_htpasswd_it_lets_in_only_the_right_password() {
    need!("docker-registry", "htpasswd");
    let image = two_platforms();
    let registry = distribution::on_store(&stored(&image))
        .htpasswd("user", "secret")
        .start()
        .await;
    let ask = get(&format!("/v2/team/app/blobs/{}", image.blobs[0].digest));
    assert_eq!(ask.send(&registry.host()).await.status, 401);
    assert_eq!(
        ask.clone()
            .basic("user", "wrong")
            .send(&registry.host())
            .await
            .status,
        401
    );
    assert_eq!(
        ask.clone()
            .basic("user", "secret")
            .send(&registry.host())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn it_accepts_the_tokens_of_our_token_server_and_no_others() {
    need!("docker-registry");
    let image = two_platforms();
    let tokens = TokenServer::start(Some(("user", "secret")), 300).await;
    let registry = distribution::on_store(&stored(&image))
        .tokens_of(&tokens)
        .start()
        .await;
    let path = format!("/v2/team/app/blobs/{}", image.blobs[0].digest);
    let refused = get(&path).send(&registry.host()).await;
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(
        refused.status == 401 && challenge.contains(&tokens.realm()),
        "{challenge}"
    );
    let token = async |repository: &str| {
        let query = format!(
            "/token?service={}&scope=repository:{repository}:pull",
            tokens.service()
        );
        let answer = get(&query)
            .basic("user", "secret")
            .send(&tokens.server().host())
            .await;
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let ask = async |token: &str| {
        get(&path)
            .header("Authorization", &format!("Bearer {token}"))
            .send(&registry.host())
            .await
            .status
    };
    assert_eq!(
        ask(&token("team/app").await).await,
        200,
        "{}",
        registry.log()
    );
    assert_eq!(ask(&token("team/other").await).await, 401);
    assert_eq!(ask("abc").await, 401);
    assert_eq!(
        get("/token?service=x")
            .send(&tokens.server().host())
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn as_a_cache_it_remembers_expiry_dates_that_can_be_set_into_the_past() {
    need!("docker-registry");
    let image = two_platforms();
    let upstream = distribution::on_store(&stored(&image)).start().await;
    let mut cache = distribution::mirror_of(&upstream.url()).start().await;
    assert_serves(&cache, &image).await;
    let held = cache.store().clone();
    let limit = std::time::Duration::from_secs(20);
    cistern_tests::eventually("the state file", limit, || async {
        held.has_expiry_dates()
    })
    .await;
    cache.stop().await;
    assert!(held.expire_everything() > 0);
    cache.replace_with(Product::Distribution).await;
    let gone = || async {
        image
            .blobs
            .iter()
            .all(|blob| held.blob(&blob.digest).is_none())
    };
    cistern_tests::eventually("Distribution throwing everything away", limit, gone).await;
}
