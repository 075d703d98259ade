//! There and back.

use std::time::Duration;

use cistern_tests::images::{Image, image};
use cistern_tests::need;
use cistern_tests::registry::Product;

use super::{
    REPOSITORY, assert_distribution_serves_by_digest, blob_requests, filled_distribution, kept,
    ordinary, pull,
};

/// Distribution throws away what has expired as soon as it has started; this is far more than it needs.
const LONG_AFTER_THE_START: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn after_a_swap_there_and_back_every_blob_is_still_there_though_all_had_expired() {
    need!("docker-registry");
    let images = ordinary();
    let (upstream, mut cache) = filled_distribution(&images).await;
    let store = cache.store().clone();
    cache.stop().await;
    assert!(store.expire_everything() > 0);
    let before = store.digests();

    cache.replace_with(Product::Cistern).await;
    for (tag, image) in &images {
        pull(&cache, REPOSITORY, tag, image).await;
    }
    // Something new of Cistern's own, of which Distribution has no plan at all.
    let late: Image = image().random_layers(77, 2, 30_000).build();
    upstream.store().put(&late, REPOSITORY, &["late"]);
    pull(&cache, REPOSITORY, "late", &late).await;
    for item in late.blobs.iter().chain(&late.manifests) {
        kept(&cache, &item.digest).await;
    }
    let asked = blob_requests(&upstream);

    for _ in 0..2 {
        cache.replace_with(Product::Distribution).await;
        tokio::time::sleep(LONG_AFTER_THE_START).await;
        for digest in before
            .iter()
            .chain(late.blobs.iter().map(|blob| &blob.digest))
        {
            assert!(store.blob(digest).is_some(), "{digest} is gone");
        }
        for (tag, image) in &images {
            assert_distribution_serves_by_digest(&cache, tag, image).await;
        }
        assert_distribution_serves_by_digest(&cache, "late", &late).await;

        cache.stop().await;
        store.expire_everything();
        cache.replace_with(Product::Cistern).await;
        pull(&cache, REPOSITORY, "late", &late).await;
    }
    assert_eq!(blob_requests(&upstream), asked, "{}", upstream.log());
}
