//! What is pinned stays: it never expires, and its upstream may delete it.

use cistern_tests::caller::get;
use cistern_tests::eventually;
use cistern_tests::images::image;
use cistern_tests::scripted_upstream::ScriptedUpstream;

use crate::common::{REPOSITORY, SOON, holds, manifest_path, pull, pull_and_keep};
use crate::scene::{cache_of, is_stale};
use crate::warm::{metric, ready};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_never_expires_and_the_rest_does() {
    let upstream = ScriptedUpstream::start().await;
    let pinned = image().random_layers(1, 2, 5000).build();
    let other = image().random_layers(2, 2, 5000).build();
    upstream.hold(&pinned, REPOSITORY, &["pinned"]);
    upstream.hold(&other, REPOSITORY, &["other"]);
    let settings = [
        ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true"),
        ("WARM_IMAGES", "team/app:pinned"),
        ("PROXY_TTL", "2s"),
    ];
    let mut cache = cache_of(&upstream, &settings).start().await;
    pull_and_keep(&cache, REPOSITORY, "other", &other).await;
    ready(&cache, 1).await;
    let gone = || async { !holds(&cache, &other.largest_blob().digest) };
    eventually("expiring what is not pinned", SOON, gone).await;
    for item in pinned.blobs.iter().chain(&pinned.manifests) {
        assert!(holds(&cache, &item.digest));
    }
    // Protected from the first round on, before anything was looked at again.
    upstream.forget_requests();
    cache.restart().await;
    ready(&cache, 1).await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(upstream.count("GET", "/v2/*/blobs/*"), 0);
    upstream.stop().await;
    pull(&cache, REPOSITORY, "pinned", &pinned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_tag_that_the_upstream_deletes_is_served_on_and_said_once() {
    let upstream = ScriptedUpstream::start().await;
    let pinned = image().random_layers(1, 2, 5000).build();
    let other = image().random_layers(2, 2, 5000).build();
    upstream.hold(&pinned, REPOSITORY, &["pinned"]);
    upstream.hold(&other, REPOSITORY, &["other"]);
    let settings = [
        ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true"),
        ("WARM_IMAGES", "team/app:pinned"),
        ("PROXY_WHENGONE", "follow"),
        ("PROXY_CHECKEVERY", "0s"),
    ];
    let cache = cache_of(&upstream, &settings).start().await;
    ready(&cache, 1).await;
    pull_and_keep(&cache, REPOSITORY, "other", &other).await;
    for tag in ["pinned", "other"] {
        upstream.set_tag(REPOSITORY, tag, None);
    }
    for item in &pinned.manifests {
        upstream.forget(REPOSITORY, &item.digest);
    }
    let gone = get(&manifest_path(REPOSITORY, "other"));
    assert_eq!(gone.send(&cache.host()).await.status, 404);
    for _ in 0..2 {
        let kept = get(&manifest_path(REPOSITORY, "pinned"))
            .send(&cache.host())
            .await;
        assert_eq!(kept.status, 200, "{}", kept.text());
        assert!(is_stale(&kept) && kept.body == pinned.top().bytes);
    }
    pull(&cache, REPOSITORY, "pinned", &pinned).await;
    assert_eq!(metric(&cache, "cistern_withdrawn_tags").await, 1);
    let told = cache.log().matches("goes on being served").count();
    assert_eq!(told, 1);
    upstream.hold(&pinned, REPOSITORY, &["pinned"]);
    eventually("finding it again", SOON, || async {
        pull(&cache, REPOSITORY, "pinned", &pinned).await;
        metric(&cache, "cistern_withdrawn_tags").await == 0
    })
    .await;
}
