use cistern::upstream::{Fault, Heard, Said, Upstream, UpstreamError, UpstreamSetupError};
use cistern_auth::outgoing::{CredentialSource, SecretSource};

use super::server::{Reply, Seen, Server, ok, reply};
use super::{RAIN_PENCIL, anonymous, fault, invalid, known, name, options, reference};

const BODY: &str = r#"{"schemaVersion":2}"#;

fn wants_basic(seen: &Seen) -> Reply {
    match seen.authorization() {
        Some(RAIN_PENCIL) => ok(BODY),
        _ => reply(401)
            .header("WWW-Authenticate", "Negotiate")
            .header("WWW-Authenticate", r#"Basic realm="x""#),
    }
}

async fn pull(upstream: &Upstream) -> Result<cistern_oci::Manifest, UpstreamError> {
    upstream
        .get_manifest(&name("a"), &reference("1"), &Heard::default())
        .await
        .map(|fetched| fetched.manifest)
}

#[tokio::test]
async fn basic_is_shown_when_it_is_asked_for_and_from_then_on() {
    let server = Server::start(wants_basic).await;
    let upstream = known(&server);
    for _ in 0..3 {
        assert_eq!(pull(&upstream).await.unwrap().bytes, BODY);
    }
    let shown: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.authorization().is_some())
        .collect();
    assert_eq!(shown, [false, true, true, true]);
}

#[tokio::test]
async fn an_upstream_that_asks_for_nothing_is_shown_nothing() {
    let server = Server::start(|_| ok(BODY)).await;
    pull(&known(&server)).await.unwrap();
    assert_eq!(server.seen()[0].authorization(), None);
}

