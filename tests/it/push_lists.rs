//! What was pushed, as lists: tags and repositories and referrers in pages that follow one another, through changes.

use cistern_tests::caller::Answered;
use cistern_tests::cistern;
use cistern_tests::images::{Image, OCI_INDEX, image, referring_artifact};
use cistern_tests::pusher::Pusher;
use cistern_tests::registry::Registry;

use crate::common::{REPOSITORY, manifest_path};
use crate::scene::assert_refused;
use crate::tag_lists::next;

async fn registry() -> (Registry, Pusher) {
    let registry = cistern::hosted().start().await;
    let pusher = Pusher::to(&registry.host());
    (registry, pusher)
}

/// The texts at `member` of the entries of a list; of plain texts, themselves.
fn texts(answer: &Answered, list: &str, member: Option<&str>) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    let entries = body[list].as_array().unwrap();
    let text = |entry: &serde_json::Value| {
        let entry = member.map_or(entry, |member| &entry[member]);
        entry.as_str().unwrap().to_owned()
    };
    entries.iter().map(text).collect()
}

/// All pages from this one on, each with at most `size` entries.
async fn pages(
    pusher: &Pusher,
    first: &str,
    list: &str,
    member: Option<&str>,
    size: usize,
) -> Vec<String> {
    let (mut found, mut path) = (Vec::new(), Some(first.to_owned()));
    while let Some(page) = path {
        let answer = pusher.ask("GET", &page).await;
        let entries = texts(&answer, list, member);
        assert!(
            entries.len() <= size && !entries.is_empty(),
            "{page}: {entries:?}"
        );
        found.extend(entries);
        path = next(&answer);
    }
    found
}

fn plain() -> Image {
    image().random_layers(1, 1, 1000).build()
}

#[tokio::test]
async fn tags_come_in_pages_sorted_and_follow_every_push_and_every_delete() {
    let (_registry, pusher) = registry().await;
    let mut tags: Vec<_> = (0..23).map(|number| format!("v{number}")).collect();
    tags.extend(["A", "_", "a.b-c", "latest"].map(str::to_owned));
    let names: Vec<_> = tags.iter().map(String::as_str).collect();
    pusher.image(&plain(), REPOSITORY, &names).await;
    tags.sort_unstable();
    let list = format!("/v2/{REPOSITORY}/tags/list");
    for size in [1, 2, 7, 26, 27, 28, 1000] {
        let first = format!("{list}?n={size}");
        assert_eq!(
            pages(&pusher, &first, "tags", None, size).await,
            tags,
            "{size}"
        );
    }
    let after = pusher.ask("GET", &format!("{list}?last=v2")).await;
    let start = tags.iter().position(|tag| tag == "v2").unwrap() + 1;
    assert_eq!(texts(&after, "tags", None), tags[start..]);
    let none = pusher.ask("GET", &format!("{list}?n=0")).await;
    assert_eq!(
        (texts(&none, "tags", None), next(&none)),
        (Vec::new(), None)
    );
    for wrong in ["-1", "x", "1.5"] {
        let answer = pusher.ask("GET", &format!("{list}?n={wrong}")).await;
        assert_refused(&answer, 400, "PAGINATION_NUMBER_INVALID", &[]);
    }

    // A page may begin behind a tag that is gone by then.
    let page = pusher.ask("GET", &format!("{list}?n=3")).await;
    let end = texts(&page, "tags", None).pop().unwrap();
    let deleted = pusher.ask("DELETE", &manifest_path(REPOSITORY, &end)).await;
    assert_eq!(deleted.status, 202);
    let following = pusher.ask("GET", &next(&page).unwrap()).await;
    assert_eq!(texts(&following, "tags", None), tags[3..6]);
    tags.retain(|tag| *tag != end);
    assert_eq!(pages(&pusher, &list, "tags", None, 100).await, tags);

    // With the manifest all its tags go.
    let deleted = pusher
        .ask("DELETE", &manifest_path(REPOSITORY, plain().digest()))
        .await;
    assert_eq!(deleted.status, 202);
    let empty = pusher.ask("GET", &list).await;
    assert!(empty.status == 404 || texts(&empty, "tags", None).is_empty());
    assert_eq!(
        pusher.ask("GET", "/v2/team/never/tags/list").await.status,
        404
    );
}

