//! Lists and their pages.

use cistern_oci::Algorithm;
use serde_json::json;

use super::harness::Running;

async fn registry_with_tags(tags: &[&str]) -> Running {
    let registry = Running::start().await;
    registry
        .put_manifest(
            "team/app",
            tags,
            Algorithm::Sha256,
            r#"{"schemaVersion":2}"#,
        )
        .await;
    registry
}

#[tokio::test]
async fn tags_are_listed_in_pages_with_a_relative_link_to_the_next() {
    let registry = registry_with_tags(&["a", "b", "c", "B", "1.0"]).await;
    let all = registry.ask("GET /v2/team/app/tags/list", &[]).await;
    assert_eq!(
        all.json(),
        json!({ "name": "team/app", "tags": ["1.0", "B", "a", "b", "c"] })
    );
    assert_eq!(all.header("link"), None);

    let first = registry.ask("GET /v2/team/app/tags/list?n=2", &[]).await;
    assert_eq!(first.json()["tags"], json!(["1.0", "B"]));
    assert_eq!(
        first.header("link"),
        Some("</v2/team/app/tags/list?n=2&last=B>; rel=\"next\"")
    );

    let last = registry
        .ask("GET /v2/team/app/tags/list?n=2&last=b", &[])
        .await;
    assert_eq!(
        (last.json()["tags"].clone(), last.header("link")),
        (json!(["c"]), None)
    );

    let after = registry.ask("GET /v2/team/app/tags/list?last=a", &[]).await;
    assert_eq!(after.json()["tags"], json!(["b", "c"]));
}

#[tokio::test]
async fn the_link_keeps_the_name_space_of_the_caller() {
    let registry = registry_with_tags(&["a", "b"]).await;
    let page = registry
        .ask("GET /v2/team/app/tags/list?ns=cache.example:5000&n=1", &[])
        .await;
    let link = page.header("link").unwrap();
    assert_eq!(
        link,
        "</v2/team/app/tags/list?n=1&last=a&ns=cache.example%3A5000>; rel=\"next\""
    );
    let path = link.split(['<', '>']).nth(1).unwrap();
    let next = registry.ask(&format!("GET {path}"), &[]).await;
    assert_eq!(next.json()["tags"], json!(["b"]));
    assert_eq!(next.header("oci-namespace"), Some("cache.example:5000"));
}

#[tokio::test]
async fn a_page_of_zero_is_empty_and_has_no_link() {
    let registry = registry_with_tags(&["a", "b"]).await;
    for path in ["/v2/team/app/tags/list?n=0", "/v2/_catalog?n=0"] {
        let page = registry.ask(&format!("GET {path}"), &[]).await;
        assert_eq!((page.status, page.header("link")), (200, None));
        assert!(
            page.body.ends_with(b":[]}"),
            "{path}: {:?}",
            String::from_utf8_lossy(&page.body)
        );
    }
}

#[tokio::test]
async fn a_page_size_that_is_no_number_is_refused_in_clear_words() {
    let registry = registry_with_tags(&["a"]).await;
    for n in ["-1", "x", "", "1.5", "0x10", "%F0%9F%A6%80"] {
        for path in ["/v2/team/app/tags/list", "/v2/_catalog"] {
            let reply = registry.ask(&format!("GET {path}?n={n}"), &[]).await;
            assert_eq!(
                (reply.status, reply.code().as_str()),
                (400, "PAGINATION_NUMBER_INVALID"),
                "{n}"
            );
            assert!(
                reply.message().starts_with("n must be a whole number"),
                "{}",
                reply.message()
            );
        }
    }
    let reply = registry
        .ask(
            "GET /v2/team/app/tags/list?n=99999999999999999999999999",
            &[],
        )
        .await;
    assert_eq!(reply.json()["tags"], json!(["a"]));
}

