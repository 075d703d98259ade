use cistern::upstream::{Fault, Heard, Said};

use super::server::{Reply, Seen, Server, ok, reply};
use super::{anonymous, fault, invalid, name};

async fn tags(
    server: &Server,
    at_most: usize,
) -> Result<Vec<String>, cistern::upstream::UpstreamError> {
    let found = anonymous(server)
        .tags(&name("a/b"), at_most, &Heard::default())
        .await?;
    Ok(found
        .tags
        .into_iter()
        .map(|tag| tag.as_str().to_owned())
        .collect())
}

fn page(tags: &[&str]) -> Reply {
    let list = serde_json::json!({ "name": "a/b", "tags": tags });
    ok(list.to_string()).header("Content-Type", "text/plain; charset=utf-8")
}

#[tokio::test]
async fn one_page_is_read_and_sorted() {
    let server = Server::start(|_| page(&["b", "a", "B"])).await;
    assert_eq!(tags(&server, 100).await.unwrap(), ["B", "a", "b"]);
    assert_eq!(server.seen()[0].target, "/v2/a/b/tags/list?n=1000");
}

#[tokio::test]
async fn pages_are_followed_whatever_their_cursor() {
    let server = Server::start(|seen| match seen.target.as_str() {
        "/v2/a/b/tags/list?n=1000" => page(&["1"]).header(
            "Link",
            "</v2/a/b/tags/list?last=1&n=2&orderby=>; rel=\"next\"",
        ),
        "/v2/a/b/tags/list?last=1&n=2&orderby=" => {
            let host = seen.header("host").unwrap();
            page(&["2"]).header(
                "Link",
                format!("<https://{host}/v2/a/b/tags/list?next_page=gAAAA%3D%3D>; rel=next"),
            )
        }
        "/v2/a/b/tags/list?next_page=gAAAA%3D%3D" => {
            page(&["3"]).header("Link", "<?last=x>; rel=\"next\"")
        }
        "/v2/a/b/tags/list?last=x" => {
            page(&["4"]).header("Link", "</v2/a/b/tags/list?n=1>; rel=\"prev\"")
        }
        other => panic!("{other}"),
    })
    .await;
    assert_eq!(tags(&server, 100).await.unwrap(), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn no_more_pages_are_asked_for_than_tags_are_wanted() {
    let counting = |seen: &Seen| {
        let from: usize = seen
            .target
            .split_once("last=")
            .map_or(0, |(_, last)| last.parse().unwrap());
        page(&[&format!("t{from:04}"), &format!("t{:04}", from + 1)]).header(
            "Link",
            format!("</v2/a/b/tags/list?last={}>; rel=\"next\"", from + 2),
        )
    };
    let server = Server::start(counting).await;
    let found = tags(&server, 5).await.unwrap();
    assert_eq!(found, ["t0000", "t0001", "t0002", "t0003", "t0004"]);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_cursor_that_runs_in_circles_is_noticed() {
    let server =
        Server::start(|_| page(&["1"]).header("Link", "</v2/a/b/tags/list?last=1>; rel=\"next\""))
            .await;
    assert!(invalid(tags(&server, 100).await).contains("without end"));
    assert_eq!(server.seen().len(), 2);
    let counter = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let next = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        page(&["1"]).header(
            "Link",
            format!("</v2/a/b/tags/list?last={next}>; rel=\"next\""),
        )
    })
    .await;
    assert!(invalid(tags(&server, 100).await).contains("without end"));
    assert!(server.seen().len() <= 5, "{}", server.seen().len());
}

#[tokio::test]
async fn a_cursor_that_leads_back_to_the_first_page_is_noticed_there() {
    let server = Server::start(|seen| {
        let next = match seen.target.as_str() {
            "/v2/a/b/tags/list?n=1000" => "/v2/a/b/tags/list?last=1",
            _ => "/v2/a/b/tags/list?n=1000",
        };
        page(&[&seen.target[seen.target.len() - 1..]])
            .header("Link", format!("<{next}>; rel=\"next\""))
    })
    .await;
    assert!(invalid(tags(&server, 100).await).contains("without end"));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn the_next_page_is_not_sought_on_another_host() {
    let server = Server::start(|_| {
        page(&["1"]).header("Link", "<http://127.0.0.9/v2/a/b/tags/list>; rel=next")
    })
    .await;
    assert!(invalid(tags(&server, 100).await).contains("another host"));
}

#[tokio::test]
async fn what_is_no_tag_is_passed_over() {
    let list = r#"{"tags":["ok",null,"sha256:0123",7,{"a":1},"","also.ok","no/tag"]}"#;
    let server = Server::start(move |_| ok(list)).await;
    assert_eq!(tags(&server, 100).await.unwrap(), ["also.ok", "ok"]);
    for empty in [
        r#"{"name":"a","tags":null}"#,
        r#"{"name":"a"}"#,
        r#"{"tags":[]}"#,
    ] {
        let server = Server::start(move |_| ok(empty)).await;
        assert_eq!(tags(&server, 100).await.unwrap(), Vec::<String>::new());
    }
    let server = Server::start(|_| ok("<html>")).await;
    assert!(invalid(tags(&server, 100).await).contains("no JSON"));
}

#[tokio::test]
async fn an_upstream_that_dislikes_our_page_size_chooses_its_own() {
    for status in [400, 405] {
        let server = Server::start(move |seen| {
            if seen.target.contains("n=") {
                reply(status)
            } else {
                page(&["1"])
            }
        })
        .await;
        assert_eq!(tags(&server, 100).await.unwrap(), ["1"]);
    }
}

#[tokio::test]
async fn refusals_come_back_as_they_are() {
    let server = Server::start(|_| reply(404)).await;
    assert_eq!(
        fault(tags(&server, 9).await),
        Fault::NotFound(Said::NotFound)
    );
    let server = Server::start(|_| reply(405)).await;
    assert_eq!(fault(tags(&server, 9).await), Fault::Status(405));
    let server = Server::start(|_| reply(401)).await;
    assert_eq!(
        fault(tags(&server, 9).await),
        Fault::NotFound(Said::TokenRefusedWithoutCredentials(401))
    );
}
