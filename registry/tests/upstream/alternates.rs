use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cistern::upstream::{Fault, Heard, Part, Upstream, UpstreamError};
use cistern_auth::outgoing::CredentialSource;
use tokio::net::TcpListener;
use url::Url;

use super::server::{Manner, Reply, Seen, Server, ok, reply};
use super::{RAIN_PENCIL, impatient, name, options, reference, sha256};

const BODY: &str = r#"{"schemaVersion":2}"#;

fn with(first: &str, others: &[&str]) -> Upstream {
    let mut options = options(first);
    options.alternates = others.iter().map(|url| Url::parse(url).unwrap()).collect();
    Upstream::new(options).unwrap()
}

async fn pull(upstream: &Upstream) -> Result<cistern_oci::Manifest, UpstreamError> {
    let (of, heard) = (name("a"), Heard::default());
    let fetched = upstream.get_manifest(&of, &reference("1"), &heard).await?;
    Ok(fetched.manifest)
}

async fn nobody() -> String {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", gone.local_addr().unwrap())
}

#[tokio::test]
async fn a_dead_address_is_passed_over_and_then_no_longer_asked_first() {
    let dead = nobody().await;
    let failing = Server::start(|_| reply(502)).await;
    let second = Server::start(|_| ok(BODY)).await;
    let upstream = with(&dead, &[&failing.url(), &second.url()]);
    for _ in 0..5 {
        assert_eq!(pull(&upstream).await.unwrap().bytes, BODY);
    }
    assert_eq!(failing.seen().len(), 3, "asked once, with its retries");
    assert_eq!(second.seen().len(), 5);
    assert_eq!(upstream.host(), dead.trim_start_matches("http://"));
}