#[tokio::test]
async fn every_repository_that_was_pushed_to_is_in_the_catalog() {
    let (mut registry, pusher) = registry().await;
    let mut names: Vec<_> = (0..11).map(|number| format!("team{number}/app")).collect();
    names.push("a/b/c/d".to_owned());
    for name in &names {
        pusher.image(&plain(), name, &["v1"]).await;
    }
    names.sort_unstable();
    for size in [1, 5, 12, 100] {
        let first = format!("/v2/_catalog?n={size}");
        assert_eq!(
            pages(&pusher, &first, "repositories", None, size).await,
            names
        );
    }
    registry.restart().await;
    assert_eq!(
        pages(&pusher, "/v2/_catalog", "repositories", None, 100).await,
        names
    );
}

#[tokio::test]
async fn referrers_come_in_pages_that_keep_the_filter_and_follow_every_push_and_every_delete() {
    let (mut registry, pusher) = registry().await;
    let subject = plain();
    pusher.image(&subject, REPOSITORY, &["v1"]).await;
    let kind = |number: usize| format!("application/vnd.example.kind{}+json", number % 2);
    let mut all = Vec::new();
    for number in 0..9 {
        let about = referring_artifact(&kind(number), number.to_string(), subject.top());
        pusher.image(&about, REPOSITORY, &[]).await;
        all.push((about.digest().to_owned(), kind(number)));
    }
    all.sort_unstable();
    let digests = |wanted: &str| -> Vec<String> {
        let of_kind = all
            .iter()
            .filter(|(_, kind)| wanted.is_empty() || kind == wanted);
        of_kind.map(|(digest, _)| digest.clone()).collect()
    };
    let list = format!("/v2/{REPOSITORY}/referrers/{}", subject.digest());
    let answer = pusher.ask("GET", &list).await;
    assert_eq!(answer.header("Content-Type"), Some(OCI_INDEX));
    assert_eq!(answer.header("OCI-Filters-Applied"), None);
    assert_eq!(texts(&answer, "manifests", Some("digest")), digests(""));
    // The plus sign must come escaped; everything else may.
    let filter = format!("artifactType={}", kind(1).replace('+', "%2B"));
    for size in [1, 2, 3, 4, 100] {
        let first = format!("{list}?n={size}");
        let found = pages(&pusher, &first, "manifests", Some("digest"), size).await;
        assert_eq!(found, digests(""), "{size}");
        let first = format!("{list}?{filter}&n={size}");
        let found = pages(&pusher, &first, "manifests", Some("digest"), size).await;
        assert_eq!(found, digests(&kind(1)), "{size}");
    }
    let answer = pusher.ask("GET", &format!("{list}?{filter}")).await;
    assert_eq!(answer.header("OCI-Filters-Applied"), Some("artifactType"));

    registry.restart().await;
    let gone = manifest_path(REPOSITORY, &all[0].0);
    assert_eq!(pusher.ask("DELETE", &gone).await.status, 202);
    let answer = pusher.ask("GET", &list).await;
    assert_eq!(
        texts(&answer, "manifests", Some("digest")),
        digests("")[1..]
    );
    // What they are about may go before them.
    let subject = manifest_path(REPOSITORY, subject.digest());
    assert_eq!(pusher.ask("DELETE", &subject).await.status, 202);
    let answer = pusher.ask("GET", &list).await;
    assert_eq!(
        texts(&answer, "manifests", Some("digest")),
        digests("")[1..]
    );
    // In another repository nobody says anything about it.
    let elsewhere = list.replace(REPOSITORY, "team/other");
    let answer = pusher.ask("GET", &elsewhere).await;
    assert_eq!(
        texts(&answer, "manifests", Some("digest")),
        Vec::<String>::new()
    );
}
