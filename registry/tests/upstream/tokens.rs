use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cistern::upstream::{Fault, Heard, Part, Said, Upstream};
use tokio::task::JoinSet;

use super::server::{Manner, Reply, Seen, Server, ok, reply};
use super::{RAIN_PENCIL, anonymous, fault, known, name, options, reference, sha256};

pub(crate) const BODY: &str = r#"{"schemaVersion":2}"#;

pub(crate) fn challenge(seen: &Seen) -> Reply {
    let host = seen.header("host").unwrap();
    reply(401).header(
        "WWW-Authenticate",
        format!(r#"Bearer realm="http://{host}/token",service="the service",scope="repository:a/b:pull""#),
    )
}

/// A registry whose token server always grants and that takes the token "good".
pub(crate) fn registry(seen: &Seen) -> Reply {
    match (seen.path(), seen.authorization()) {
        ("/token", _) => ok(r#"{"token":"good","expires_in":300}"#),
        (_, Some("Bearer good")) => ok(BODY),
        _ => challenge(seen),
    }
}

pub(crate) async fn pull(
    upstream: &Upstream,
) -> Result<cistern_oci::Manifest, cistern::upstream::UpstreamError> {
    upstream
        .get_manifest(&name("a/b"), &reference("1"), &Heard::default())
        .await
        .map(|fetched| fetched.manifest)
}

pub(crate) fn token_requests(server: &Server) -> usize {
    server.count(|seen| seen.path() == "/token")
}

#[tokio::test]
async fn a_token_is_fetched_with_what_the_challenge_says() {
    let server = Server::start(registry).await;
    assert_eq!(pull(&anonymous(&server)).await.unwrap().bytes, BODY);
    let seen = server.seen();
    assert_eq!(
        seen[1].target,
        "/token?service=the+service&scope=repository%3Aa%2Fb%3Apull"
    );
    assert_eq!(seen[1].authorization(), None);
    assert_eq!(seen[2].authorization(), Some("Bearer good"));
}

#[tokio::test]
async fn a_token_is_asked_for_with_account_and_password_where_there_are_any() {
    let server = Server::start(registry).await;
    pull(&known(&server)).await.unwrap();
    let seen = server.seen();
    assert_eq!(
        seen[0].authorization(),
        None,
        "credentials are for the token server only"
    );
    assert_eq!(
        seen[1].target,
        "/token?account=rain&service=the+service&scope=repository%3Aa%2Fb%3Apull"
    );
    assert_eq!(seen[1].authorization(), Some(RAIN_PENCIL));
}

#[tokio::test]
async fn fifty_callers_share_one_token_request() {
    let server = Server::start(|seen| match registry(seen) {
        slow if seen.path() == "/token" => slow.manner(Manner::Late(Duration::from_millis(100))),
        other => other,
    })
    .await;
    let upstream = anonymous(&server);
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let upstream = upstream.clone();
        callers.spawn(async move { pull(&upstream).await });
    }
    for result in callers.join_all().await {
        assert_eq!(result.unwrap().bytes, BODY);
    }
    assert_eq!(token_requests(&server), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_while_the_token_is_fetched_disturbs_nobody() {
    let calls = AtomicUsize::new(0);
    let server = Server::start(move |seen| match registry(seen) {
        slow if seen.path() == "/token" && calls.fetch_add(1, Ordering::SeqCst) == 0 => {
            slow.manner(Manner::Silent)
        }
        other => other,
    })
    .await;
    let upstream = anonymous(&server);
    let mut first = JoinSet::new();
    {
        let upstream = upstream.clone();
        first.spawn(async move { pull(&upstream).await });
    }
    while token_requests(&server) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = pull(&upstream);
    let leave = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(first);
    };
    let (second, ()) = tokio::join!(second, leave);
    assert_eq!(second.unwrap().bytes, BODY);
}

#[tokio::test]
async fn later_requests_of_the_same_scope_need_no_challenge() {
    let server = Server::start(registry).await;
    let upstream = anonymous(&server);
    for _ in 0..3 {
        pull(&upstream).await.unwrap();
        upstream
            .get_blob(&name("a/b"), &sha256(b"x"), Part::Whole)
            .await
            .unwrap();
    }
    assert_eq!(server.seen().len(), 2 + 6);
}

#[tokio::test]
async fn a_token_from_memory_that_is_refused_is_replaced_once() {
    let rotated = Arc::new(AtomicBool::new(false));
    let now_rotated = Arc::clone(&rotated);
    let server = Server::start(move |seen| {
        let good = if rotated.load(Ordering::SeqCst) {
            "second"
        } else {
            "first"
        };
        match (seen.path(), seen.authorization()) {
            ("/token", _) => ok(format!(r#"{{"access_token":"{good}","expires_in":3600}}"#)),
            (_, Some(shown)) if shown == format!("Bearer {good}") => ok(BODY),
            _ => challenge(seen),
        }
    })
    .await;
    let upstream = anonymous(&server);
    pull(&upstream).await.unwrap();
    now_rotated.store(true, Ordering::SeqCst);
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let upstream = upstream.clone();
        callers.spawn(async move { pull(&upstream).await });
    }
    for result in callers.join_all().await {
        assert_eq!(result.unwrap().bytes, BODY);
    }
    assert_eq!(token_requests(&server), 2);
}

#[tokio::test]
async fn a_refusal_although_a_token_was_granted_means_not_found() {
    for status in [401, 403] {
        let server = Server::start(move |seen| match (seen.path(), seen.authorization()) {
            ("/token", _) => ok(r#"{"token":"good"}"#),
            (_, Some(_)) => Reply {
                status,
                ..challenge(seen)
            },
            _ => challenge(seen),
        })
        .await;
        for upstream in [anonymous(&server), known(&server)] {
            let refused = pull(&upstream).await;
            assert_eq!(
                fault(refused),
                Fault::NotFound(Said::RefusedThoughTokenGranted(status))
            );
        }
        assert_eq!(token_requests(&server), 2, "a fresh token is not replaced");
    }
}

#[tokio::test]
async fn a_token_server_that_refuses_an_anonymous_cache_means_not_found() {
    for status in [401, 403] {
        let server = Server::start(move |seen| {
            if seen.path() == "/token" {
                reply(status)
            } else {
                challenge(seen)
            }
        })
        .await;
        let refused = pull(&anonymous(&server)).await;
        assert_eq!(
            fault(refused),
            Fault::NotFound(Said::TokenRefusedWithoutCredentials(status))
        );
        let refused = pull(&known(&server)).await;
        assert_eq!(fault(refused), Fault::CredentialsRefused { status });
    }
}

#[tokio::test]
async fn a_token_server_in_trouble_is_told_apart() {
    let answering = |answer: Reply| {
        move |seen: &Seen| {
            if seen.path() == "/token" {
                answer.clone()
            } else {
                challenge(seen)
            }
        }
    };
    let server = Server::start(answering(reply(429).header("Retry-After", "3"))).await;
    let limited = fault(pull(&anonymous(&server)).await);
    assert_eq!(
        limited,
        Fault::RateLimited {
            retry_after: Some(Duration::from_secs(3))
        }
    );
    let server = Server::start(answering(reply(503))).await;
    assert_eq!(fault(pull(&anonymous(&server)).await), Fault::Status(503));
    for nonsense in ["<html>", "{}", r#"{"token":""}"#] {
        let server = Server::start(answering(ok(nonsense))).await;
        assert!(super::invalid(pull(&anonymous(&server)).await).contains("token request"));
    }
    let server = Server::start(answering(ok("{}").manner(Manner::Endless))).await;
    assert!(super::invalid(pull(&anonymous(&server)).await).contains("limit"));
}

#[tokio::test]
async fn a_token_server_that_stumbles_once_is_asked_again() {
    let stumbled = AtomicBool::new(false);
    let server = Server::start(move |seen| match seen.path() {
        "/token" if !stumbled.swap(true, Ordering::SeqCst) => reply(502),
        _ => registry(seen),
    })
    .await;
    assert_eq!(pull(&anonymous(&server)).await.unwrap().bytes, BODY);
}

#[tokio::test]
async fn a_token_server_that_moves_is_found_again() {
    let moved = Arc::new(AtomicBool::new(false));
    let now_moved = Arc::clone(&moved);
    let server = Server::start(move |seen| {
        let place = if moved.load(Ordering::SeqCst) {
            "/new"
        } else {
            "/old"
        };
        let host = seen.header("host").unwrap();
        match (seen.path(), seen.authorization()) {
            (path, _) if path == place => ok(format!(r#"{{"token":"{}"}}"#, &place[1..])),
            ("/old" | "/new", _) => reply(404),
            (_, Some(shown)) if shown == format!("Bearer {}", &place[1..]) => ok(BODY),
            _ => reply(401).header(
                "WWW-Authenticate",
                format!("Bearer realm=http://{host}{place}"),
            ),
        }
    })
    .await;
    let upstream = anonymous(&server);
    pull(&upstream).await.unwrap();
    now_moved.store(true, Ordering::SeqCst);
    pull(&upstream).await.unwrap();
}

#[tokio::test]
async fn tags_and_pulls_may_need_different_scopes() {
    let server = Server::start(|seen| {
        let host = seen.header("host").unwrap();
        let (scope, body) =
            if seen.path().ends_with("/tags/list") { ("metadata_read", r#"{"tags":["1"]}"#) } else { ("pull", BODY) };
        match (seen.path(), seen.authorization()) {
            ("/token", _) => {
                let asked = seen.target.rsplit("%3A").next().unwrap();
                ok(format!(r#"{{"access_token":"for-{asked}"}}"#))
            }
            (_, Some(shown)) if shown == format!("Bearer for-{scope}") => ok(body),
            _ => reply(401).header(
                "WWW-Authenticate",
                format!(r#"Bearer realm="http://{host}/token",service="s",scope="repository:a/b:{scope}""#),
            ),
        }
    })
    .await;
    let upstream = anonymous(&server);
    for _ in 0..3 {
        pull(&upstream).await.unwrap();
        upstream
            .tags(&name("a/b"), 10, &Heard::default())
            .await
            .unwrap();
    }
    assert_eq!(server.seen().len(), 2 * (2 + 3));
}

#[tokio::test]
async fn a_head_of_a_blob_that_is_always_refused_costs_no_token() {
    let server = Server::start(|seen| {
        if seen.method == "HEAD" {
            challenge(seen)
        } else {
            registry(seen)
        }
    })
    .await;
    let upstream = anonymous(&server);
    for _ in 0..5 {
        upstream
            .head_blob(&name("a/b"), &sha256(b"x"))
            .await
            .unwrap();
    }
    assert_eq!(token_requests(&server), 1);
}

#[tokio::test]
async fn every_answer_on_the_way_is_heard() {
    let server = Server::start(registry).await;
    let heard = Heard::default();
    let upstream = anonymous(&server);
    upstream
        .get_manifest(&name("a/b"), &reference("1"), &heard)
        .await
        .unwrap();
    // A connection, the challenge, the token server's answer, the token in our hands, the manifest.
    assert_eq!(heard.count(), 5);
    let later = Heard::default();
    upstream
        .get_manifest(&name("a/b"), &reference("1"), &later)
        .await
        .unwrap();
    assert_eq!(later.count(), 1);
}

#[tokio::test]
async fn a_slow_chain_of_answers_is_never_silent_for_long() {
    let delay = Duration::from_millis(250);
    let server = Server::start(move |seen| registry(seen).manner(Manner::Late(delay))).await;
    let heard = Heard::default();
    let upstream = Upstream::new(options(&server.url())).unwrap();
    let mut work = std::pin::pin!(async {
        let (name, reference) = (name("a/b"), reference("1"));
        upstream.get_manifest(&name, &reference, &heard).await
    });
    loop {
        tokio::select! {
            result = &mut work => break assert!(result.is_ok()),
            silence = tokio::time::timeout(Duration::from_millis(600), heard.next()) => silence.unwrap(),
        }
    }
}
