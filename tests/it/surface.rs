//! The face of the registry: what it refuses, what it says about itself, and what never leaves it.

use cistern_tests::caller::{Answered, call, get};
use cistern_tests::images::{Algorithm, Family, Item, OCI_MANIFEST, image};
use cistern_tests::scripted_upstream::Answer;
use serde_json::json;

use crate::scene::{
    REPOSITORY, Scene, TAG_PATH, assert_refused, assert_served, blob, configured, error, manifest,
};

const UPLOADS: &str = "/v2/team/app/blobs/uploads/";

#[tokio::test]
async fn the_registry_says_that_it_is_one() {
    let scene = Scene::new().await;
    for path in ["/v2/", "/v2"] {
        let answer = scene.get(path).await;
        assert_served(&answer, b"{}");
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert_eq!(
            answer.header("Docker-Distribution-Api-Version"),
            Some("registry/2.0")
        );
        assert_eq!(answer.header("WWW-Authenticate"), None);
        assert_eq!(scene.head(path).await.status, 200);
    }
    assert_eq!(scene.get("/").await.status, 200);
    assert_eq!(scene.head("/").await.status, 200);
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn every_write_is_refused_with_405_and_what_is_allowed() {
    let scene = Scene::new().await;
    let digest = scene.image.digest();
    for (method, path) in [
        ("POST", UPLOADS),
        ("POST", &format!("{UPLOADS}?mount={digest}&from=other")),
        ("POST", &format!("{UPLOADS}?digest={digest}")),
        ("PATCH", &format!("{UPLOADS}1234")),
        ("PUT", &format!("{UPLOADS}1234?digest={digest}")),
        ("DELETE", &format!("{UPLOADS}1234")),
        ("PUT", TAG_PATH),
        ("PUT", &manifest(digest)),
        ("DELETE", TAG_PATH),
        ("DELETE", &manifest(digest)),
        ("DELETE", &scene.layer()),
        ("POST", "/v2/"),
        ("PUT", "/v2/_catalog"),
        ("DELETE", "/v2/team/app/tags/list"),
        ("OPTIONS", TAG_PATH),
        ("PROPFIND", &scene.layer()),
    ] {
        let answer = call(method, path)
            .body("some bytes")
            .send(&scene.cache.host())
            .await;
        assert_refused(&answer, 405, "UNSUPPORTED", &[]);
        assert_eq!(answer.header("Allow"), Some("GET, HEAD"), "{method} {path}");
        assert_eq!(answer.header("WWW-Authenticate"), None);
    }
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn clients_that_look_for_the_fallback_tag_find_it_too() {
    let scene = Scene::warm(&[]).await;
    let tag = scene.image.digest().replace(':', "-");
    let signature = image().random_layers(9, 1, 100).build();
    scene
        .upstream
        .hold(&signature, REPOSITORY, &[&tag, &format!("{tag}.sig")]);
    for tag in [tag.clone(), format!("{tag}.sig")] {
        assert_served(&scene.get(&manifest(&tag)).await, &signature.top().bytes);
    }
}

#[tokio::test]
async fn a_head_of_a_blob_downloads_nothing() {
    let scene = Scene::new().await;
    let layer = scene.image.largest_blob();
    let size = layer.bytes.len().to_string();
    let unnamed = scene.head(&scene.layer()).await;
    assert_eq!(
        (unnamed.status, unnamed.header("Content-Length")),
        (200, Some(&*size))
    );
    assert_eq!(scene.upstream.count("HEAD", &scene.layer()), 1);
    scene.get(TAG_PATH).await;
    scene.upstream.forget_requests();
    let named = scene.head(&scene.layer()).await;
    assert_eq!(
        (named.status, named.header("Content-Length")),
        (200, Some(&*size))
    );
    assert_eq!(named.header("Docker-Content-Digest"), Some(&*layer.digest));
    assert_eq!(named.header("Accept-Ranges"), Some("bytes"));
    assert_eq!(scene.upstream.requests().len(), 0);
    assert_eq!(scene.upstream.count("GET", "/v2/*/blobs/*"), 0);
    assert_eq!(scene.cache.store().blob(&layer.digest), None);
}

#[tokio::test]
async fn layers_that_may_not_be_distributed_do_not_spoil_their_image() {
    let scene = Scene::new().await;
    let (config, layer) = (
        Item::new("application/vnd.oci.image.config.v1+json", "{}"),
        Item::random(5, 100),
    );
    let mut foreign = Item::random(6, 100).descriptor();
    foreign["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    foreign["urls"] = json!([format!("{}/foreign", scene.upstream.url())]);
    let text = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.descriptor(),
        "layers": [foreign, layer.descriptor()],
    });
    let top = Item::new(OCI_MANIFEST, text.to_string());
    let odd = cistern_tests::images::Image {
        manifests: vec![top.clone()],
        blobs: vec![config, layer.clone()],
    };
    scene.upstream.hold(&odd, REPOSITORY, &["windows"]);
    assert_served(&scene.get(&manifest("windows")).await, &top.bytes);
    assert_served(&scene.get(&blob(&layer.digest)).await, &layer.bytes);
    let missing = scene.get(&blob(foreign["digest"].as_str().unwrap())).await;
    assert_refused(&missing, 404, "BLOB_UNKNOWN", &[]);
    assert_eq!(scene.upstream.count("*", "/foreign"), 0);
}

#[tokio::test]
async fn images_of_sha512_are_named_by_sha512() {
    let scene = Scene::new().await;
    for (family, tag) in [(Family::Oci, "long"), (Family::Docker, "long-docker")] {
        let long = image()
            .family(family)
            .algorithm(Algorithm::Sha512)
            .random_layers(7, 2, 5000)
            .build();
        scene.upstream.hold(&long, REPOSITORY, &[tag]);
        for reference in [tag, long.digest(), tag] {
            let top = scene.get(&manifest(reference)).await;
            assert_served(&top, &long.top().bytes);
            assert_eq!(top.header("Docker-Content-Digest"), Some(long.digest()));
        }
        for layer in long.blobs.iter().chain(&long.blobs) {
            let answer = scene.get(&blob(&layer.digest)).await;
            assert_served(&answer, &layer.bytes);
            assert_eq!(answer.header("Docker-Content-Digest"), Some(&*layer.digest));
        }
    }
}

/// A manifest of exactly `size` bytes.
fn padded(size: usize) -> Item {
    let text = |filling: &str| {
        json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [], "annotations": { "x": filling } }).to_string()
    };
    let rest = size - text("").len();
    Item::new(OCI_MANIFEST, text(&"x".repeat(rest)))
}

