//! What the cache shows to its upstream: tokens and passwords, and never its callers'.

use std::time::Duration;

use cistern_tests::caller::get;
use cistern_tests::images::{Item, image};
use cistern_tests::scripted_upstream::{
    Answer, ChallengeStyle, Protection, ScriptedUpstream, TokenAnswer, TokenDesk, TokenField,
};
use tokio::task::JoinSet;

use crate::scene::{
    REPOSITORY, Scene, TAG, TAG_PATH, assert_refused, assert_served, blob, cache_of, upstream,
};

const USER: &[(&str, &str)] = &[("PROXY_USERNAME", "cache"), ("PROXY_PASSWORD", "s3cret")];

/// Pulls everything through a cache whose upstream is protected so.
async fn pulls(protection: Protection, settings: &[(&str, &str)]) -> Scene {
    let scene = Scene::with(settings).await;
    scene.upstream.protect(protection);
    scene.pull().await;
    let tags = scene.get("/v2/team/app/tags/list").await;
    assert_eq!(tags.json()["tags"][0], TAG);
    scene
}

#[tokio::test]
async fn an_upstream_that_gives_tokens_to_everybody_is_pulled_from() {
    let desk = TokenDesk::new();
    let scene = pulls(Protection::Bearer(desk.clone()), &[]).await;
    let asked = scene.upstream.requests_of("GET", "/token");
    assert!(
        asked
            .iter()
            .all(|request| request.header("Authorization").is_none())
    );
    assert!(
        desk.scopes()
            .iter()
            .flatten()
            .all(|scope| scope.starts_with("repository:team/app:"))
    );
}

#[tokio::test]
async fn an_upstream_that_gives_tokens_for_a_password_is_pulled_from() {
    let desk = TokenDesk::new().only_for("cache", "s3cret");
    let scene = pulls(Protection::Bearer(desk), USER).await;
    for request in scene.upstream.requests() {
        let shown = request
            .header("Authorization")
            .unwrap_or_default()
            .to_owned();
        assert_eq!(
            shown.starts_with("Basic "),
            request.path == "/token",
            "{}",
            request.path
        );
    }
}

#[tokio::test]
async fn an_upstream_that_wants_a_password_is_pulled_from() {
    let scene = pulls(Protection::basic("cache", "s3cret"), USER).await;
    let unasked = scene
        .upstream
        .requests()
        .iter()
        .filter(|request| request.status() == 401)
        .count();
    assert!(
        unasked <= 3,
        "the password is shown at once when it is known to be wanted"
    );
}

#[tokio::test]
async fn every_way_to_write_a_challenge_is_understood() {
    let lines = |lines: &[&str]| {
        ChallengeStyle::Lines(lines.iter().map(|line| (*line).to_owned()).collect())
    };
    for style in [
        ChallengeStyle::Usual,
        ChallengeStyle::LowerCase,
        ChallengeStyle::Unquoted,
        ChallengeStyle::WithoutScope,
        ChallengeStyle::SeveralLines,
        ChallengeStyle::OneLine,
        ChallengeStyle::RealmWithQuery,
        lines(&["Negotiate, Bearer realm=\"{realm}\", service=\"{service}\",scope=\"{scope}\""]),
        lines(&["BEARER scope={scope},realm={realm}"]),
        lines(&[
            "Bearer realm=\"{realm}\",service=\"a \\\"quoted\\\" name\",scope=\"{scope}\",unknown=x",
        ]),
        lines(&["Bearer realm=\"/token\",service=\"{service}\",scope=\"{scope}\""]),
    ] {
        let desk = TokenDesk::new().challenges(style.clone());
        let scene = pulls(Protection::Bearer(desk.clone()), &[]).await;
        assert!(desk.issued() > 0, "{style:?}");
        drop(scene);
    }
}

