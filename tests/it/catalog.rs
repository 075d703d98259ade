//! The list of repositories: those in the store, in pages.

use cistern_tests::caller::get;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::ScriptedUpstream;
use cistern_tests::store::Store;
use serde_json::json;

use crate::scene::{REPOSITORY, Scene, TAG, assert_refused, cache_of, manifest, upstream};
use crate::tag_lists::next;

/// A cache whose store holds repositories `a`, `b/c`, `b/d`, `e`.
async fn with_repositories() -> (ScriptedUpstream, Registry, Vec<&'static str>) {
    let (upstream, image) = upstream().await;
    let store = Store::new();
    let names = vec!["a", "b/c", "b/d", "e"];
    for name in &names {
        store.put(&image, name, &[TAG]);
    }
    let cache = cache_of(&upstream, &[]).store(&store).start().await;
    (upstream, cache, names)
}

#[tokio::test]
async fn the_catalog_lists_what_is_here_in_pages_and_asks_nobody() {
    let (upstream, cache, names) = with_repositories().await;
    let ask = async |query: &str| {
        let answer = get(&format!("/v2/_catalog{query}"))
            .send(&cache.host())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let list = answer.json()["repositories"].as_array().unwrap().clone();
        let list: Vec<String> = list
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        (list, next(&answer))
    };
    assert_eq!(
        ask("").await,
        (names.iter().map(|name| (*name).to_owned()).collect(), None)
    );
    let (first, link) = ask("?n=2").await;
    assert_eq!(first, names[..2]);
    let link = link.unwrap();
    let (second, link) = ask(link.strip_prefix("/v2/_catalog").unwrap()).await;
    assert_eq!(
        (second, link),
        (
            names[2..].iter().map(|name| (*name).to_owned()).collect(),
            None
        )
    );
    assert_eq!(ask("?last=b/c").await.0, names[2..]);
    assert_eq!(ask("?n=0").await, (Vec::new(), None));
    assert_eq!(ask("?n=99999999999999999999999").await.1, None);
    let bad = get("/v2/_catalog?n=x").send(&cache.host()).await;
    assert_refused(&bad, 400, "PAGINATION_NUMBER_INVALID", &[]);
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn what_is_pulled_is_in_the_catalog() {
    let scene = Scene::new().await;
    let empty = scene.get("/v2/_catalog").await;
    assert_eq!(empty.json(), json!({ "repositories": [] }));
    scene.get(&manifest("v1")).await;
    let one = scene.get("/v2/_catalog").await;
    assert_eq!(one.json(), json!({ "repositories": [REPOSITORY] }));
}
