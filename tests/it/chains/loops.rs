//! A cache that is its own upstream, directly or through another one.

use std::time::Duration;

use cistern_tests::addresses;
use cistern_tests::caller::{call, get, head};
use cistern_tests::cistern::mirror_of;
use cistern_tests::registry::Registry;

use crate::scene::{TAG_PATH, assert_refused, blob};

/// Far less than any silence is borne.
const AT_ONCE: Duration = Duration::from_secs(3);

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

async fn asked_itself(cache: &Registry) {
    cache.logs("a question of this cache came back to it").await;
    let log = cache.log();
    assert_eq!(log.matches("came back to it").count(), 1, "{log}");
    assert!(log.contains("proxy.remoteurl"), "{log}");
}

#[tokio::test]
async fn a_cache_that_is_its_own_upstream_says_so_at_once() {
    let address = addresses::free();
    let cache = mirror_of(&format!("http://{address}"))
        .address(address)
        .start()
        .await;
    for path in [
        TAG_PATH.to_owned(),
        blob(DIGEST),
        "/v2/team/app/tags/list".to_owned(),
    ] {
        let answer = get(&path).send(&cache.host()).await;
        assert!(answer.whole_after < AT_ONCE, "{:?}", answer.whole_after);
        let says = [cache.host(), "508".to_owned(), "proxy.remoteurl".to_owned()];
        let says: Vec<&str> = says.iter().map(String::as_str).collect();
        assert_refused(&answer, 503, "UNAVAILABLE", &says);
        assert!(answer.header("Retry-After").is_some());
    }
    asked_itself(&cache).await;
    assert_eq!(get("/readyz").send(&cache.host()).await.status, 200);
}

#[tokio::test]
async fn two_caches_that_are_each_others_upstream_refuse_at_once() {
    let (left, right) = (addresses::free(), addresses::free());
    let left_cache = mirror_of(&format!("http://{right}")).address(left);
    let right_cache = mirror_of(&format!("http://{left}")).address(right);
    let (left_cache, right_cache) = (left_cache.start().await, right_cache.start().await);
    for path in [TAG_PATH.to_owned(), blob(DIGEST)] {
        let answer = get(&path).send(&left_cache.host()).await;
        assert!(answer.whole_after < AT_ONCE, "{:?}", answer.whole_after);
        assert_refused(&answer, 503, "UNAVAILABLE", &[&right_cache.host()]);
    }
    asked_itself(&left_cache).await;
    assert!(right_cache.log().contains("508"), "{}", right_cache.log());
}

#[tokio::test]
async fn our_own_name_in_via_is_a_loop_whatever_is_asked_and_another_name_is_none() {
    let upstream = addresses::refused();
    let cache = mirror_of(&format!("http://{upstream}")).start().await;
    let host = cache.host();
    let own = get("/v2/")
        .send(&host)
        .await
        .header("Via")
        .unwrap()
        .to_owned();
    let chain = format!("1.1 other, {own}, 1.1 nginx");
    for path in ["/v2/", TAG_PATH, "/v2/_catalog", "/v2/UPPER/x"] {
        let answer = get(path).header("Via", &chain).send(&host).await;
        assert_refused(
            &answer,
            508,
            "UNSUPPORTED",
            &["its own question", "proxy.remoteurl"],
        );
        let answer = head(path).header("Via", &chain).send(&host).await;
        assert_eq!((answer.status, answer.body.len()), (508, 0));
    }
    let write = call("PUT", TAG_PATH).header("Via", &chain).body("{}");
    let refused = write.send(&host).await;
    assert_eq!(
        (refused.status, refused.header("Connection")),
        (508, Some("close"))
    );
    let other = "1.1 cistern-00000000, 1.1 nonsense (".to_owned() + &own;
    let answer = get("/v2/").header("Via", &other).send(&host).await;
    assert_eq!(answer.status, 200);
    let page = get("/healthz").header("Via", &chain).send(&host).await;
    assert_eq!(page.status, 200);
}

#[tokio::test]
async fn a_cache_has_another_name_after_every_start() {
    let upstream = addresses::refused();
    let mut cache = mirror_of(&format!("http://{upstream}")).start().await;
    let name = async |cache: &Registry| {
        let answer = get("/v2/").send(&cache.host()).await;
        answer.header("Via").unwrap().to_owned()
    };
    let before = name(&cache).await;
    assert_eq!(name(&cache).await, before);
    cache.restart().await;
    assert_ne!(name(&cache).await, before);
}
