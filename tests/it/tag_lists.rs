//! Lists of tags: the upstream's, however it pages them; sorted, paged and remembered here.

use std::collections::BTreeSet;

use cistern_tests::caller::{Answered, get};
use cistern_tests::eventually;
use cistern_tests::images::{Image, image};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, LinkStyle, ScriptedUpstream};
use serde_json::json;
use tokio::task::JoinSet;

use crate::scene::{
    REPOSITORY, SOON, Scene, TAG, assert_refused, cache_of, is_stale, manifest, upstream,
};

const TAGS: &str = "/v2/team/app/tags/list";
const ALWAYS: &[(&str, &str)] = &[("PROXY_CHECKEVERY", "0s")];

fn tags(answer: &Answered) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let list = answer.json();
    assert_eq!(list["name"], REPOSITORY);
    let tags = list["tags"].as_array().unwrap();
    tags.iter()
        .map(|tag| tag.as_str().unwrap().to_owned())
        .collect()
}

/// Twenty-five tags, in the order of their bytes.
fn names() -> Vec<String> {
    let names: BTreeSet<String> = (0..25).map(|number| format!("v{number}")).collect();
    names.into_iter().collect()
}

/// An upstream with [`names`], and a cache.
async fn with_names(settings: &[(&str, &str)]) -> (ScriptedUpstream, Registry, Image) {
    let upstream = ScriptedUpstream::start().await;
    let image = image().random_layers(1, 1, 100).build();
    let names = names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    upstream.hold(&image, REPOSITORY, &names);
    let cache = cache_of(&upstream, settings).start().await;
    (upstream, cache, image)
}

/// The target of the `Link` to the next page.
pub(crate) fn next(answer: &Answered) -> Option<String> {
    let link = answer.header("Link")?;
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    assert_eq!(rest, "; rel=\"next\"");
    assert!(
        target.starts_with("/v2/"),
        "{target} is not relative to this host"
    );
    Some(target.to_owned())
}

