//! Upstreams as they are: each well-known registry with its habits, and everything that is asked of one asked of all.

use cistern::upstream::{Fault, Heard, Part, ReferrersAnswer, Said, Upstream, UpstreamError};
use cistern_auth::outgoing::CredentialSource;
use cistern_oci::RepositoryName;
use futures_util::StreamExt as _;

use super::server::{Manner, Reply, Seen, Server, ok, reply};
use super::{RAIN_PENCIL, name, options, reference, sha256};

const MANIFEST: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;
const BLOB: &[u8] = b"an old layer, with nothing odd in it";
const IDENTITY: &str = "00000000-0000-0000-0000-000000000000";

/// What a registry without habits answers.
fn held(seen: &Seen) -> Reply {
    let path = seen.path();
    if path.contains("/missing/") {
        reply(404)
    } else if path.contains("/manifests/") {
        ok(MANIFEST)
            .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
            .header(
                "Docker-Content-Digest",
                sha256(MANIFEST.as_bytes()).to_string(),
            )
    } else if path.contains("/blobs/") {
        ok(BLOB)
    } else if path.ends_with("/tags/list") {
        ok(r#"{"name":"a/b","tags":["1","2"]}"#)
    } else {
        reply(404)
    }
}

fn is(seen: &Seen, method: &str, part: &str) -> bool {
    seen.method == method && seen.path().contains(part)
}

fn at_this_host(seen: &Seen, path: &str) -> String {
    format!("http://{}{path}", seen.header("host").unwrap())
}

fn wants_token(seen: &Seen, more: &str) -> Reply {
    let realm = at_this_host(seen, "/token");
    let challenge = format!(r#"Bearer realm="{realm}",service="s"{more}"#);
    reply(401).header("WWW-Authenticate", challenge)
}

/// Gives everybody a token, and says of what is not there that the token does not do.
fn docker_hub(seen: &Seen) -> Reply {
    match (seen.path(), seen.authorization()) {
        ("/token", _) => ok(r#"{"token":"good","access_token":"good","expires_in":300}"#),
        (path, Some("Bearer good")) if path.contains("/missing/") => {
            wants_token(seen, r#",error="insufficient_scope""#)
        }
        (_, Some("Bearer good")) => held(seen).header("ratelimit-remaining", "3;w=21600"),
        _ => wants_token(seen, ""),
    }
}

/// Refuses the token itself for what is not there; sends those who ask for referrers to a web page.
fn ghcr(seen: &Seen) -> Reply {
    match (seen.path(), seen.authorization()) {
        ("/token", _) if seen.target.contains("missing") => reply(403).body("denied"),
        ("/token", _) => ok(r#"{"token":"good"}"#),
        (path, _) if path.contains("/referrers/") => reply(303).header(
            "Location",
            "http://github.test/-/v2/packages/container/a%2Fb",
        ),
        (_, Some("Bearer good")) => held(seen),
        (path, _) => {
            let repository = path.split('/').nth(2).unwrap();
            wants_token(seen, &format!(r#",scope="repository:{repository}:pull""#))
        }
    }
}

/// Knows no POST for what is no refresh token, names its token `access_token` and no life of it, keeps blobs in a storage
/// that wants to see no token, and pages with `orderby=`.
fn acr(seen: &Seen) -> Reply {
    let link = "</v2/a/b/tags/list?last=1&n=1&orderby=>; rel=\"next\"";
    match (seen.path(), seen.authorization()) {
        ("/token", _) if seen.method == "POST" => reply(400).body("<html>"),
        ("/token", Some(_)) => ok(r#"{"access_token":"good"}"#),
        (path, Some("Bearer good")) if path.contains("/blobs/") => {
            let host = seen
                .header("host")
                .unwrap()
                .replace("127.0.0.1", "localhost");
            reply(307).header("Location", format!("http://{host}/storage/blobs/?sig=x"))
        }
        (path, None) if path.starts_with("/storage") => held(seen),
        (path, Some(_)) if path.starts_with("/storage") => {
            reply(400).body("<Error><Code>InvalidAuthenticationInfo</Code></Error>")
        }
        ("/v2/a/b/tags/list", Some("Bearer good")) if !seen.target.contains("last=") => {
            ok(r#"{"tags":["1"]}"#).header("Link", link)
        }
        (_, Some("Bearer good")) => held(seen),
        _ => wants_token(seen, ""),
    }
}

/// Basic, plain text, and at most a thousand tags a page.
fn ecr(seen: &Seen) -> Reply {
    match seen.authorization() {
        Some(RAIN_PENCIL) => held(seen).header("Content-Type", "text/plain; charset=utf-8"),
        _ => reply(401)
            .header(
                "WWW-Authenticate",
                r#"Basic realm="https://ecr.test/",service="ecr""#,
            )
            .body("Not Authorized\n"),
    }
}

/// 401 to every HEAD of a blob, whatever it is shown; opaque cursors in absolute links; no page size but its own.
fn ecr_public(seen: &Seen) -> Reply {
    match (seen.path(), seen.authorization()) {
        ("/token", _) => ok(r#"{"token":"good"}"#),
        (_, Some("Bearer good")) if is(seen, "HEAD", "/blobs/") => wants_token(seen, ""),
        ("/v2/a/b/tags/list", Some("Bearer good")) => match seen.target.split_once('?') {
            None => {
                let next = at_this_host(seen, "/v2/a/b/tags/list?last=eyJvcGFxdWUiOjF9%3D%2B");
                ok(r#"{"tags":["2"]}"#).header("Link", format!("<{next}>; rel=\"next\""))
            }
            Some((_, "last=eyJvcGFxdWUiOjF9%3D%2B")) => ok(r#"{"tags":["1"]}"#),
            Some(_) => reply(405).body("Invalid next token"),
        },
        (_, Some("Bearer good")) => held(seen),
        _ => wants_token(seen, ""),
    }
}

/// Redirects to a CDN with a page that wants to be kept for a year; its own name for a cursor.
fn quay(seen: &Seen) -> Reply {
    let elsewhere = || {
        reply(302)
            .header("Location", at_this_host(seen, "/cdn/blobs/?Expires=1"))
            .header("Content-Type", "text/html; charset=utf-8")
            .header("Cache-Control", "max-age=31536000")
            .body("<html>Redirecting...</html>")
    };
    match seen.target.as_str() {
        target if is(seen, "GET", "/v2/a/b/blobs/") && !target.contains("cdn") => elsewhere(),
        "/v2/a/b/tags/list?n=1000" => ok(r#"{"tags":["1"]}"#).header(
            "Link",
            "</v2/a/b/tags/list?n=50&next_page=gAAAAABk%3D>; rel=\"next\"",
        ),
        "/v2/a/b/tags/list?n=50&next_page=gAAAAABk%3D" => ok(r#"{"tags":["2"]}"#),
        _ => held(seen),
    }
}

/// 404 to HEAD where GET is answered, and nulls among the tags.
fn nexus(seen: &Seen) -> Reply {
    match seen.path() {
        _ if seen.method == "HEAD" => reply(404),
        "/v2/a/b/tags/list" => ok(r#"{"tags":[null,"1",null,"2"]}"#),
        _ => held(seen),
    }
}

/// 405 to HEAD, chunks without a length, no digest, a type that is none.
fn plain_web_server(seen: &Seen) -> Reply {
    if seen.method == "HEAD" {
        return reply(405).body("<html>Method Not Allowed</html>");
    }
    let answer = held(seen);
    let mut bare = reply(answer.status)
        .body(answer.body)
        .manner(Manner::Chunked);
    bare.headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
    bare
}

/// 403 to HEAD of a manifest, nothing said about a blob by HEAD, and an HTML page for what it does not know.
fn behind_a_firewall(seen: &Seen) -> Reply {
    match seen.path() {
        _ if is(seen, "HEAD", "/manifests/") => reply(403),
        _ if is(seen, "HEAD", "/blobs/") => reply(200).manner(Manner::Chunked),
        path if path.contains("/referrers/") => ok("<html>Welcome</html>"),
        _ => held(seen),
    }
}

/// Redirects manifests and lists too, with the type of its own pages on refusals.
fn mcr(seen: &Seen) -> Reply {
    match seen.path() {
        path if path.starts_with("/v2/") => reply(307)
            .header("Location", format!("/data{path}"))
            .body("Ref A: 0123 Ref B: 4567"),
        _ => held(seen),
    }
}

struct Persona {
    name: &'static str,
    answers: fn(&Seen) -> Reply,
    /// Who the cache is there.
    user: Option<(&'static str, &'static str)>,
    /// How it says that something is not there.
    missing: Said,
}

const fn persona(
    name: &'static str,
    answers: fn(&Seen) -> Reply,
    user: Option<(&'static str, &'static str)>,
    missing: Said,
) -> Persona {
    Persona {
        name,
        answers,
        user,
        missing,
    }
}

const RAIN: Option<(&str, &str)> = Some(("rain", "pencil"));

const PERSONAS: [Persona; 11] = [
    persona("plain", held, None, Said::NotFound),
    persona(
        "Docker Hub",
        docker_hub,
        None,
        Said::RefusedThoughTokenGranted(401),
    ),
    persona(
        "GHCR",
        ghcr,
        None,
        Said::TokenRefusedWithoutCredentials(403),
    ),
    persona("ACR", acr, Some((IDENTITY, "refreshing")), Said::NotFound),
    persona("ECR", ecr, RAIN, Said::NotFound),
    persona("ECR public", ecr_public, None, Said::NotFound),
    persona("Quay", quay, None, Said::NotFound),
    persona("Nexus", nexus, None, Said::NotFound),
    persona("a plain web server", plain_web_server, None, Said::NotFound),
    persona("behind a firewall", behind_a_firewall, None, Said::NotFound),
    persona("MCR", mcr, None, Said::NotFound),
];

async fn blob(upstream: &Upstream, of: &RepositoryName, part: Part) -> (u64, Vec<u8>) {
    let mut answer = upstream.get_blob(of, &sha256(BLOB), part).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = answer.body.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    (answer.first, bytes)
}

async fn everything(upstream: &Upstream, persona: &Persona) -> Result<(), UpstreamError> {
    let (of, tag, heard) = (name("a/b"), reference("1"), Heard::default());
    let digest = sha256(MANIFEST.as_bytes());
    let named = upstream.head_manifest(&of, &tag, &heard).await?;
    assert_eq!(named.digest, Some(digest), "{}", persona.name);
    for which in [tag, reference(&digest.to_string())] {
        let fetched = upstream.get_manifest(&of, &which, &heard).await?;
        assert_eq!(fetched.manifest.bytes, MANIFEST, "{}", persona.name);
        assert_eq!(fetched.manifest.digest, digest, "{}", persona.name);
    }
    let size = upstream.head_blob(&of, &sha256(BLOB)).await?.size;
    let told = size.is_none_or(|size| size == BLOB.len() as u64);
    assert!(told, "{}: {size:?}", persona.name);
    let (first, bytes) = blob(upstream, &of, Part::Whole).await;
    assert_eq!((first, bytes.as_slice()), (0, BLOB), "{}", persona.name);
    // None of them honours a range; that is told, and what comes begins at the beginning.
    let (first, bytes) = blob(upstream, &of, Part::From(7)).await;
    assert_eq!((first, bytes.as_slice()), (0, BLOB), "{}", persona.name);
    let tags = upstream.tags(&of, 100, &heard).await?.tags;
    let tags: Vec<&str> = tags.iter().map(cistern_oci::Tag::as_str).collect();
    assert_eq!(tags, ["1", "2"], "{}", persona.name);
    let referrers = upstream.referrers(&of, &digest, &heard).await?;
    assert!(
        matches!(referrers, ReferrersAnswer::NotServed),
        "{}: {referrers:?}",
        persona.name
    );
    Ok(())
}

#[tokio::test]
async fn everything_can_be_had_from_every_registry_with_all_its_habits() {
    for persona in PERSONAS {
        let server = Server::start(persona.answers).await;
        let mut options = options(&server.url());
        if let Some((username, password)) = persona.user {
            options.credentials = CredentialSource::inline(username, password);
        }
        let upstream = Upstream::new(options).unwrap();
        assert!(upstream.is_reachable().await, "{}", persona.name);
        let all = everything(&upstream, &persona).await;
        all.unwrap_or_else(|error| panic!("{}: {error}", persona.name));

        let (of, heard) = (name("missing/it"), Heard::default());
        let missing = [
            upstream
                .head_manifest(&of, &reference("1"), &heard)
                .await
                .map(|_| ()),
            upstream
                .get_manifest(&of, &reference("1"), &heard)
                .await
                .map(|_| ()),
        ];
        for missing in missing {
            let fault = missing.unwrap_err().fault;
            assert_eq!(fault, Fault::NotFound(persona.missing), "{}", persona.name);
        }
        assert_eq!(upstream.paused_for(), None);
    }
}
