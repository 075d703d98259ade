use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cistern::upstream::{Fault, Heard, Part, Upstream, UpstreamError};
use cistern_auth::outgoing::CredentialSource;
use futures_util::future::join_all;

use super::server::{Reply, Seen, Server, ok, reply};
use super::tokens::{pull, registry};
use super::{anonymous, fault, name, options, reference, sha256};

const BODY: &str = r#"{"schemaVersion":2}"#;

fn left<T: std::fmt::Debug>(result: Result<T, UpstreamError>) -> Duration {
    match fault(result) {
        Fault::RateLimited {
            retry_after: Some(left),
        } => left,
        other => panic!("{other:?}"),
    }
}

async fn is_over(upstream: &Upstream) {
    while upstream.paused_for().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn after_a_429_no_question_of_any_kind_is_dialled() {
    let server = Server::start(|_| reply(429).header("Retry-After", "60")).await;
    let upstream = anonymous(&server);
    assert_eq!(upstream.paused_for(), None);
    let (of, heard, digest) = (name("a"), Heard::default(), sha256(b"x"));
    assert_eq!(left(pull(&upstream).await), Duration::from_secs(60));
    for _ in 0..5 {
        let tag = reference("1");
        let all = [
            left(upstream.head_manifest(&of, &tag, &heard).await),
            left(upstream.get_manifest(&of, &tag, &heard).await),
            left(upstream.head_blob(&of, &digest).await),
            left(upstream.get_blob(&of, &digest, Part::Whole).await),
            left(upstream.tags(&of, 10, &heard).await),
            left(upstream.referrers(&of, &digest, &heard).await),
        ];
        assert!(all.iter().all(|left| left.as_secs() >= 50), "{all:?}");
    }
    assert!(upstream.is_reachable().await, "it is there, and limits us");
    assert!(
        upstream
            .paused_for()
            .is_some_and(|left| left.as_secs() >= 50)
    );
    assert_eq!(server.seen().len(), 1);
}

/// A registry that says 429 for one second, and then, after a while, what it is told to say.
async fn limited_then(then: impl Fn() -> Reply + Send + Sync + 'static) -> (Server, Upstream) {
    let first = AtomicBool::new(true);
    let server = Server::start(move |_| {
        if first.swap(false, Ordering::SeqCst) {
            reply(429).header("Retry-After", "1")
        } else {
            then().manner(super::server::Manner::Late(Duration::from_millis(300)))
        }
    })
    .await;
    let upstream = anonymous(&server);
    left(pull(&upstream).await);
    is_over(&upstream).await;
    (server, upstream)
}

#[tokio::test]
async fn after_the_pause_one_retry_is_made_for_all_and_its_refusal_is_everybodys() {
    let (server, upstream) = limited_then(|| reply(429).header("Retry-After", "60")).await;
    let all = join_all((0..50).map(|_| pull(&upstream))).await;
    for result in all {
        assert!(left(result).as_secs() >= 50);
    }
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn after_the_pause_everybody_follows_whoever_went_first() {
    let (server, upstream) = limited_then(|| ok(BODY)).await;
    for result in join_all((0..10).map(|_| pull(&upstream))).await {
        assert_eq!(result.unwrap().bytes, BODY);
    }
    assert_eq!(server.seen().len(), 11);
    assert_eq!(upstream.paused_for(), None);
}

#[tokio::test]
async fn a_token_server_that_limits_us_is_left_alone_and_tokens_at_hand_are_used_on() {
    let limits = Arc::new(AtomicBool::new(false));
    let limiting = Arc::clone(&limits);
    let server = Server::start(move |seen: &Seen| match seen.path() {
        "/token" if limiting.load(Ordering::SeqCst) => {
            reply(429).header("Retry-After", "60").body("slow down")
        }
        path if path.contains("/other/") => {
            let realm = format!("http://{}/token", seen.header("host").unwrap());
            let scope = "repository:other:pull";
            let challenge = format!(r#"Bearer realm="{realm}",service="s",scope="{scope}""#);
            reply(401).header("WWW-Authenticate", challenge)
        }
        _ => registry(seen),
    })
    .await;
    let upstream = anonymous(&server);
    pull(&upstream).await.unwrap();
    limits.store(true, Ordering::SeqCst);
    let other = name("other");
    for _ in 0..3 {
        let asked = upstream
            .get_manifest(&other, &reference("1"), &Heard::default())
            .await;
        assert!(left(asked).as_secs() >= 50);
    }
    assert_eq!(super::tokens::token_requests(&server), 2);
    assert!(upstream.paused_for().is_some());
    assert_eq!(pull(&upstream).await.unwrap().bytes, BODY);
}

#[tokio::test]
async fn a_storage_that_limits_us_delays_blobs_only() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let storage = Server::at("127.0.0.2", None, move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
        reply(429).header("Retry-After", "60")
    })
    .await;
    let target = storage.url();
    let server = Server::start(move |seen| {
        if seen.path().contains("/blobs/") {
            reply(307).header("Location", format!("{target}/blob"))
        } else {
            ok(BODY)
        }
    })
    .await;
    let upstream = anonymous(&server);
    for _ in 0..3 {
        let blob = upstream
            .get_blob(&name("a"), &sha256(b"x"), Part::Whole)
            .await;
        assert!(left(blob.map(|answer| answer.size)).as_secs() >= 50);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(upstream.paused_for(), None);
    assert_eq!(pull(&upstream).await.unwrap().bytes, BODY);
}

#[tokio::test]
async fn a_503_is_told_with_the_wait_it_names_and_pauses_nobody() {
    let server = Server::start(|_| reply(503).header("Retry-After", "40")).await;
    let upstream = anonymous(&server);
    let retry_after = Duration::from_secs(40);
    for _ in 0..2 {
        let unavailable = fault(pull(&upstream).await);
        assert_eq!(unavailable, Fault::Unavailable { retry_after });
    }
    assert_eq!(server.seen().len(), 2);
    assert_eq!(upstream.paused_for(), None);
}

#[tokio::test]
async fn a_pause_of_one_address_is_not_anothers() {
    let limited = Server::start(|_| reply(429)).await;
    let free = Server::start(|_| ok(BODY)).await;
    let mut both = options(&limited.url());
    both.credentials = CredentialSource::None;
    left(pull(&Upstream::new(both).unwrap()).await);
    assert_eq!(pull(&anonymous(&free)).await.unwrap().bytes, BODY);
}
