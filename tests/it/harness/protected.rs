//! Upstreams that ask who is there, and upstreams that speak TLS.

use std::sync::Arc;
use std::time::Duration;

use cistern_tests::caller::{Answered, get};
use cistern_tests::images::Item;
use cistern_tests::scripted_upstream::{
    ChallengeStyle, Protection, ScriptedUpstream, TokenAnswer, TokenDesk, TokenField,
};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn protected(protection: Protection) -> (ScriptedUpstream, String) {
    let upstream = ScriptedUpstream::start().await;
    let blob = Item::random(1, 100);
    upstream.hold_blob(&blob, "team/app");
    upstream.protect(protection);
    (upstream, format!("/v2/team/app/blobs/{}", blob.digest))
}

fn field(answer: &Answered, name: &str) -> String {
    let challenge = answer.header("www-authenticate").unwrap();
    let (_, rest) = challenge.split_once(&format!("{name}=\"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn basic_lets_in_only_the_right_password() {
    let (upstream, path) = protected(Protection::basic("user", "secret")).await;
    let refused = get(&path).send(&upstream.host()).await;
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some("Basic realm=\"scripted\""))
    );
    assert_eq!(
        get(&path)
            .basic("user", "wrong")
            .send(&upstream.host())
            .await
            .status,
        401
    );
    assert_eq!(
        get(&path)
            .basic("user", "secret")
            .send(&upstream.host())
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn bearer_wants_a_live_token_for_this_repository() {
    let desk = TokenDesk::new().only_for("user", "secret");
    let (upstream, path) = protected(Protection::Bearer(desk.clone())).await;
    let host = upstream.host();
    let refused = get(&path).send(&host).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (401, "UNAUTHORIZED")
    );
    assert_eq!(field(&refused, "realm"), upstream.url_of("/token"));
    let query = |scope: &str| {
        format!(
            "/token?service={}&scope={scope}",
            field(&refused, "service")
        )
    };
    assert_eq!(
        get(&query("repository:team/app:pull"))
            .send(&host)
            .await
            .status,
        401
    );
    let token = async |scope: &str| {
        let answer = get(&query(scope)).basic("user", "secret").send(&host).await;
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let bearer = async |token: &str| {
        get(&path)
            .header("Authorization", &format!("Bearer {token}"))
            .send(&host)
            .await
    };
    let other = token("repository:team/other:pull").await;
    assert_eq!(field(&bearer(&other).await, "error"), "insufficient_scope");
    let good = token(&field(&refused, "scope")).await;
    assert_eq!(bearer(&good).await.status, 200);
    desk.revoke_all();
    assert_eq!(field(&bearer(&good).await, "error"), "invalid_token");
    assert_eq!((desk.asked(), desk.issued()), (3, 2));
}

#[tokio::test]
async fn tokens_look_as_told_and_die_when_told() {
    let answer = TokenAnswer {
        field: TokenField::AccessToken,
        expires_in: None,
        jwt: true,
        lifetime: Duration::from_millis(100),
    };
    let (upstream, path) = protected(Protection::Bearer(TokenDesk::new().answers(answer))).await;
    let given = get("/token?scope=repository:team/app:pull")
        .send(&upstream.host())
        .await
        .json();
    assert!(given.get("token").is_none() && given.get("expires_in").is_none());
    let header = format!("Bearer {}", given["access_token"].as_str().unwrap());
    assert_eq!(header.matches('.').count(), 2);
    let ask = async || {
        get(&path)
            .header("Authorization", &header)
            .send(&upstream.host())
            .await
            .status
    };
    assert_eq!(ask().await, 200);
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(ask().await, 401);
}

#[tokio::test]
async fn challenges_are_written_as_told() {
    for (style, lines, beginning) in [
        (ChallengeStyle::Usual, 1, "Bearer realm=\"http"),
        (ChallengeStyle::LowerCase, 1, "bearer service="),
        (ChallengeStyle::Unquoted, 1, "Bearer realm=http"),
        (ChallengeStyle::SeveralLines, 3, "Negotiate"),
        (ChallengeStyle::OneLine, 1, "Basic realm=\"other\", Bearer"),
        (
            ChallengeStyle::Lines(vec!["Bearer realm={realm}?x=1".to_owned()]),
            1,
            "Bearer realm=http",
        ),
    ] {
        let desk = TokenDesk::new().challenges(style.clone());
        let (upstream, path) = protected(Protection::Bearer(desk)).await;
        let refused = get(&path).send(&upstream.host()).await;
        let found: Vec<_> = refused
            .headers
            .iter()
            .filter(|(name, _)| name == "WWW-Authenticate")
            .collect();
        assert!(
            found.len() == lines && found[0].1.starts_with(beginning),
            "{style:?}: {found:?}"
        );
    }
}

#[tokio::test]
async fn tls_is_good_for_who_trusts_its_authority_and_for_nobody_else() {
    let upstream = ScriptedUpstream::start_tls().await;
    let pem = rustls::pki_types::CertificateDer::from_pem_file(upstream.certificate()).unwrap();
    let ask = async |trusted: bool| {
        let mut roots = rustls::RootCertStore::empty();
        if trusted {
            roots.add(pem.clone()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = tokio::net::TcpStream::connect(upstream.address()).await?;
        let name = ServerName::from(upstream.address().ip());
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await?;
        stream
            .write_all(b"GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    assert!(ask(true).await.unwrap().starts_with("HTTP/1.1 200 OK"));
    assert!(ask(false).await.is_err());
    assert_eq!(upstream.count("GET", "/v2/"), 1);
}
