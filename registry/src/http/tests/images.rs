//! The images page and what may be changed: where each is offered, and what becomes of bad wishes.

use std::time::{Duration, Instant};

use cistern_oci::Algorithm;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::harness::{Reply, Running, Setup, ask_at, read_reply, send};

const CHANGES: [&str; 4] = [
    "/cistern/warm",
    "/cistern/pin",
    "/cistern/unpin",
    "/cistern/purge",
];

async fn admin(registry: &Running, request: &str, body: &[u8]) -> Reply {
    let mut stream = UnixStream::connect(&registry.admin).await.unwrap();
    let length = format!("Content-Length: {}", body.len());
    send(&mut stream, request, &[&length]).await;
    // A body that is too long is refused before all of it is taken.
    let _ = stream.write_all(body).await;
    read_reply(&mut stream, request.starts_with("HEAD ")).await
}

async fn page(registry: &Running, query: &str) -> Value {
    let reply = admin(registry, &format!("GET /cistern/images{query}"), b"").await;
    assert_eq!(reply.status, 200);
    reply.json()
}

fn error_of(reply: &Reply) -> String {
    reply.json()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn nothing_that_changes_anything_is_on_the_main_or_the_debug_address() {
    let registry = Running::with(Setup {
        with_debug: true,
        ..Setup::default()
    })
    .await;
    let (main, debug) = (registry.address, registry.debug_address.unwrap());
    for path in CHANGES {
        for method in ["POST", "GET", "PUT", "DELETE", "PATCH"] {
            for face in [main, debug] {
                let request = format!("{method} {path}");
                let reply = ask_at(face, &request, &["Content-Length: 0"]).await;
                assert_eq!(reply.status, 404, "{request} at {face}");
            }
        }
    }
    assert_eq!(ask_at(main, "GET /cistern/images", &[]).await.status, 404);
    let shown = ask_at(debug, "GET /cistern/images", &[]).await;
    assert_eq!((shown.status, &shown.json()["images"]), (200, &json!([])));
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let request = format!("{method} /cistern/images");
        let reply = ask_at(debug, &request, &["Content-Length: 0"]).await;
        assert_eq!(reply.status, 405, "{request}");
        assert_eq!(
            admin(&registry, &request, b"").await.status,
            405,
            "{request}"
        );
    }
    for page in ["/cistern/status", "/cistern/explain"] {
        for face in [main, debug] {
            assert_eq!(ask_at(face, &format!("GET {page}"), &[]).await.status, 404);
        }
    }
}

