//! Credentials from a program (`proxy.exec`), as docker's credential helpers are.

use std::path::PathBuf;
use std::time::Duration;

use cistern::upstream::{Fault, Said, Upstream};
use cistern_auth::outgoing::CredentialSource;
use tempfile::TempDir;

use super::server::{Reply, Seen, Server, ok, reply};
use super::tokens::{challenge, pull};
use super::{RAIN_PENCIL, fault, invalid, options};

const BODY: &str = r#"{"schemaVersion":2}"#;

/// A helper made of these shell lines. It is written by another process: a file that this one has just written cannot be
/// run while any thread of it is starting a program.
fn helper(lines: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker-credential-test");
    let script = format!("#!/bin/sh\ncd '{}'\n{lines}\n", folder.path().display());
    let written = std::process::Command::new("/bin/sh")
        .args(["-c", "printf %s \"$2\" > \"$1\" && chmod 700 \"$1\"", "sh"])
        .arg(&path)
        .arg(&script)
        .status()
        .unwrap();
    assert!(written.success());
    (folder, path)
}

/// Says the password "wrong" first, and "pencil" from then on; notes for whom it was asked.
const ROTATING: &str = r#"
cat >> asked; echo >> asked
password=pencil; [ -f later ] || password=wrong; touch later
printf '{"Username":"rain","Secret":"%s"}' $password
"#;

fn with(server: &Server, program: &std::path::Path) -> Upstream {
    let mut options = options(&server.url());
    options.credentials = CredentialSource::command(program, Some(Duration::from_hours(1)));
    Upstream::new(options).unwrap()
}

fn asked(folder: &TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(folder.path().join("asked")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Wants Basic; answers a wrong password with this status and, like ECR, without a challenge unless it is 401.
async fn registry(refusal: u16) -> Server {
    Server::start(move |seen: &Seen| match seen.authorization() {
        Some(RAIN_PENCIL) => ok(BODY),
        Some(_) if refusal != 401 => reply(refusal).body("Your authorization token has expired."),
        _ => reply(401).header("WWW-Authenticate", r#"Basic realm="x""#),
    })
    .await
}

#[tokio::test]
async fn a_password_that_has_expired_is_asked_for_anew_within_the_question() {
    for refusal in [401, 403] {
        let (folder, program) = helper(ROTATING);
        let server = registry(refusal).await;
        let upstream = with(&server, &program);
        for _ in 0..3 {
            assert_eq!(pull(&upstream).await.unwrap().bytes, BODY);
        }
        let name = server.address().to_string();
        assert_eq!(asked(&folder), [name.clone(), name], "{refusal}");
    }
}

#[tokio::test]
async fn a_token_server_that_refuses_is_shown_what_the_helper_says_then() {
    let (folder, program) = helper(ROTATING);
    let server = Server::start(|seen: &Seen| -> Reply {
        match (seen.path(), seen.authorization()) {
            ("/token", Some(RAIN_PENCIL)) => ok(r#"{"token":"good"}"#),
            ("/token", _) => reply(401),
            (_, Some("Bearer good")) => ok(BODY),
            _ => challenge(seen),
        }
    })
    .await;
    assert_eq!(pull(&with(&server, &program)).await.unwrap().bytes, BODY);
    assert_eq!(asked(&folder).len(), 2);
}

#[tokio::test]
async fn a_helper_that_says_the_same_again_is_not_run_for_every_question() {
    let (folder, program) =
        helper("cat >> asked; echo >> asked; echo '{\"Username\":\"rain\",\"Secret\":\"wrong\"}'");
    let server = registry(403).await;
    let upstream = with(&server, &program);
    for _ in 0..5 {
        assert_eq!(
            fault(pull(&upstream).await),
            Fault::CredentialsRefused { status: 403 }
        );
    }
    assert_eq!(asked(&folder).len(), 2);
}

#[tokio::test]
async fn an_upstream_that_asks_for_nothing_runs_no_helper() {
    let (folder, program) = helper(ROTATING);
    let server = Server::start(|_| ok(BODY)).await;
    pull(&with(&server, &program)).await.unwrap();
    assert_eq!(asked(&folder).len(), 0);
}

#[tokio::test]
async fn a_helper_that_fails_is_named_and_nothing_it_wrote() {
    let (_folder, program) = helper("echo pencil; echo pencil >&2; exit 9");
    let server = registry(401).await;
    let upstream = with(&server, &program);
    let words = invalid(pull(&upstream).await);
    assert!(
        words.contains("docker-credential-test") && words.contains("exit status: 9"),
        "{words}"
    );
    assert!(!words.contains("pencil"), "{words}");
    assert!(!format!("{upstream:?}").contains("pencil"));
}

#[tokio::test]
async fn a_server_that_the_helper_does_not_know_is_used_anonymously() {
    let (_folder, program) = helper("echo credentials not found in native keychain; exit 1");
    let server = registry(401).await;
    let said = Said::TokenRefusedWithoutCredentials(401);
    assert_eq!(
        fault(pull(&with(&server, &program)).await),
        Fault::NotFound(said)
    );
}

#[tokio::test]
async fn an_identity_token_of_a_helper_is_exchanged_by_post() {
    let (_folder, program) = helper("echo '{\"Username\":\"<token>\",\"Secret\":\"refreshing\"}'");
    let server = Server::start(|seen: &Seen| match (seen.method.as_str(), seen.path()) {
        ("POST", "/token") if seen.body.ends_with("refresh_token=refreshing") => {
            ok(r#"{"access_token":"good"}"#)
        }
        (_, "/token") => reply(401),
        _ if seen.authorization() == Some("Bearer good") => ok(BODY),
        _ => challenge(seen),
    })
    .await;
    assert_eq!(pull(&with(&server, &program)).await.unwrap().bytes, BODY);
}