#[tokio::test]
async fn the_catalog_lists_repositories_in_pages() {
    let registry = registry_with_tags(&["a"]).await;
    for repository in ["app", "zoo", "team/api"] {
        registry
            .put_manifest(
                repository,
                &["1"],
                Algorithm::Sha256,
                r#"{"schemaVersion":2}"#,
            )
            .await;
    }
    let all = registry.ask("GET /v2/_catalog", &[]).await;
    assert_eq!(
        all.json(),
        json!({ "repositories": ["app", "team/api", "team/app", "zoo"] })
    );
    let page = registry.ask("GET /v2/_catalog?n=2", &[]).await;
    assert_eq!(
        page.header("link"),
        Some("</v2/_catalog?n=2&last=team%2Fapi>; rel=\"next\"")
    );
    let next = registry
        .ask("GET /v2/_catalog?n=2&last=team%2Fapi", &[])
        .await;
    assert_eq!(next.json()["repositories"], json!(["team/app", "zoo"]));
    assert_eq!(next.header("link"), None);
}

#[tokio::test]
async fn the_head_of_a_list_is_that_of_its_get() {
    let registry = registry_with_tags(&["a", "b"]).await;
    let got = registry.ask("GET /v2/team/app/tags/list?n=1", &[]).await;
    let head = registry.ask("HEAD /v2/team/app/tags/list?n=1", &[]).await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), got.header("content-length"));
    assert_eq!(head.header("link"), got.header("link"));
}

#[tokio::test]
async fn tags_of_a_repository_that_is_not_there_are_an_unknown_name() {
    let registry = registry_with_tags(&["a"]).await;
    let reply = registry.ask("GET /v2/nobody/tags/list", &[]).await;
    assert_eq!((reply.status, reply.code().as_str()), (404, "NAME_UNKNOWN"));
}

#[tokio::test]
async fn nothing_refers_to_a_manifest_that_nobody_knows() {
    let registry = Running::start().await;
    let digest = format!("sha256:{}", "ab".repeat(32));
    for repository in ["app", "team/unknown"] {
        let path = format!("/v2/{repository}/referrers/{digest}");
        let reply = registry.ask(&format!("GET {path}"), &[]).await;
        let index = "application/vnd.oci.image.index.v1+json";
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some(index));
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            body,
            json!({ "schemaVersion": 2, "mediaType": index, "manifests": [] })
        );
        assert_eq!(reply.header("oci-filters-applied"), None);
        assert_eq!(reply.header("link"), None);
        let head = registry.ask(&format!("HEAD {path}"), &[]).await;
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, reply.header("content-length"))
        );
        let write = registry
            .ask(&format!("PUT {path}"), &["Content-Length: 0"])
            .await;
        assert_eq!((write.status, write.code().as_str()), (405, "UNSUPPORTED"));
    }
}

#[tokio::test]
async fn referrers_that_fill_pages_are_each_on_one_page_however_many_ask_at_once() {
    let registry = Running::start().await;
    let index = "application/vnd.oci.image.index.v1+json";
    let subject = format!("sha256:{}", "ab".repeat(32));
    let mut expected = Vec::new();
    for number in 0..5 {
        let body = json!({ "schemaVersion": 2, "mediaType": index, "manifests": [],
            "subject": { "mediaType": index, "digest": subject, "size": 2 },
            "annotations": { "number": number.to_string(), "note": "x".repeat(900_000) } });
        let body = body.to_string();
        let digest = registry.put_manifest("team/app", &[], Algorithm::Sha256, &body);
        expected.push(digest.await.to_string());
    }
    expected.sort();
    let pages = |path: String| async {
        let (mut lengths, mut found, mut next) = (Vec::new(), Vec::new(), Some(path));
        while let Some(path) = next {
            let reply = registry.ask(&format!("GET {path}"), &[]).await;
            let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            let all = body["manifests"].as_array().unwrap();
            lengths.push(all.len());
            found.extend(
                all.iter()
                    .map(|one| one["digest"].as_str().unwrap().to_owned()),
            );
            let link = reply.header("link");
            next = link.and_then(|link| link.split(['<', '>']).nth(1).map(ToOwned::to_owned));
        }
        (lengths, found)
    };
    let path = format!("/v2/team/app/referrers/{subject}");
    let many = (0..12).map(|_| pages(path.clone()));
    for (lengths, found) in futures_util::future::join_all(many).await {
        assert_eq!((lengths, &found), (vec![2, 2, 1], &expected));
    }
    let (lengths, found) = pages(format!("{path}?n=1&last={}", expected[1])).await;
    assert_eq!((lengths, found.as_slice()), (vec![1, 1, 1], &expected[2..]));
    let (lengths, _) = pages(format!("{path}?n=1&artifactType=a/b")).await;
    assert_eq!(lengths, [0]);
}
