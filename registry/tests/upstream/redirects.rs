use std::sync::atomic::{AtomicUsize, Ordering};

use cistern::upstream::{Fault, Heard, Part, Said};
use futures_util::StreamExt as _;

use super::server::{Reply, Seen, Server, ok, reply};
use super::{anonymous, fault, invalid, known, name, reference, sha256};

const BODY: &str = r#"{"tags":["1"]}"#;

fn to(status: u16, location: impl Into<String>) -> Reply {
    reply(status)
        .header("Location", location)
        .header("Content-Type", "text/html")
        .body("<html>Moved</html>")
}

/// Fetches a blob, a manifest and tags; all three answers are the same text here.
async fn everything(
    upstream: &cistern::upstream::Upstream,
) -> Result<(), cistern::upstream::UpstreamError> {
    let mut blob = upstream
        .get_blob(&name("a"), &sha256(BODY.as_bytes()), Part::Whole)
        .await?;
    assert_eq!(blob.body.next().await.unwrap()?, BODY);
    let manifest = upstream
        .get_manifest(&name("a"), &reference("1"), &Heard::default())
        .await?;
    assert_eq!(manifest.manifest.bytes, BODY);
    assert_eq!(
        upstream
            .tags(&name("a"), 5, &Heard::default())
            .await?
            .tags
            .len(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn every_redirect_is_followed_on_every_endpoint() {
    for status in [301, 302, 303, 307, 308] {
        let storage = Server::at("127.0.0.2", None, |seen| {
            if seen.path() == "/final" {
                ok(BODY)
            } else {
                to(302, "final?signature=x#fragment")
            }
        })
        .await;
        let there = storage.url();
        let server = Server::start(move |_| to(status, format!("{there}/deep/../first"))).await;
        everything(&anonymous(&server))
            .await
            .unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(storage.seen().len(), 6);
    }
}

#[tokio::test]
async fn a_head_stays_a_head_on_its_way() {
    let server = Server::start(|seen| {
        if seen.path() == "/there" {
            ok("12345")
        } else {
            to(303, "/there")
        }
    })
    .await;
    assert_eq!(
        anonymous(&server)
            .head_blob(&name("a"), &sha256(b"x"))
            .await
            .unwrap()
            .size,
        Some(5)
    );
    assert!(server.seen().iter().all(|seen| seen.method == "HEAD"));
}

#[tokio::test]
async fn a_range_goes_along() {
    let server = Server::start(|seen| match seen.path() {
        "/there" => reply(206).header("Content-Range", "bytes 3-4/5").body("45"),
        _ => to(307, "/there"),
    })
    .await;
    let answer = anonymous(&server)
        .get_blob(&name("a"), &sha256(b"x"), Part::From(3))
        .await
        .unwrap();
    assert_eq!((answer.first, answer.size), (3, Some(5)));
    assert_eq!(server.seen()[1].header("range"), Some("bytes=3-"));
}

fn guarded(seen: &Seen, granted: &Reply) -> Reply {
    let host = seen.header("host").unwrap();
    match (seen.path(), seen.authorization()) {
        ("/token", _) => ok(r#"{"token":"good"}"#),
        (_, Some("Bearer good")) => granted.clone(),
        _ => reply(401).header(
            "WWW-Authenticate",
            format!(r#"Bearer realm="http://{host}/token""#),
        ),
    }
}

#[tokio::test]
async fn another_host_or_port_sees_neither_authorization_nor_cookies() {
    for elsewhere in ["127.0.0.1", "127.0.0.2"] {
        let storage = Server::at(elsewhere, None, |_| ok(BODY)).await;
        let there = storage.url();
        let server = Server::start(move |seen| {
            guarded(
                seen,
                &to(307, there.clone()).header("Set-Cookie", "session=1; Path=/"),
            )
        })
        .await;
        everything(&known(&server)).await.unwrap();
        assert_eq!(storage.seen().len(), 3);
        for seen in storage.seen() {
            assert_eq!(seen.authorization(), None);
            assert_eq!(seen.header("cookie"), None);
            assert_eq!(seen.header("referer"), None);
        }
    }
}

#[tokio::test]
async fn the_same_host_and_port_keeps_the_authorization() {
    let server = Server::start(|seen| {
        let granted = if seen.path() == "/there" {
            ok(BODY)
        } else {
            to(307, "/there")
        };
        guarded(seen, &granted)
    })
    .await;
    everything(&known(&server)).await.unwrap();
}

#[tokio::test]
async fn once_left_the_upstream_gets_no_authorization_back() {
    let storage_count = AtomicUsize::new(0);
    let server = Server::start(|seen| {
        if seen.path() == "/back" {
            ok(BODY)
        } else {
            guarded(seen, &reply(500))
        }
    })
    .await;
    let back = format!("{}/back", server.url());
    let storage = Server::at("127.0.0.2", None, move |_| {
        storage_count.fetch_add(1, Ordering::SeqCst);
        to(307, back.clone())
    })
    .await;
    let there = storage.url();
    let front = Server::start(move |seen| guarded(seen, &to(307, there.clone()))).await;
    everything(&known(&front)).await.unwrap();
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.authorization().is_none())
    );
}

#[tokio::test]
async fn a_hop_that_asks_for_credentials_gets_none() {
    let storage = Server::at("127.0.0.2", None, |_| {
        reply(401).header("WWW-Authenticate", r#"Basic realm="x""#)
    })
    .await;
    let there = storage.url();
    let server = Server::start(move |_| to(307, there.clone())).await;
    let refused = known(&server)
        .get_blob(&name("a"), &sha256(b"x"), Part::Whole)
        .await
        .unwrap_err();
    assert_eq!(refused.fault, Fault::Status(401));
    assert_eq!(*refused.host, storage.address().to_string());
    assert!(
        storage
            .seen()
            .iter()
            .all(|seen| seen.authorization().is_none())
    );
    assert_eq!(
        storage.seen().len(),
        2,
        "the registry was asked for another address once"
    );
}

#[tokio::test]
async fn a_refused_signature_is_renewed_by_the_registry() {
    for status in [400, 401, 403] {
        let storage = Server::at("127.0.0.2", None, move |seen| {
            if seen.target == "/?signature=2" {
                ok(BODY)
            } else {
                reply(status)
            }
        })
        .await;
        let there = storage.url();
        let count = AtomicUsize::new(0);
        let server = Server::start(move |_| {
            to(
                307,
                format!(
                    "{there}/?signature={}",
                    count.fetch_add(1, Ordering::SeqCst) + 1
                ),
            )
        })
        .await;
        let mut blob = anonymous(&server)
            .get_blob(&name("a"), &sha256(b"x"), Part::Whole)
            .await
            .unwrap();
        assert_eq!(blob.body.next().await.unwrap().unwrap(), BODY);
    }
}

#[tokio::test]
async fn storage_that_has_lost_the_blob_means_not_found() {
    let storage = Server::at("127.0.0.2", None, |_| reply(404)).await;
    let there = storage.url();
    let server = Server::start(move |_| to(307, there.clone())).await;
    let gone = anonymous(&server)
        .get_blob(&name("a"), &sha256(b"x"), Part::Whole)
        .await
        .unwrap_err();
    assert_eq!(gone.fault, Fault::NotFound(Said::NotFound));
    assert_eq!(*gone.host, server.address().to_string());
}

#[tokio::test]
async fn loops_and_endless_chains_end_with_an_error() {
    let server = Server::start(|seen| {
        if seen.path() == "/x" {
            to(302, "/y")
        } else {
            to(302, "/x")
        }
    })
    .await;
    let looped = anonymous(&server)
        .get_blob(&name("a"), &sha256(b"x"), Part::Whole)
        .await;
    assert!(invalid(looped).contains("loop"));
    let count = AtomicUsize::new(0);
    let server =
        Server::start(move |_| to(302, format!("/{}", count.fetch_add(1, Ordering::SeqCst)))).await;
    let chained = anonymous(&server)
        .get_blob(&name("a"), &sha256(b"x"), Part::Whole)
        .await;
    assert!(invalid(chained).contains("more than 5"));
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_refused_and_its_page_is_never_an_answer() {
    for bad in [
        to(307, "ftp://127.0.0.1/x"),
        to(307, "http://[::1"),
        reply(307).body("<html>"),
    ] {
        let server = Server::sequence([bad.clone()]).await;
        let refused = anonymous(&server)
            .get_blob(&name("a"), &sha256(b"x"), Part::Whole)
            .await;
        assert!(matches!(fault(refused), Fault::Invalid(_)), "{bad:?}");
    }
    let server = Server::start(|_| reply(300).body("choose")).await;
    let refused = anonymous(&server)
        .get_blob(&name("a"), &sha256(b"x"), Part::Whole)
        .await;
    assert_eq!(fault(refused), Fault::Status(300));
}

#[tokio::test]
async fn the_next_page_is_asked_for_at_the_upstream_after_a_redirect() {
    let storage = Server::at("127.0.0.2", None, |seen| match seen.target.as_str() {
        "/tags?page=1" => {
            ok(r#"{"tags":["1"]}"#).header("Link", "</v2/a/tags/list?last=1>; rel=\"next\"")
        }
        _ => ok(r#"{"tags":["2"]}"#),
    })
    .await;
    let there = storage.url();
    let server = Server::start(move |seen| {
        let page = if seen.target.contains("last=1") { 2 } else { 1 };
        to(307, format!("{there}/tags?page={page}"))
    })
    .await;
    assert_eq!(
        anonymous(&server)
            .tags(&name("a"), 9, &Heard::default())
            .await
            .unwrap()
            .tags
            .len(),
        2
    );
    assert_eq!(server.seen().len(), 2);
}