#[tokio::test]
async fn refused_basic_credentials_are_told_as_such_after_one_try() {
    for status in [401, 403] {
        let server = Server::start(move |seen| match seen.authorization() {
            Some(_) => reply(status).header("WWW-Authenticate", r#"Basic realm="x""#),
            None => wants_basic(seen),
        })
        .await;
        let refused = pull(&known(&server)).await.unwrap_err();
        assert_eq!(refused.fault, Fault::CredentialsRefused { status });
        assert_eq!(*refused.host, server.address().to_string());
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn an_upstream_that_wants_basic_of_an_anonymous_cache_means_not_found() {
    let server = Server::start(wants_basic).await;
    let refused = pull(&anonymous(&server)).await;
    assert_eq!(
        fault(refused),
        Fault::NotFound(Said::TokenRefusedWithoutCredentials(401))
    );
}

#[tokio::test]
async fn a_scheme_we_do_not_know_is_named() {
    let server = Server::start(|_| reply(401).header("WWW-Authenticate", "Negotiate")).await;
    assert!(invalid(pull(&known(&server)).await).contains("negotiate"));
    let server = Server::start(|_| reply(401)).await;
    assert!(invalid(pull(&known(&server)).await).contains("401"));
}

#[tokio::test]
async fn a_bare_403_to_an_anonymous_question_is_just_a_status() {
    let server = Server::start(|_| reply(403)).await;
    assert_eq!(fault(pull(&anonymous(&server)).await), Fault::Status(403));
}

#[tokio::test]
async fn a_password_that_changes_in_its_file_is_used_without_a_restart() {
    let server = Server::start(wants_basic).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "wrong\n").unwrap();
    let mut options = options(&server.url());
    options.credentials = CredentialSource::Given {
        username: SecretSource::inline("rain"),
        password: SecretSource::file(&path),
    };
    let upstream = Upstream::new(options).unwrap();
    assert_eq!(
        fault(pull(&upstream).await),
        Fault::CredentialsRefused { status: 401 }
    );
    std::fs::write(&path, "pencil\n").unwrap();
    assert_eq!(pull(&upstream).await.unwrap().bytes, BODY);
    std::fs::remove_file(&path).unwrap();
    assert!(invalid(pull(&upstream).await).contains("password"));
}

/// A registry that sends everybody to a token server.
async fn sending_to(realm: String) -> Server {
    Server::start(move |seen| match seen.authorization() {
        Some("Bearer good") => ok(BODY),
        _ => reply(401).header(
            "WWW-Authenticate",
            format!(r#"Bearer realm="{realm}",service="s""#),
        ),
    })
    .await
}

async fn token_server(host: &str) -> Server {
    Server::at(host, None, |_| ok(r#"{"token":"good"}"#)).await
}

#[tokio::test]
async fn credentials_go_to_the_same_host_on_any_port() {
    let tokens = token_server("127.0.0.1").await;
    let server = sending_to(tokens.url()).await;
    assert_eq!(pull(&known(&server)).await.unwrap().bytes, BODY);
    assert_eq!(tokens.seen()[0].authorization(), Some(RAIN_PENCIL));
}

#[tokio::test]
async fn credentials_do_not_go_to_another_host_unless_it_is_named() {
    let tokens = token_server("127.0.0.2").await;
    let server = sending_to(format!("{}/t?secret=x", tokens.url())).await;
    let words = invalid(pull(&known(&server)).await);
    assert!(
        words.contains(&format!("{}/t", tokens.url())) && words.contains("proxy.realms"),
        "{words}"
    );
    assert!(!words.contains("secret"), "{words}");
    assert!(tokens.seen().is_empty());

    let mut options = options(&server.url());
    options.credentials = CredentialSource::inline("rain", "pencil");
    options.realms = vec![tokens.address().to_string()];
    assert_eq!(
        pull(&Upstream::new(options).unwrap()).await.unwrap().bytes,
        BODY
    );
    assert_eq!(tokens.seen()[0].authorization(), Some(RAIN_PENCIL));
}

#[tokio::test]
async fn an_anonymous_cache_may_ask_a_token_server_elsewhere() {
    let tokens = token_server("127.0.0.2").await;
    let server = sending_to(tokens.url()).await;
    assert_eq!(pull(&anonymous(&server)).await.unwrap().bytes, BODY);
    assert_eq!(tokens.seen()[0].authorization(), None);
}

#[tokio::test]
async fn a_token_server_that_redirects_elsewhere_takes_no_credentials_along() {
    let elsewhere = token_server("127.0.0.2").await;
    let target = elsewhere.url();
    let tokens = Server::start(move |_| reply(307).header("Location", target.clone())).await;
    let server = sending_to(tokens.url()).await;
    pull(&known(&server)).await.unwrap();
    assert_eq!(tokens.seen()[0].authorization(), Some(RAIN_PENCIL));
    assert_eq!(elsewhere.seen()[0].authorization(), None);
}

#[tokio::test]
async fn secrets_are_in_no_text() {
    let server = Server::start(|seen| {
        reply(307).header(
            "Location",
            format!("http://{}/x?signature=s3cr3t", seen.header("host").unwrap()),
        )
    })
    .await;
    let mut options = options(&server.url());
    options.credentials = CredentialSource::inline("rain", "pencil");
    options.https_proxy = Some("http://rain:pencil@127.0.0.1:9".into());
    let shown = format!("{options:?}");
    let upstream = Upstream::new(options.clone()).unwrap();
    let error = pull(&upstream).await.unwrap_err();
    let all = format!("{shown} {upstream:?} {error} {error:?}");
    assert!(!all.contains("pencil") && !all.contains("s3cr3t"), "{all}");

    options.https_proxy = Some("socks5://rain:pencil@127.0.0.1:9".into());
    let refused = Upstream::new(options.clone()).unwrap_err();
    assert!(matches!(
        refused,
        UpstreamSetupError::Proxy {
            variable: "https_proxy",
            ..
        }
    ));
    assert!(!refused.to_string().contains("pencil"), "{refused}");
    options.https_proxy = None;
    options.realms = vec!["not a host".into()];
    assert!(
        Upstream::new(options)
            .unwrap_err()
            .to_string()
            .contains("proxy.realms")
    );
}
