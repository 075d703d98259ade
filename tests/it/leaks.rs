//! Credentials stay with whom they belong to: not with whoever a redirect or a challenge points at.

use cistern_tests::scripted_upstream::{Answer, Protection, ScriptedUpstream, Signed, TokenDesk};

use crate::scene::{Scene, TAG_PATH, assert_refused, assert_served};

const USER: &[(&str, &str)] = &[("PROXY_USERNAME", "cache"), ("PROXY_PASSWORD", "s3cret")];

fn is_bare(other: &ScriptedUpstream) -> bool {
    other.requests().iter().all(|request| {
        request.header("Authorization").is_none()
            && request.header("Cookie").is_none()
            && !request.query.contains("cache")
    })
}

#[tokio::test]
async fn a_redirect_to_another_host_takes_no_credentials_along() {
    let desk = TokenDesk::new().only_for("cache", "s3cret");
    for protection in [
        Protection::basic("cache", "s3cret"),
        Protection::Bearer(desk),
    ] {
        let scene = Scene::with(USER).await;
        scene.upstream.protect(protection);
        let storage = ScriptedUpstream::start().await;
        scene
            .upstream
            .redirect_blobs_to(&storage, 307, Signed::default());
        scene.pull().await;
        assert_eq!(storage.count("GET", "/signed/*"), scene.image.blobs.len());
        assert!(is_bare(&storage));
    }
}

#[tokio::test]
async fn a_redirect_on_the_same_host_takes_them_along() {
    let scene = Scene::with(USER).await;
    scene.upstream.protect(Protection::basic("cache", "s3cret"));
    let layer = scene.image.largest_blob();
    scene.upstream.hold_file(
        "/files/layer",
        "application/octet-stream",
        layer.bytes.clone(),
    );
    scene
        .upstream
        .on("GET", &scene.layer(), Answer::redirect(307, "/files/layer"));
    assert_served(&scene.get(&scene.layer()).await, &layer.bytes);
    let asked = scene.upstream.requests_of("GET", "/files/layer");
    assert!(asked[0].header("Authorization").is_some());
}

#[tokio::test]
async fn credentials_once_left_behind_do_not_come_back() {
    let scene = Scene::with(USER).await;
    scene.upstream.protect(Protection::basic("cache", "s3cret"));
    let layer = scene.image.largest_blob();
    scene
        .upstream
        .hold_file("/back", "application/octet-stream", layer.bytes.clone());
    let other = ScriptedUpstream::start().await;
    other.on(
        "GET",
        "/away",
        Answer::redirect(302, &scene.upstream.url_of("/back")),
    );
    scene.upstream.on(
        "GET",
        &scene.layer(),
        Answer::redirect(302, &other.url_of("/away")),
    );
    assert_served(&scene.get(&scene.layer()).await, &layer.bytes);
    assert!(is_bare(&other));
    let back = scene.upstream.requests_of("GET", "/back");
    assert!(back[0].header("Authorization").is_none());
}

#[tokio::test]
async fn a_cookie_is_neither_kept_nor_passed_on() {
    let scene = Scene::new().await;
    scene.upstream.on(
        "*",
        "/v2/*",
        Answer::held().header("Set-Cookie", "session=1; Path=/"),
    );
    for path in [TAG_PATH, &scene.layer()] {
        assert_eq!(scene.get(path).await.header("Set-Cookie"), None);
    }
    assert!(is_bare(&scene.upstream));
}

/// An upstream whose token server is on another host.
async fn with_foreign_realm(settings: &[(&str, &str)]) -> (Scene, ScriptedUpstream) {
    let scene = Scene::with(settings).await;
    let other = ScriptedUpstream::start().await;
    let desk = TokenDesk::new().also_for("cache", "s3cret");
    desk.open_at(&other, "/token");
    scene.upstream.protect(Protection::Bearer(desk));
    (scene, other)
}

#[tokio::test]
async fn a_token_server_on_a_strange_host_is_not_shown_our_credentials() {
    let (scene, other) = with_foreign_realm(USER).await;
    for path in [TAG_PATH, &scene.layer()] {
        let answer = scene.get(path).await;
        assert_refused(
            &answer,
            503,
            "UNAVAILABLE",
            &["token server", "proxy.realms"],
        );
    }
    assert!(is_bare(&other));
}

#[tokio::test]
async fn a_token_server_that_the_operator_names_is_shown_them() {
    let other = ScriptedUpstream::start().await;
    let host = other.address().ip().to_string();
    let mut settings = USER.to_vec();
    settings.push(("PROXY_REALMS", &host));
    let scene = Scene::with(&settings).await;
    let desk = TokenDesk::new().only_for("cache", "s3cret");
    desk.open_at(&other, "/token");
    scene.upstream.protect(Protection::Bearer(desk));
    scene.pull().await;
    assert!(!is_bare(&other));
}

#[tokio::test]
async fn a_token_server_on_a_strange_host_is_good_enough_for_who_has_no_credentials() {
    let (scene, other) = with_foreign_realm(&[]).await;
    scene.pull().await;
    assert!(is_bare(&other));
}

#[tokio::test]
async fn a_redirected_token_request_takes_no_password_along() {
    let scene = Scene::with(USER).await;
    let other = ScriptedUpstream::start().await;
    let desk = TokenDesk::new().also_for("cache", "s3cret");
    desk.open_at(&other, "/token");
    desk.set_realm(&scene.upstream.url_of("/moved"));
    let place = other.url_of("/token?scope=repository:team/app:pull");
    scene
        .upstream
        .on("GET", "/moved", Answer::redirect(307, &place));
    scene.upstream.protect(Protection::Bearer(desk));
    assert_served(&scene.get(TAG_PATH).await, &scene.image.top().bytes);
    assert!(
        other
            .requests()
            .iter()
            .all(|request| request.header("Authorization").is_none())
    );
}
