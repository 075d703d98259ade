use cistern::upstream::{Fault, Heard, ReferrersAnswer, UpstreamError};
use serde_json::json;

use super::server::{Manner, Reply, Server, ok, reply};
use super::{anonymous, fault, invalid, name, sha256};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

async fn referrers(server: &Server) -> Result<ReferrersAnswer, UpstreamError> {
    anonymous(server)
        .referrers(&name("a/b"), &sha256(b"subject"), &Heard::default())
        .await
}

/// How many are listed, or nothing where the API is not served.
async fn count(server: &Server) -> Option<usize> {
    match referrers(server).await.unwrap() {
        ReferrersAnswer::Listed(list) => {
            assert!(list.is_sorted_by_key(|referrer| referrer.digest));
            Some(list.len())
        }
        ReferrersAnswer::Unconfirmed(_) => panic!("nobody said that it is unconfirmed"),
        ReferrersAnswer::NotServed => None,
    }
}

fn page(names: impl IntoIterator<Item = usize>) -> Reply {
    let descriptors: Vec<_> = names
        .into_iter()
        .map(|name| json!({ "mediaType": "a/b", "digest": sha256(&name.to_be_bytes()), "size": 1 }))
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors });
    ok(index.to_string()).header("Content-Type", INDEX)
}

fn path() -> String {
    format!("/v2/a/b/referrers/{}", sha256(b"subject"))
}

#[tokio::test]
async fn referrers_are_asked_for_without_a_filter() {
    let server = Server::start(|_| page(0..3)).await;
    assert_eq!(count(&server).await, Some(3));
    assert_eq!(server.seen()[0].target, path());
    assert_eq!(server.seen()[0].header("accept"), Some(INDEX));
}

#[tokio::test]
async fn pages_are_followed_and_each_manifest_is_listed_once() {
    let server = Server::start(|seen| match seen.target.split_once('?') {
        None => page(0..3).header("Link", "<?token=%3D2>; rel=\"next\""),
        Some((_, "token=%3D2")) => {
            let host = seen.header("host").unwrap();
            let next = format!("<https://{host}{}?last=x&n=2>; rel=next", path());
            page(2..5).header("Link", next)
        }
        Some((_, "last=x&n=2")) => page(5..6),
        Some(other) => panic!("{other:?}"),
    })
    .await;
    assert_eq!(count(&server).await, Some(6));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn pages_without_end_are_left() {
    let circle = Server::start(|_| page(0..3).header("Link", "<?last=1>; rel=\"next\"")).await;
    assert!(invalid(referrers(&circle).await).contains("without end"));
    assert_eq!(circle.seen().len(), 2);
    let counter = std::sync::atomic::AtomicUsize::new(0);
    let endless = Server::start(move |_| {
        let start = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) * 1000;
        let next = format!("<?last={start}>; rel=\"next\"");
        page(start..start + 1000).header("Link", next)
    })
    .await;
    assert_eq!(count(&endless).await, Some(10_000));
    assert_eq!(endless.seen().len(), 10);
}

#[tokio::test]
async fn half_a_list_is_none() {
    for rest in [reply(404), ok("{}"), ok("<html>")] {
        let server = Server::start(move |seen| {
            if seen.target.contains("last") {
                rest.clone()
            } else {
                page(0..3).header("Link", "<?last=1>; rel=\"next\"")
            }
        })
        .await;
        invalid(referrers(&server).await);
    }
}

#[tokio::test]
async fn whatever_is_no_index_means_that_there_is_no_such_api() {
    for status in [400, 404, 405, 406, 410, 501] {
        let server = Server::start(move |_| reply(status)).await;
        assert_eq!(count(&server).await, None, "{status}");
    }
    for body in [
        "",
        "<html>",
        "{}",
        "[]",
        r#"{"errors":[]}"#,
        r#"{"manifests":7}"#,
    ] {
        let server = Server::start(move |_| ok(body)).await;
        assert_eq!(count(&server).await, None, "{body}");
    }
}

#[tokio::test]
async fn a_list_that_was_spoilt_on_its_way_is_not_taken_for_no_list() {
    for body in [
        "",
        "\u{fffd}\"manifests\":[]}",
        "{\"manifests\":[",
        "{\"manifests\":[]} and more",
    ] {
        let server = Server::start(move |_| ok(body).header("Content-Type", INDEX)).await;
        invalid(referrers(&server).await);
    }
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_upstreams_own_host_only() {
    let other = Server::start(|_| page(0..9)).await;
    let elsewhere = other.url().replace("127.0.0.1", "localhost");
    for location in [
        elsewhere,
        "ftp://127.0.0.1/".to_owned(),
        "http://[".to_owned(),
    ] {
        let server = Server::start(move |_| reply(303).header("Location", location.clone())).await;
        assert_eq!(count(&server).await, None);
        assert_eq!(server.seen().len(), 1);
    }
    assert_eq!(other.seen().len(), 0);
    let server = Server::start(|seen| match seen.path() {
        "/moved" => page(0..2),
        _ => reply(307).header("Location", "/moved"),
    })
    .await;
    assert_eq!(count(&server).await, Some(2));
}

#[tokio::test]
async fn nothing_is_concluded_from_an_upstream_that_fails() {
    let limited = Server::start(|_| reply(429).header("Retry-After", "7")).await;
    assert!(matches!(
        fault(referrers(&limited).await),
        Fault::RateLimited { .. }
    ));
    for status in [403, 500, 503] {
        let server = Server::start(move |_| reply(status)).await;
        assert_eq!(fault(referrers(&server).await), Fault::Status(status));
    }
    let cut = Server::start(|_| page(0..3).manner(Manner::CutAfter(20))).await;
    assert!(matches!(
        fault(referrers(&cut).await),
        Fault::Unreachable { .. }
    ));
    let endless = Server::start(|_| ok("[").manner(Manner::Endless)).await;
    invalid(referrers(&endless).await);
}