#[tokio::test]
async fn every_question_goes_on_to_the_next_address() {
    let dead = nobody().await;
    let second = Server::start(|seen| match seen.path() {
        "/v2/" => reply(401),
        path if path.contains("/blobs/") => ok("blob"),
        path if path.ends_with("/tags/list") => ok(r#"{"tags":["1"]}"#),
        path if path.contains("/referrers/") => ok(r#"{"manifests":[]}"#),
        _ => ok(BODY),
    })
    .await;
    let alive = second.url();
    let fresh = || with(&dead, &[&alive]);
    let (of, heard, tag, digest) = (name("a"), Heard::default(), reference("1"), sha256(b"blob"));
    assert!(fresh().is_reachable().await);
    assert!(fresh().head_manifest(&of, &tag, &heard).await.is_ok());
    assert!(fresh().get_manifest(&of, &tag, &heard).await.is_ok());
    assert!(fresh().head_blob(&of, &digest).await.is_ok());
    assert!(fresh().get_blob(&of, &digest, Part::Whole).await.is_ok());
    assert!(fresh().tags(&of, 10, &heard).await.is_ok());
    assert!(fresh().referrers(&of, &digest, &heard).await.is_ok());
}

#[tokio::test]
async fn what_an_address_answers_is_the_answer_and_no_reason_to_ask_another() {
    for status in [404, 403, 429] {
        let first = Server::start(move |_| reply(status)).await;
        let second = Server::start(|_| ok(BODY)).await;
        let upstream = with(&first.url(), &[&second.url()]);
        let error = pull(&upstream).await.unwrap_err();
        assert_eq!(*error.host, first.address().to_string(), "{status}");
        assert!(second.seen().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn where_nobody_answers_the_first_is_named_and_how_it_failed() {
    let dead = nobody().await;
    let failing = Server::start(|_| reply(500)).await;
    let upstream = with(&dead, &[&failing.url()]);
    let error = pull(&upstream).await.unwrap_err();
    assert_eq!(*error.host, *dead.trim_start_matches("http://"));
    assert!(matches!(error.fault, Fault::Unreachable { .. }), "{error}");
    assert!(!upstream.is_reachable().await);
}

#[tokio::test]
async fn a_first_address_that_falls_silent_and_comes_back_is_not_asked_again_at_once() {
    let silent = Arc::new(AtomicBool::new(true));
    let falls = Arc::clone(&silent);
    let first = Server::start(move |_| {
        if falls.load(Ordering::SeqCst) {
            ok(BODY).manner(Manner::Silent)
        } else {
            ok(BODY)
        }
    })
    .await;
    let second = Server::start(|_| ok(BODY)).await;
    let mut options = impatient(&first.url());
    options.alternates = vec![Url::parse(&second.url()).unwrap()];
    options.timeouts.connect = Duration::from_secs(20);
    options.timeouts.idle = Duration::from_secs(20);
    let upstream = Upstream::new(options).unwrap();
    pull(&upstream).await.unwrap();
    silent.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        pull(&upstream).await.unwrap();
    }
    assert_eq!((first.seen().len(), second.seen().len()), (1, 4));
}

fn wants_basic(seen: &Seen) -> Reply {
    match seen.authorization() {
        Some(RAIN_PENCIL) => ok(BODY),
        _ => reply(401).header("WWW-Authenticate", r#"Basic realm="x""#),
    }
}

#[tokio::test]
async fn credentials_are_shown_to_a_listed_address_and_not_to_whom_it_redirects() {
    let dead = nobody().await;
    let stranger = Server::at("127.0.0.3", None, |_| ok(BODY)).await;
    let target = stranger.url();
    let listed = Server::at("127.0.0.2", None, move |seen| {
        let answer = wants_basic(seen);
        match answer.status {
            200 => reply(307).header("Location", format!("{target}/x")),
            _ => answer,
        }
    })
    .await;
    let mut options = options(&dead);
    options.alternates = vec![Url::parse(&listed.url()).unwrap()];
    options.credentials = CredentialSource::inline("rain", "pencil");
    let upstream = Upstream::new(options).unwrap();
    assert_eq!(pull(&upstream).await.unwrap().bytes, BODY);
    let shown = |seen: &Seen| seen.authorization() == Some(RAIN_PENCIL);
    assert_eq!(listed.count(shown), 1);
    assert_eq!(stranger.seen()[0].authorization(), None);
}

/// A registry that sends everybody to a token server.
async fn sending_to(host: &str, realm: String) -> Server {
    Server::at(host, None, move |seen| match seen.authorization() {
        Some("Bearer good") => ok(BODY),
        _ => reply(401).header(
            "WWW-Authenticate",
            format!(r#"Bearer realm="{realm}/token",service="s""#),
        ),
    })
    .await
}

#[tokio::test]
async fn each_address_may_name_token_servers_of_its_own_only() {
    let tokens = |host: &'static str| Server::at(host, None, |_| ok(r#"{"token":"good"}"#));
    let (of_first, of_second) = (tokens("127.0.0.1").await, tokens("127.0.0.2").await);
    for (realm, is_taken) in [(&of_second, true), (&of_first, false)] {
        let dead = nobody().await;
        let second = sending_to("127.0.0.2", realm.url()).await;
        let mut options = options(&dead);
        options.alternates = vec![Url::parse(&second.url()).unwrap()];
        options.credentials = CredentialSource::inline("rain", "pencil");
        let asked = pull(&Upstream::new(options).unwrap()).await;
        assert_eq!(asked.is_ok(), is_taken);
        assert_eq!(realm.seen().len(), usize::from(is_taken));
    }
}

#[tokio::test]
async fn a_token_of_one_address_is_not_shown_to_another() {
    let up = Arc::new(AtomicBool::new(true));
    let is_up = Arc::clone(&up);
    let script = |token: &'static str, up: Option<Arc<AtomicBool>>| {
        move |seen: &Seen| {
            if up.as_ref().is_some_and(|up| !up.load(Ordering::SeqCst)) {
                return reply(503);
            }
            let bearer = format!("Bearer {token}");
            match (seen.path(), seen.authorization()) {
                ("/token", _) => ok(format!(r#"{{"token":"{token}"}}"#)),
                (_, Some(shown)) if shown == bearer => ok(BODY),
                _ => {
                    let host = seen.header("host").unwrap();
                    let realm = format!(r#"Bearer realm="http://{host}/token",service="s""#);
                    reply(401).header("WWW-Authenticate", realm)
                }
            }
        }
    };
    let first = Server::start(script("one", Some(is_up))).await;
    let second = Server::start(script("two", None)).await;
    let upstream = with(&first.url(), &[&second.url()]);
    pull(&upstream).await.unwrap();
    up.store(false, Ordering::SeqCst);
    pull(&upstream).await.unwrap();
    assert_eq!(
        second.count(|seen| seen.authorization() == Some("Bearer one")),
        0
    );
}

#[tokio::test]
async fn an_unusable_alternate_is_named_at_the_start() {
    let mut options = options("https://registry.test");
    options.alternates = vec![Url::parse("https://rain:pencil@mirror.test").unwrap()];
    let refused = Upstream::new(options).unwrap_err().to_string();
    assert!(refused.starts_with("proxy.alternates: "), "{refused}");
    assert!(!refused.contains("pencil"), "{refused}");
}