#[tokio::test]
async fn basic_is_found_beside_schemes_that_nobody_knows() {
    let scene = Scene::with(USER).await;
    let protected = Answer::by(|request| match request.header("Authorization") {
        Some("Basic Y2FjaGU6czNjcmV0") => Answer::held(),
        _ => Answer::status(401)
            .also_header("WWW-Authenticate", "Negotiate")
            .also_header("WWW-Authenticate", "NTLM, Basic realm=\"x\""),
    });
    scene.upstream.on("*", "/v2/*", protected);
    scene.pull().await;
}

#[tokio::test]
async fn a_401_without_a_challenge_is_explained_by_the_ping() {
    let scene = Scene::new().await;
    let challenge = format!(
        "Bearer realm=\"{}\",service=\"x\"",
        scene.upstream.url_of("/token")
    );
    let token = Answer::body(200, "application/json", r#"{"access_token":"t"}"#);
    scene.upstream.on("GET", "/token", token);
    scene.upstream.on(
        "GET",
        "/v2/",
        Answer::status(401).header("WWW-Authenticate", &challenge),
    );
    let bare = Answer::by(|request| match request.header("Authorization") {
        Some("Bearer t") => Answer::held(),
        _ => Answer::status(401),
    });
    scene.upstream.on("*", "/v2/*", bare);
    scene.pull().await;
}

#[tokio::test]
async fn a_token_that_is_not_enough_is_replaced_by_one_that_is() {
    let scene = Scene::new().await;
    let realm = scene.upstream.url_of("/token");
    let token = Answer::by(|request| {
        let scope = request.parameter("scope").unwrap_or_default();
        let token = if scope.contains("metadata_read") {
            "wide"
        } else {
            "narrow"
        };
        Answer::body(
            200,
            "application/json",
            format!(r#"{{"token":"{token}","expires_in":300}}"#),
        )
    });
    scene.upstream.on("GET", "/token", token);
    let protected = Answer::by(move |request| {
        let more = match request.header("Authorization") {
            Some("Bearer wide") => return Answer::held(),
            Some(_) => "pull,metadata_read\",error=\"insufficient_scope",
            None => "pull",
        };
        let challenge =
            format!("Bearer realm=\"{realm}\",service=\"x\",scope=\"repository:team/app:{more}\"");
        Answer::status(401).header("WWW-Authenticate", &challenge)
    });
    scene.upstream.on("*", "/v2/*", protected);
    scene.pull().await;
}

#[tokio::test]
async fn tokens_of_every_kind_and_life_are_used() {
    let day = Duration::from_hours(24);
    for (field, expires_in, jwt) in [
        (TokenField::Token, None, false),
        (TokenField::AccessToken, Some(60), false),
        (TokenField::Both, Some(0), true),
        (TokenField::AccessToken, None, true),
    ] {
        let answer = TokenAnswer {
            field,
            expires_in,
            jwt,
            lifetime: day,
        };
        let desk = TokenDesk::new().answers(answer);
        let scene = pulls(Protection::Bearer(desk.clone()), &[]).await;
        assert!(
            desk.issued() <= 2,
            "one to pull, one to list: {}",
            desk.issued()
        );
        drop(scene);
    }
}

#[tokio::test]
async fn a_token_that_dies_at_any_moment_is_not_seen_by_callers() {
    for expires_in in [None, Some(1), Some(60)] {
        let short = Duration::from_millis(200);
        let answer = TokenAnswer {
            expires_in,
            lifetime: short,
            ..TokenAnswer::default()
        };
        let desk = TokenDesk::new().answers(answer);
        let (upstream, _) = upstream().await;
        let image = image().random_layers(4, 6, 5000).build();
        upstream.hold(&image, REPOSITORY, &["many"]);
        upstream.protect(Protection::Bearer(desk.clone()));
        let cache = cache_of(&upstream, &[]).start().await;
        for layer in &image.blobs {
            assert_served(
                &get(&blob(&layer.digest)).send(&cache.host()).await,
                &layer.bytes,
            );
            tokio::time::sleep(short / 2).await;
        }
        assert!(desk.issued() >= 2);
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_between_two_layers_is_not_seen_by_callers() {
    let scene = Scene::new().await;
    let desk = TokenDesk::new();
    scene.upstream.protect(Protection::Bearer(desk.clone()));
    for layer in &scene.image.blobs {
        assert_served(&scene.get(&blob(&layer.digest)).await, &layer.bytes);
        desk.revoke_all();
    }
    assert_served(&scene.get(TAG_PATH).await, &scene.image.top().bytes);
    assert_eq!(desk.issued(), scene.image.blobs.len() + 1);
}

#[tokio::test]
async fn fifty_downloads_at_once_cost_one_token() {
    let upstream = ScriptedUpstream::start().await;
    let desk = TokenDesk::new();
    upstream.protect(Protection::Bearer(desk.clone()));
    let layers: Vec<Item> = (0..50).map(|seed| Item::random(seed, 2000)).collect();
    for layer in &layers {
        upstream.hold_blob(layer, REPOSITORY);
    }
    let cache = cache_of(&upstream, &[]).start().await;
    let mut callers = JoinSet::new();
    for layer in layers {
        let host = cache.host();
        callers.spawn(async move {
            let answer = get(&blob(&layer.digest)).send(&host).await;
            assert_served(&answer, &layer.bytes);
        });
    }
    callers.join_all().await;
    assert_eq!(desk.asked(), 1);
}

#[tokio::test]
async fn each_repository_has_its_own_token() {
    let (upstream, image) = upstream().await;
    upstream.hold(&image, "team/other", &[TAG]);
    let desk = TokenDesk::new();
    upstream.protect(Protection::Bearer(desk.clone()));
    let cache = cache_of(&upstream, &[]).start().await;
    for path in [TAG_PATH, "/v2/team/other/manifests/v1"] {
        assert_eq!(get(path).send(&cache.host()).await.status, 200);
    }
    let scopes = desk.scopes();
    assert_eq!(scopes.len(), 2, "{scopes:?}");
    assert!(scopes.iter().all(|scopes| scopes.len() == 1));
}

#[tokio::test]
async fn what_a_caller_shows_to_the_cache_is_never_shown_to_the_upstream() {
    for protection in [Protection::Open, Protection::Bearer(TokenDesk::new())] {
        let scene = Scene::new().await;
        scene.upstream.protect(protection);
        for path in [TAG_PATH, &scene.layer(), "/v2/team/app/tags/list"] {
            let answer = get(path)
                .basic("child", "childs-own-secret")
                .header("Cookie", "childs-own-cookie=1")
                .header("X-Forwarded-For", "10.1.2.3")
                .send(&scene.cache.host())
                .await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        for request in scene.upstream.requests() {
            let shown = format!("{:?}", request.headers);
            assert!(
                !shown.contains("childs-own") && !shown.contains("Y2hpbGQ6"),
                "{shown}"
            );
            assert!(
                request.header("Cookie").is_none() && request.header("X-Forwarded-For").is_none()
            );
            assert_eq!(
                request.header("Accept-Encoding"),
                Some("identity"),
                "{}",
                request.path
            );
        }
    }
}

#[tokio::test]
async fn refused_credentials_are_not_tried_again_and_again() {
    let wrong = [("PROXY_USERNAME", "cache"), ("PROXY_PASSWORD", "wrong")];
    let desk = TokenDesk::new().only_for("cache", "right");
    for protection in [
        Protection::basic("cache", "right"),
        Protection::Bearer(desk),
    ] {
        let scene = Scene::with(&wrong).await;
        scene.upstream.protect(protection);
        let answer = scene.get(TAG_PATH).await;
        assert_refused(
            &answer,
            403,
            "DENIED",
            &["refused this cache's credentials"],
        );
        let shown = scene.upstream.requests();
        let shown = shown
            .iter()
            .filter(|request| request.header("Authorization").is_some());
        assert!(shown.count() <= 2);
    }
}