#[tokio::test]
async fn a_change_takes_a_post_and_says_so() {
    let registry = Running::start().await;
    for path in CHANGES {
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            let reply = admin(&registry, &format!("{method} {path}"), b"").await;
            assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
            assert!(error_of(&reply).contains("POST"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_wish_that_makes_no_sense_is_refused_and_what_is_wrong_is_named() {
    let registry = Running::start().await;
    let long = format!(r#"{{"image": "{}"}}"#, "a".repeat(70_000));
    for path in CHANGES {
        for (body, status, says) in [
            (&b""[..], 400, "EOF"),
            (b"{", 400, "EOF"),
            (b"[]", 400, "image"),
            (b"null", 400, "null"),
            (b"\xff\xfe", 400, "column 1"),
            (br#"{"image": 7}"#, 400, "string"),
            (br#"{"Image": "a:b"}"#, 400, "`Image`"),
            (br#"{"image": "a:b", "force": true}"#, 400, "`force`"),
            (br#"{"image": "a:b", "image": "c:d"}"#, 400, "duplicate"),
            (br#"{"image": "a:b"} x"#, 400, "trailing"),
            (long.as_bytes(), 413, "65536"),
        ] {
            let reply = admin(&registry, &format!("POST {path}"), body).await;
            assert_eq!(
                reply.status,
                status,
                "{path} {}",
                String::from_utf8_lossy(body)
            );
            let error = error_of(&reply);
            assert!(error.contains(says), "{error}");
        }
    }
    for (platforms, says) in [
        (json!([]), "none are named"),
        (json!(["linux"]), "`linux` is no platform"),
        (json!(["all", "linux/amd64"]), "`all` is no platform"),
        (json!(vec!["linux/amd64"; 51]), "more than 50"),
    ] {
        let wish = json!({ "image": "team/app:v1", "platforms": platforms }).to_string();
        let reply = admin(&registry, "POST /cistern/warm", wish.as_bytes()).await;
        let error = error_of(&reply);
        assert!(reply.status == 400 && error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_cached_image_that_nobody_named_is_listed_with_what_of_it_is_here() {
    let registry = Running::start().await;
    let layer = registry.put_blob("team/app", "layer").await;
    let missing = cistern_oci::Digest::of(Algorithm::Sha256, b"missing");
    let image = |more: &str| {
        format!(
            r#"{{"schemaVersion": 2, "config": {{"digest": "{layer}", "size": 5}}, "layers": [{more}]}}"#
        )
    };
    let whole = registry
        .put_manifest("team/app", &["v1"], Algorithm::Sha256, &image(""))
        .await;
    let more = format!(r#"{{"digest": "{missing}", "size": 7}}"#);
    registry
        .put_manifest("team/app", &["v2"], Algorithm::Sha256, &image(&more))
        .await;
    let page = page(&registry, "").await;
    let [first, second] = page["images"].as_array().unwrap().as_slice() else {
        panic!("{page}");
    };
    assert_eq!(first["image"], "team/app:v1");
    assert_eq!(first["digest"], whole.to_string());
    assert_eq!(first["named"], false);
    assert_eq!(
        (&first["state"], &first["offline_ready"]),
        (&json!("ready"), &json!(true))
    );
    assert_eq!(first["missing_bytes"], 0);
    assert_eq!(first["total_bytes"], image("").len() + 5);
    assert_eq!(
        (&second["state"], &second["missing_bytes"]),
        (&json!("partial"), &json!(7))
    );
    assert_eq!(page["next"], Value::Null);
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "links as another program writes them, faster than the store would"
)]
async fn thousands_of_tags_are_told_page_by_page_in_bounded_time() {
    let registry = Running::start().await;
    let blob = registry.put_blob("many", "layer").await;
    let text = format!(r#"{{"schemaVersion": 2, "layers": [{{"digest": "{blob}", "size": 5}}]}}"#);
    let digest = registry
        .put_manifest("many", &["first"], Algorithm::Sha256, &text)
        .await;
    let tags = registry
        .root()
        .join("docker/registry/v2/repositories/many/_manifests/tags");
    for number in 0..3_000 {
        let folder = tags.join(format!("t{number:05}/current"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("link"), digest.to_string()).unwrap();
    }
    let begun = Instant::now();
    let first = page(&registry, "?n=1000000").await;
    let taken = begun.elapsed();
    assert!(taken < Duration::from_secs(10), "{taken:?}");
    let images = first["images"].as_array().unwrap();
    assert_eq!(
        (images.len(), &first["next"]),
        (1000, &json!("many:t00998"))
    );
    let next = page(&registry, "?n=2&after=many:t02997").await;
    let names: Vec<_> = next["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["image"])
        .collect();
    assert_eq!(names, ["many:t02998", "many:t02999"]);
    assert_eq!(next["next"], Value::Null);
    assert_eq!(page(&registry, "?n=0").await["images"], json!([]));
    assert_eq!(
        page(&registry, "").await["images"]
            .as_array()
            .unwrap()
            .len(),
        100
    );
}

#[tokio::test]
async fn a_page_that_nobody_can_turn_to_is_refused() {
    let registry = Running::start().await;
    for (query, says) in [
        ("n=many", "not `many`"),
        ("n=-1", "n is a number"),
        ("after=x", "`x` is no tag"),
        ("after=A:b", "`A:b` is no tag"),
    ] {
        let reply = admin(&registry, &format!("GET /cistern/images?{query}"), b"").await;
        let error = error_of(&reply);
        assert!(reply.status == 400 && error.contains(says), "{error}");
    }
}