#[tokio::test]
async fn a_manifest_of_four_mebibytes_passes_and_a_larger_one_is_refused() {
    let scene = Scene::new().await;
    let limit = 4 * 1024 * 1024;
    let hold = |item: &Item, tag: &str| {
        let image = cistern_tests::images::Image {
            manifests: vec![item.clone()],
            blobs: Vec::new(),
        };
        scene.upstream.hold(&image, REPOSITORY, &[tag]);
    };
    let largest = padded(limit);
    hold(&largest, "largest");
    for _ in 0..2 {
        assert_served(&scene.get(&manifest("largest")).await, &largest.bytes);
        assert_served(&scene.get(&manifest(&largest.digest)).await, &largest.bytes);
    }
    for (size, tag) in [(limit + 1, "above"), (5 * 1024 * 1024, "five")] {
        let larger = padded(size);
        hold(&larger, tag);
        for reference in [tag, &larger.digest] {
            let answer = scene.get(&manifest(reference)).await;
            assert_refused(
                &answer,
                503,
                "UNAVAILABLE",
                &[&scene.upstream.host(), "4194304"],
            );
            assert_eq!(error(&answer)["detail"]["cause"], "invalid");
        }
        assert_eq!(scene.cache.store().blob(&larger.digest), None);
    }
}

#[tokio::test]
async fn a_manifest_without_end_is_given_up() {
    let scene = Scene::new().await;
    let endless = Answer::body(200, OCI_MANIFEST, vec![b' '; 64 << 20])
        .framed(cistern_tests::scripted_upstream::Framing::Chunked);
    scene.upstream.on("GET", "/v2/*/manifests/*", endless);
    for path in [TAG_PATH, &manifest(scene.image.digest())] {
        let answer = scene.get(path).await;
        assert_refused(&answer, 503, "UNAVAILABLE", &["limit"]);
    }
    let sent = scene.upstream.bytes_sent();
    assert!(sent < 48 << 20, "{sent} bytes were read");
    assert!(scene.cache.peak_rss() < 200 << 20);
}