#[tokio::test]
async fn all_tags_come_sorted_when_no_page_is_asked_for() {
    let (upstream, cache, _) = with_names(&[]).await;
    let answer = get(TAGS).send(&cache.host()).await;
    assert_eq!((tags(&answer), next(&answer)), (names(), None));
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn pages_follow_one_another_by_their_links() {
    let (upstream, cache, _) = with_names(&[]).await;
    for size in [1, 2, 10, 24, 25, 26] {
        let mut found = Vec::new();
        let mut path = Some(format!("{TAGS}?n={size}"));
        while let Some(page) = path {
            let answer = get(&page).send(&cache.host()).await;
            let page = tags(&answer);
            assert!(page.len() <= size && !page.is_empty());
            found.extend(page);
            path = next(&answer);
        }
        assert_eq!(found, names(), "in pages of {size}");
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn last_is_exclusive_and_need_not_exist() {
    let (_upstream, cache, _) = with_names(&[]).await;
    let names = names();
    let ask = async |query: &str| {
        let answer = get(&format!("{TAGS}?{query}")).send(&cache.host()).await;
        (tags(&answer), next(&answer).is_some())
    };
    assert_eq!(
        ask(&format!("last={}", names[3])).await,
        (names[4..].to_vec(), false)
    );
    assert_eq!(
        ask(&format!("n=2&last={}", names[3])).await,
        (names[4..6].to_vec(), true)
    );
    let after = names
        .iter()
        .filter(|name| name.as_str() > "v1zzz")
        .cloned()
        .collect();
    assert_eq!(ask("last=v1zzz").await, (after, false));
    assert_eq!(ask("last=zzz").await, (Vec::new(), false));
    assert_eq!(
        ask(&format!("last={}", names[24])).await,
        (Vec::new(), false)
    );
    assert_eq!(ask("last=").await, (names.clone(), false));
    assert_eq!(ask("last=A").await, (names, false));
}

#[tokio::test]
async fn a_page_of_nothing_is_empty_and_a_page_of_everything_has_no_end() {
    let (_upstream, cache, _) = with_names(&[]).await;
    let nothing = get(&format!("{TAGS}?n=0")).send(&cache.host()).await;
    assert_eq!((tags(&nothing), next(&nothing)), (Vec::new(), None));
    for huge in ["1001", "100000", "18446744073709551616", &"9".repeat(60)] {
        let all = get(&format!("{TAGS}?n={huge}")).send(&cache.host()).await;
        assert_eq!((tags(&all), next(&all)), (names(), None), "{huge}");
    }
    for bad in ["-1", "x", "1.5", "", "%00"] {
        let answer = get(&format!("{TAGS}?n={bad}")).send(&cache.host()).await;
        assert_refused(&answer, 400, "PAGINATION_NUMBER_INVALID", &[]);
    }
}

#[tokio::test]
async fn the_link_keeps_the_callers_ns() {
    let (upstream, cache, _) = with_names(&[]).await;
    let ns = upstream.host();
    let answer = get(&format!("{TAGS}?n=2&ns={ns}"))
        .send(&cache.host())
        .await;
    let next = next(&answer).unwrap();
    let second = get(&next).send(&cache.host()).await;
    assert_eq!(second.header("OCI-Namespace"), Some(&*ns), "{next}");
    assert_eq!(tags(&second), names()[2..4]);
}

#[tokio::test]
async fn every_way_of_an_upstream_to_page_is_followed() {
    for style in [
        LinkStyle::Relative,
        LinkStyle::Absolute,
        LinkStyle::Opaque,
        LinkStyle::PathRelative,
    ] {
        let (upstream, cache, _) = with_names(&[]).await;
        upstream.page_tags(4, style);
        let answer = get(TAGS).send(&cache.host()).await;
        assert_eq!(tags(&answer), names(), "{style:?}");
        assert_eq!(upstream.requests().len(), 7);
    }
}

#[tokio::test]
async fn an_upstream_that_pages_in_a_circle_is_left_at_once() {
    let (upstream, cache, _) = with_names(&[]).await;
    upstream.page_tags(4, LinkStyle::Loop);
    let answer = get(TAGS).send(&cache.host()).await;
    assert_refused(
        &answer,
        503,
        "UNAVAILABLE",
        &[&upstream.host(), "without end"],
    );
    assert!(upstream.requests().len() < 20);
}

#[tokio::test]
async fn a_link_to_another_host_is_not_followed() {
    let (upstream, cache, _) = with_names(&[]).await;
    let other = ScriptedUpstream::start().await;
    let link = format!("<{}>; rel=\"next\"", other.url_of(TAGS));
    upstream.on("GET", TAGS, Answer::held().header("Link", &link));
    let answer = get(TAGS).send(&cache.host()).await;
    assert_refused(&answer, 503, "UNAVAILABLE", &["another host"]);
    assert_eq!(other.requests().len(), 0);
}

#[tokio::test]
async fn what_is_no_tag_is_passed_over() {
    let odd = json!({ "name": "elsewhere", "tags": [null, "v2", "", 5, "sha256:abc", { "a": 1 }, "v1", "v1", "with space"] });
    for (list, expected) in [
        (odd, vec!["v1", "v2"]),
        (json!({ "name": "x", "tags": null }), vec![]),
        (json!({ "name": "x" }), vec![]),
    ] {
        let (upstream, cache, _) = with_names(&[]).await;
        upstream.on(
            "GET",
            TAGS,
            Answer::body(200, "text/plain; charset=utf-8", list.to_string()),
        );
        assert_eq!(tags(&get(TAGS).send(&cache.host()).await), expected);
    }
}

#[tokio::test]
async fn an_upstream_that_refuses_large_pages_is_asked_for_its_own_size() {
    for status in [400, 405] {
        let (upstream, cache, _) = with_names(&[]).await;
        upstream.on("GET", "/v2/team/app/tags/list?n=*", Answer::status(status));
        assert_eq!(
            tags(&get(TAGS).send(&cache.host()).await),
            names(),
            "{status}"
        );
    }
}

#[tokio::test]
async fn at_most_a_hundred_thousand_tags_are_listed() {
    let (upstream, cache, _) = with_names(&[]).await;
    let many: Vec<String> = (0..100_500).map(|number| format!("t{number:06}")).collect();
    let list = json!({ "name": REPOSITORY, "tags": many });
    upstream.on(
        "GET",
        TAGS,
        Answer::body(200, "application/json", list.to_string()),
    );
    let found = tags(&get(TAGS).send(&cache.host()).await);
    assert_eq!(
        (found.len(), found.last().map(String::as_str)),
        (100_000, Some("t099999"))
    );
    let link = "</v2/team/app/tags/list?last=x>; rel=\"next\"";
    let endless = Answer::by(move |request| {
        let start: usize = request
            .parameter("last")
            .and_then(|last| last.parse().ok())
            .unwrap_or(0);
        let page: Vec<String> = (start..start + 1000)
            .map(|number| format!("e{number:07}"))
            .collect();
        let next = link.replace("last=x", &format!("last={}", start + 1000));
        Answer::body(200, "application/json", json!({ "tags": page }).to_string())
            .header("Link", &next)
    });
    upstream.on("GET", "/v2/team/endless/tags/list", endless);
    upstream.forget_requests();
    let answer = get("/v2/team/endless/tags/list").send(&cache.host()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["tags"].as_array().unwrap().len(), 100_000);
    assert!(
        upstream.requests().len() <= 101,
        "{}",
        upstream.requests().len()
    );
}

#[tokio::test]
async fn a_list_is_kept_for_the_interval_and_asked_for_once_by_a_herd() {
    let (upstream, cache, _) = with_names(&[]).await;
    let mut callers = JoinSet::new();
    for _ in 0..30 {
        let host = cache.host();
        callers.spawn(async move { tags(&get(TAGS).send(&host).await) });
    }
    assert!(
        callers
            .join_all()
            .await
            .iter()
            .all(|found| *found == names())
    );
    for _ in 0..5 {
        get(TAGS).send(&cache.host()).await;
    }
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_new_tag_is_listed_after_the_interval() {
    let (upstream, cache, image) = with_names(&[("PROXY_CHECKEVERY", "500ms")]).await;
    assert_eq!(tags(&get(TAGS).send(&cache.host()).await), names());
    upstream.hold(&image, REPOSITORY, &["zz"]);
    eventually("listing it", SOON, || async {
        tags(&get(TAGS).send(&cache.host()).await).contains(&"zz".to_owned())
    })
    .await;
}

#[tokio::test]
async fn the_last_list_is_served_with_a_warning_while_the_upstream_is_away() {
    let (upstream, mut cache, _) = with_names(ALWAYS).await;
    let fresh = get(TAGS).send(&cache.host()).await;
    assert!(!is_stale(&fresh));
    upstream.stop().await;
    for _ in 0..2 {
        let kept = get(&format!("{TAGS}?n=3")).send(&cache.host()).await;
        assert!(is_stale(&kept));
        assert_eq!(tags(&kept), names()[..3]);
        assert!(next(&kept).is_some());
        cache.restart().await;
    }
    upstream.start_again().await;
    eventually("listing afresh", SOON, || async {
        !is_stale(&get(TAGS).send(&cache.host()).await)
    })
    .await;
}

#[tokio::test]
async fn the_last_list_is_served_with_a_warning_while_the_upstream_is_unwilling() {
    for status in [401, 403, 404, 429, 500] {
        let (upstream, cache, _) = with_names(ALWAYS).await;
        get(TAGS).send(&cache.host()).await;
        upstream.on("*", "/v2/*", Answer::status(status));
        let kept = get(TAGS).send(&cache.host()).await;
        assert!(is_stale(&kept), "{status}");
        assert_eq!(tags(&kept), names());
    }
}

#[tokio::test]
async fn a_silent_upstream_costs_a_list_the_deadline_once() {
    let settings = [("PROXY_CHECKEVERY", "0s"), ("PROXY_CHECKDEADLINE", "5s")];
    let (upstream, cache, _) = with_names(&settings).await;
    get(TAGS).send(&cache.host()).await;
    upstream.black_hole(true);
    let first = get(TAGS).send(&cache.host()).await;
    assert!(is_stale(&first) && first.whole_after < std::time::Duration::from_secs(9));
    for _ in 0..2 {
        let next = get(TAGS).send(&cache.host()).await;
        assert!(is_stale(&next));
        assert!(
            next.whole_after < std::time::Duration::from_secs(4),
            "{:?}",
            next.whole_after
        );
    }
}

#[tokio::test]
async fn without_any_list_the_tags_that_are_here_are_listed_with_a_warning() {
    let scene = Scene::warm(&[]).await;
    scene
        .upstream
        .hold(&scene.image, REPOSITORY, &["a-second", "never-pulled"]);
    scene.get(&manifest("a-second")).await;
    scene.upstream.stop().await;
    let known = scene.get(TAGS).await;
    assert!(is_stale(&known));
    assert_eq!(tags(&known), ["a-second", TAG]);
    let unknown = scene.get("/v2/team/unknown/tags/list").await;
    assert_refused(&unknown, 503, "UNAVAILABLE", &[&scene.upstream.host()]);
}

#[tokio::test]
async fn a_repository_that_the_upstream_does_not_know_is_unknown() {
    let (upstream, _) = upstream().await;
    let cache = cache_of(&upstream, &[]).start().await;
    let answer = get("/v2/team/unknown/tags/list").send(&cache.host()).await;
    assert_refused(
        &answer,
        404,
        "NAME_UNKNOWN",
        &["team/unknown", &upstream.host(), "404"],
    );
}
