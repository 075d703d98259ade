use super::anonymous;
use super::server::{Server, ok, reply};
use super::tokens::{BODY, pull, registry};

/// The fields of one answer each; HOST stands for the registry's host and port.
const CHALLENGES: [&[&str]; 8] = [
    &[r#"Bearer realm="http://HOST/token",service="s",scope="repository:a/b:pull""#],
    &["bearer realm=http://HOST/token,service=s,scope=repository:a/b:pull"],
    &[r#"BEARER realm="http://HOST/token""#],
    &[
        r#"Basic realm="x""#,
        r#"Bearer realm="http://HOST/token",service="s""#,
    ],
    &[r#"Negotiate, Basic realm="x", Bearer realm="http://HOST/token",service="s""#],
    &[
        "\"broken, =",
        r#"Bearer realm="http://HOST/token",service="s""#,
    ],
    &[r#"Bearer realm="http://HOST/token?tenant=7",error="insufficient_scope""#],
    &[r#"Bearer realm="/token""#],
];

#[tokio::test]
async fn challenges_are_understood_in_every_form() {
    for fields in CHALLENGES {
        let server = Server::start(move |seen| match (seen.path(), seen.authorization()) {
            ("/token", _) => registry(seen),
            (_, Some("Bearer good")) => ok(BODY),
            _ => {
                let host = seen.header("host").unwrap();
                fields.iter().fold(reply(401), |reply, field| {
                    reply.header("WWW-Authenticate", field.replace("HOST", host))
                })
            }
        })
        .await;
        assert!(pull(&anonymous(&server)).await.is_ok(), "{fields:?}");
        let asked = server
            .seen()
            .into_iter()
            .find(|seen| seen.path() == "/token")
            .unwrap();
        assert!(
            asked.target.contains("scope=repository%3Aa%2Fb%3Apull"),
            "{fields:?}"
        );
        assert_eq!(
            asked.target.contains("tenant=7"),
            fields[0].contains("tenant=7")
        );
    }
}

#[tokio::test]
async fn a_bare_401_is_explained_by_the_ping() {
    let server = Server::start(|seen| match (seen.path(), seen.authorization()) {
        ("/token", _) => registry(seen),
        (_, Some("Bearer good")) => ok(BODY),
        ("/v2/", _) => {
            let host = seen.header("host").unwrap();
            reply(401).header(
                "WWW-Authenticate",
                format!(r#"Bearer realm="http://{host}/token",service="s""#),
            )
        }
        _ => reply(401),
    })
    .await;
    assert_eq!(pull(&anonymous(&server)).await.unwrap().bytes, BODY);
}