/// Headers of an upstream that would do harm if they passed.
const HARMFUL: [(&str, &str); 12] = [
    ("X-Accel-Redirect", "/etc/passwd"),
    ("X-Accel-Buffering", "yes"),
    ("X-Accel-Limit-Rate", "1"),
    ("X-Accel-Expires", "0"),
    ("X-Sendfile", "/etc/passwd"),
    ("Set-Cookie", "a=b"),
    ("Strict-Transport-Security", "max-age=31536000"),
    ("Keep-Alive", "timeout=1"),
    ("Upgrade", "h2c"),
    ("Trailer", "Expires"),
    ("Alt-Svc", "h3=\":443\""),
    ("Warning", "299 - \"of the upstream\""),
];

#[track_caller]
fn assert_clean(answer: &Answered, path: &str) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    for (name, value) in HARMFUL {
        assert!(
            answer.header(name) != Some(value),
            "{name} passed from {path}"
        );
    }
    assert_eq!(answer.header("Content-Encoding"), None, "{path}");
}

#[tokio::test]
async fn nothing_of_an_upstreams_headers_passes_that_is_not_about_the_content() {
    let scene = Scene::new().await;
    let harmful = HARMFUL
        .iter()
        .fold(Answer::held(), |answer, (name, value)| {
            answer.header(name, value)
        });
    scene.upstream.on("*", "/v2/*", harmful);
    for _ in 0..2 {
        for path in [
            TAG_PATH,
            &manifest(scene.image.digest()),
            &scene.layer(),
            "/v2/team/app/tags/list",
        ] {
            assert_clean(&scene.get(path).await, path);
        }
        for path in [TAG_PATH, &scene.layer()] {
            assert_clean(&scene.head(path).await, path);
        }
    }
}

#[tokio::test]
async fn blobs_are_not_to_be_spooled_by_a_proxy_in_front() {
    let scene = Scene::new().await;
    for _ in 0..2 {
        let whole = scene.get(&scene.layer()).await;
        assert_eq!(whole.header("X-Accel-Buffering"), Some("no"));
        let part = get(&scene.layer())
            .range("bytes=5-9")
            .send(&scene.cache.host())
            .await;
        assert_eq!(
            (part.status, part.header("X-Accel-Buffering")),
            (206, Some("no"))
        );
        assert_eq!(
            scene.head(&scene.layer()).await.header("X-Accel-Buffering"),
            Some("no")
        );
    }
}

#[tokio::test]
async fn nothing_is_ever_compressed_for_a_caller() {
    let scene = Scene::new().await;
    for _ in 0..2 {
        for path in [
            TAG_PATH,
            &scene.layer(),
            "/v2/team/app/tags/list",
            "/v2/_catalog",
            "/v2/",
            "/readyz",
        ] {
            let answer = get(path)
                .header(
                    "Accept-Encoding",
                    "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5, br",
                )
                .send(&scene.cache.host())
                .await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.header("Content-Encoding"), None, "{path}");
            assert!(answer.header("Content-Length").is_some(), "{path}");
        }
    }
}

#[tokio::test]
async fn every_answer_carries_the_operators_headers_but_no_header_of_ours_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    let text = "version: 0.1\nhttp:\n  headers:\n    X-Content-Type-Options: [nosniff]\n    X-Two: [one, two]\n    Docker-Content-Digest: [sha256:wrong]\n    Content-Length: ['0']\n";
    std::fs::write(&file, text).unwrap();
    let (upstream, image) = crate::scene::upstream().await;
    let cache = configured(crate::scene::cache_of(&upstream, &[]), &[])
        .arguments(&["serve", file.to_str().unwrap()])
        .start()
        .await;
    for path in [
        TAG_PATH,
        "/v2/",
        "/",
        "/healthz",
        "/v2/team/app/manifests/none",
        "/v2/Bad/manifests/v1",
    ] {
        let answer = get(path).send(&cache.host()).await;
        assert_eq!(
            answer.header("X-Content-Type-Options"),
            Some("nosniff"),
            "{path}"
        );
        let two: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("x-two"))
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(two.join(", ").replace(',', ""), "one two", "{path}");
        assert!(answer.is_complete());
    }
    let top = get(TAG_PATH).send(&cache.host()).await;
    assert_served(&top, &image.top().bytes);
    assert_eq!(top.header("Docker-Content-Digest"), Some(image.digest()));
    let log = cache.log();
    assert!(
        log.contains("WARN") && log.contains("http.headers"),
        "{log}"
    );
}
