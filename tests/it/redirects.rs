//! Redirects are followed on every endpoint, within bounds; what lies at their end is what counts, and never their own body.

use cistern_tests::cistern::mirror_of;
use cistern_tests::images::image;
use cistern_tests::scripted_upstream::{Answer, Framing, ScriptedUpstream};

use crate::scene::{
    REPOSITORY, Scene, TAG, TAG_PATH, assert_refused, assert_served, error, manifest,
};

const TAGS: &str = "/v2/team/app/tags/list";

/// Everything below `/v2/` is elsewhere, at `place` of the same or another upstream.
fn moved(scene: &Scene, status: u16, place: impl Fn(&str) -> String + Send + Sync + 'static) {
    let redirect = Answer::by(move |request| Answer::redirect(status, &place(&request.path)));
    scene.upstream.on("*", "/v2/*", redirect);
}

async fn elsewhere(scene: &Scene) -> ScriptedUpstream {
    let other = ScriptedUpstream::start().await;
    other.hold(&scene.image, REPOSITORY, &[TAG]);
    other
}

async fn all_is_served(scene: &Scene) {
    scene.pull().await;
    assert_served(
        &scene.get(&manifest(scene.image.digest())).await,
        &scene.image.top().bytes,
    );
    assert_eq!(scene.get(TAGS).await.json()["tags"][0], TAG);
    assert_eq!(scene.head(&scene.layer()).await.status, 200);
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed_on_every_endpoint() {
    for status in [301, 302, 303, 307, 308] {
        let scene = Scene::new().await;
        let other = elsewhere(&scene).await;
        let base = other.url();
        moved(&scene, status, move |path| format!("{base}{path}"));
        all_is_served(&scene).await;
        for method in ["HEAD", "GET"] {
            assert_eq!(
                other.count(method, TAG_PATH),
                usize::from(method == "HEAD"),
                "{status} keeps the method"
            );
        }
    }
}

#[tokio::test]
async fn relative_redirects_and_several_hops_are_followed() {
    let scene = Scene::new().await;
    let layer = scene.image.largest_blob();
    scene.upstream.hold_file(
        "/files/layer",
        "application/octet-stream",
        layer.bytes.clone(),
    );
    let hops = [
        ("/hop/1", "2"),
        ("/hop/2", "//HOST/hop/3"),
        ("/hop/3", "../files/layer"),
    ];
    for (from, to) in hops {
        let to = to.replace("HOST", &scene.upstream.host());
        scene.upstream.on("GET", from, Answer::redirect(302, &to));
    }
    scene
        .upstream
        .on("GET", &scene.layer(), Answer::redirect(307, "/hop/1"));
    assert_served(&scene.get(&scene.layer()).await, &layer.bytes);
}

#[tokio::test]
async fn a_loop_of_redirects_ends_with_an_error() {
    let scene = Scene::new().await;
    moved(&scene, 307, str::to_owned);
    for path in [TAG_PATH, &scene.layer(), TAGS] {
        assert_refused(&scene.get(path).await, 503, "UNAVAILABLE", &["loop"]);
    }
    let scene = Scene::new().await;
    moved(&scene, 307, |path| format!("{path}x"));
    let answer = scene.get(&scene.layer()).await;
    assert_refused(&answer, 503, "UNAVAILABLE", &["redirects more than"]);
    assert!(scene.upstream.requests().len() < 20);
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_an_error_and_its_page_is_never_kept() {
    let page = "<html>Look elsewhere</html>\n";
    let nowhere = [
        Answer::body(302, "text/html", page),
        Answer::redirect(302, "ftp://127.0.0.1/x"),
        Answer::redirect(302, "http://"),
    ];
    for answer in nowhere {
        let scene = Scene::new().await;
        scene.upstream.on("*", "/v2/*", answer);
        for path in [TAG_PATH, &manifest(scene.image.digest()), &scene.layer()] {
            let answer = scene.get(path).await;
            assert_refused(&answer, 503, "UNAVAILABLE", &[&scene.upstream.host()]);
            assert!(!answer.text().contains("html>") && answer.header("Location").is_none());
        }
        assert_eq!(scene.cache.store().digests(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_login_page_is_never_taken_for_an_image() {
    let scene = Scene::new().await;
    let page = Answer::body(200, "text/html", "<html>Please log in</html>");
    scene.upstream.on("*", "/v2/*", page);
    for path in [TAG_PATH, &manifest(scene.image.digest()), TAGS] {
        assert_refused(
            &scene.get(path).await,
            503,
            "UNAVAILABLE",
            &["cannot be used"],
        );
    }
    let layer = scene.get(&scene.layer()).await;
    assert!(layer.status != 200 || !layer.is_complete());
    assert_eq!(scene.cache.store().digests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refusal_at_the_end_of_a_redirect_names_the_host_that_refused() {
    let scene = Scene::new().await;
    let storage = ScriptedUpstream::start().await;
    storage.on("*", "*", Answer::status(500));
    let base = storage.url();
    moved(&scene, 307, move |path| format!("{base}{path}"));
    let answer = scene.get(&scene.layer()).await;
    assert_refused(
        &answer,
        503,
        "UNAVAILABLE",
        &[&storage.host(), "answered 500"],
    );
    assert_eq!(error(&answer)["detail"]["upstream"], storage.host());
}

#[tokio::test]
async fn a_redirect_from_http_to_https_is_followed() {
    let secure = ScriptedUpstream::start_tls().await;
    let bundle = secure.certificate().display().to_string();
    let scene = Scene::with(&[("PROXY_CA", &bundle)]).await;
    secure.hold(&scene.image, REPOSITORY, &[TAG]);
    let base = secure.url();
    moved(&scene, 307, move |path| format!("{base}{path}"));
    all_is_served(&scene).await;
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let secure = ScriptedUpstream::start_tls().await;
    let plain = ScriptedUpstream::start().await;
    let image = image().random_layers(1, 1, 1000).build();
    plain.hold(&image, REPOSITORY, &[TAG]);
    let base = plain.url();
    secure.on(
        "*",
        "/v2/*",
        Answer::by(move |request| Answer::redirect(307, &format!("{base}{}", request.path))),
    );
    let bundle = secure.certificate().display().to_string();
    let cache = mirror_of(&secure.url())
        .set("REGISTRY_PROXY_CA", &bundle)
        .start()
        .await;
    let answer = cistern_tests::caller::get(TAG_PATH)
        .send(&cache.host())
        .await;
    assert_refused(&answer, 503, "UNAVAILABLE", &["from https to http"]);
    assert_eq!(plain.requests().len(), 0);
}

#[tokio::test]
async fn a_body_of_any_framing_is_served_with_its_length() {
    for framing in [Framing::Chunked, Framing::UntilClose, Framing::Http10] {
        let scene = Scene::new().await;
        scene
            .upstream
            .on("*", "/v2/*", Answer::held().framed(framing));
        let by_digest = manifest(scene.image.digest());
        for (path, bytes) in [
            (TAG_PATH, &scene.image.top().bytes),
            (&*by_digest, &scene.image.top().bytes),
            (&*scene.layer(), &scene.image.largest_blob().bytes),
        ] {
            for _ in 0..2 {
                let answer = scene.get(path).await;
                assert_served(&answer, bytes);
                let length = bytes.len().to_string();
                assert_eq!(
                    answer.header("Content-Length"),
                    Some(&*length),
                    "{framing:?} {path}"
                );
                assert_eq!(answer.header("Transfer-Encoding"), None);
            }
        }
        scene.pull().await;
        assert_eq!(scene.get(TAGS).await.json()["tags"][0], TAG);
    }
}
