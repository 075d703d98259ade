//! Identity tokens: a refresh token in the place of the password, which is exchanged by POST (`spec/auth/oauth.md`).

use cistern::upstream::{Fault, Upstream};
use cistern_auth::outgoing::CredentialSource;

use super::server::{Reply, Seen, Server, ok, reply};
use super::tokens::{challenge, pull};
use super::{fault, options};

const ACR: &str = "00000000-0000-0000-0000-000000000000";
const DOCKER: &str = "<token>";
const GRANTED: &str = r#"{"access_token":"good"}"#;

/// A registry with a token server that answers a POST and a GET so.
async fn registry(post: Reply, get: Reply) -> Server {
    Server::start(move |seen| match (seen.method.as_str(), seen.path()) {
        ("POST", "/token") => post.clone(),
        ("GET", "/token") => get.clone(),
        _ if seen.authorization() == Some("Bearer good") => ok(r#"{"schemaVersion":2}"#),
        _ => challenge(seen),
    })
    .await
}

fn with(server: &Server, username: &str) -> Upstream {
    let mut options = options(&server.url());
    options.credentials = CredentialSource::inline(username, "pen&cil");
    Upstream::new(options).unwrap()
}

fn token_requests(server: &Server) -> Vec<Seen> {
    let mut seen = server.seen();
    seen.retain(|seen| seen.path() == "/token");
    seen
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_by_post_and_is_in_no_address_or_header() {
    for username in [ACR, DOCKER] {
        let server = registry(ok(GRANTED), reply(401)).await;
        pull(&with(&server, username)).await.unwrap();
        let [asked] = &token_requests(&server)[..] else {
            panic!("{:?}", server.seen());
        };
        assert_eq!(asked.target, "/token");
        assert_eq!(
            asked.body,
            "grant_type=refresh_token&client_id=cistern&service=the+service&scope=repository%3Aa%2Fb%3Apull&refresh_token=pen%26cil"
        );
        let kind = asked.header("content-type");
        assert_eq!(kind, Some("application/x-www-form-urlencoded"));
        assert_eq!(asked.authorization(), None);
    }
}

#[tokio::test]
async fn a_token_server_that_knows_no_post_is_asked_by_get_with_basic() {
    for status in [400, 401, 404, 405] {
        let server = registry(reply(status).body("<html>"), ok(GRANTED)).await;
        pull(&with(&server, ACR)).await.unwrap();
        let asked = token_requests(&server);
        assert_eq!(asked.len(), 2, "{status}");
        assert!(asked[1].target.contains(&format!("account={ACR}")));
        let basic = asked[1].authorization().unwrap();
        assert!(basic.starts_with("Basic "), "{basic}");
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_both_ways_means_refused_credentials() {
    let server = registry(reply(401), reply(401)).await;
    let refused = fault(pull(&with(&server, ACR)).await);
    assert_eq!(refused, Fault::CredentialsRefused { status: 401 });
    let server = registry(reply(403), ok(GRANTED)).await;
    let refused = fault(pull(&with(&server, ACR)).await);
    assert_eq!(refused, Fault::CredentialsRefused { status: 403 });
}

#[tokio::test]
async fn a_post_in_trouble_is_told_and_not_made_worse_by_a_get() {
    let server = registry(reply(500), ok(GRANTED)).await;
    assert_eq!(fault(pull(&with(&server, ACR)).await), Fault::Status(500));
    assert!(
        token_requests(&server)
            .iter()
            .all(|seen| seen.method == "POST")
    );
}

#[tokio::test]
async fn a_form_with_a_refresh_token_follows_no_redirect() {
    let thief = Server::at("127.0.0.2", None, |_| ok(GRANTED)).await;
    for status in [307, 308] {
        let away = reply(status).header("Location", format!("{}/token", thief.url()));
        let server = registry(away, ok(GRANTED)).await;
        pull(&with(&server, ACR)).await.unwrap();
    }
    assert!(thief.seen().is_empty());
}

#[tokio::test]
async fn a_password_is_never_posted() {
    let server = registry(ok(GRANTED), ok(GRANTED)).await;
    pull(&super::known(&server)).await.unwrap();
    assert!(
        token_requests(&server)
            .iter()
            .all(|seen| seen.method == "GET")
    );
}
