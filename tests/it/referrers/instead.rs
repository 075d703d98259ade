//! What is answered where the upstream has no list of referrers, or cannot be asked for it.

use cistern_tests::eventually;
use cistern_tests::images::{Algorithm, Item, digest, referring_artifact};
use cistern_tests::scripted_upstream::{Answer, ScriptedUpstream};
use serde_json::Value;

use super::{
    ALWAYS, QUESTIONS, SBOM, SIGNATURE, answer, descriptor, hold_under_tag, listed, many, path,
    with_list,
};
use crate::scene::{REPOSITORY, SOON, Scene, assert_refused, is_stale, manifest};

#[tokio::test]
async fn where_the_upstream_has_no_such_api_the_fallback_tag_is_read() {
    let other = ScriptedUpstream::start().await;
    let elsewhere = Answer::redirect(303, &other.url_of("/-/v2/packages/x"));
    let html = Answer::body(200, "text/html", "<html>");
    for refusal in [
        Answer::status(404),
        Answer::status(406),
        Answer::status(400),
        Answer::status(405),
        elsewhere,
        html,
        Answer::body(200, "application/json", "{}"),
    ] {
        let scene = Scene::new().await;
        let subject = scene.image.digest().to_owned();
        scene.upstream.on("GET", QUESTIONS, refusal);
        let tag = hold_under_tag(&scene.upstream, &subject, &many(3));
        for _ in 0..2 {
            let answer = scene.get(&path(&subject)).await;
            assert_eq!(listed(&answer), many(3));
            assert!(!is_stale(&answer));
        }
        assert_eq!(scene.upstream.count("GET", QUESTIONS), 1);
        assert_eq!(scene.upstream.count("HEAD", &manifest(&tag)), 1);
        let filtered = scene
            .get(&format!("{}?artifactType={SBOM}", path(&subject)))
            .await;
        assert_eq!(listed(&filtered).len(), 1);
    }
    assert_eq!(other.requests().len(), 0, "nobody is asked on another host");
}

#[tokio::test]
async fn the_fallback_tag_of_a_long_digest_is_cut() {
    let scene = Scene::new().await;
    let subject = digest(Algorithm::Sha512, b"subject");
    hold_under_tag(&scene.upstream, &subject, &many(2));
    assert_eq!(listed(&scene.get(&path(&subject)).await), many(2));
}

#[tokio::test]
async fn nothing_anywhere_is_an_empty_list_that_is_remembered() {
    let scene = Scene::warm(&[]).await;
    let unknown = Item::random(3, 10).digest;
    for (path, questions) in [
        (path(scene.image.digest()), 3),
        (path(&unknown), 3),
        (format!("/v2/team/unknown/referrers/{unknown}"), 3),
    ] {
        scene.upstream.forget_requests();
        for _ in 0..4 {
            let answer = scene.get(&path).await;
            assert_eq!(listed(&answer), Vec::<Value>::new());
            assert!(!is_stale(&answer));
        }
        // The API, then HEAD and GET of the tag.
        assert_eq!(scene.upstream.requests().len(), questions, "{path}");
    }
}

#[tokio::test]
async fn that_the_upstreams_list_is_empty_is_remembered_even_when_it_is_asked_every_time() {
    let (scene, path) = with_list(ALWAYS, &[]).await;
    for _ in 0..3 {
        assert_eq!(listed(&scene.get(&path).await), Vec::<Value>::new());
    }
    assert_eq!(scene.upstream.requests().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_limits_or_fails_has_not_said_that_there_is_nothing() {
    for status in [429, 500, 502, 503] {
        let scene = Scene::warm(ALWAYS).await;
        let path = path(scene.image.digest());
        let answered = match status {
            // A pause of a second, for all questions.
            429 => Answer::status(429).header("Retry-After", "1"),
            _ => Answer::status(status),
        };
        let rule = scene.upstream.on("GET", &path, answered);
        let refused = scene.get(&path).await;
        assert_refused(
            &refused,
            503,
            "UNAVAILABLE",
            &[&scene.upstream.host(), &status.to_string()],
        );
        assert!(refused.header("Retry-After").is_some());
        assert_eq!(
            scene.upstream.count("*", "/v2/*/manifests/*"),
            0,
            "the tag proves nothing then"
        );
        // A storm is one question.
        let before = scene.upstream.requests().len();
        scene.get(&path).await;
        assert_eq!(scene.upstream.requests().len(), before);
        rule.remove();

        let other = Item::random(4, 10).digest;
        let rule = scene
            .upstream
            .on("GET", &self::path(&other), answer(&many(2)));
        let other = self::path(&other);
        eventually("a list", SOON, || async {
            scene.get(&other).await.status == 200
        })
        .await;
        assert_eq!(listed(&scene.get(&other).await), many(2));
        rule.remove();
        scene.upstream.on("GET", QUESTIONS, Answer::status(status));
        let stale = scene.get(&other).await;
        assert_eq!(listed(&stale), many(2));
        assert!(is_stale(&stale), "{status}");
    }
}

#[tokio::test]
async fn the_last_list_is_served_with_a_warning_while_the_upstream_is_away_and_after_a_restart() {
    let mut scene = Scene::warm(ALWAYS).await;
    let by_api = path(scene.image.digest());
    scene.upstream.on("GET", &by_api, answer(&many(4)));
    let tagged = Item::random(5, 10).digest;
    hold_under_tag(&scene.upstream, &tagged, &many(2));
    assert_eq!(listed(&scene.get(&by_api).await), many(4));
    assert_eq!(listed(&scene.get(&path(&tagged)).await), many(2));
    scene.upstream.stop().await;
    for _ in 0..2 {
        for (path, expected) in [(by_api.clone(), many(4)), (path(&tagged), many(2))] {
            let answer = scene.get(&format!("{path}?n=100")).await;
            assert_eq!(listed(&answer), expected);
            assert!(is_stale(&answer));
        }
        scene.cache.restart().await;
    }
    scene.upstream.start_again().await;
    eventually("listing afresh", SOON, || async {
        !is_stale(&scene.get(&by_api).await)
    })
    .await;
}

#[tokio::test]
async fn that_a_manifest_has_no_referrers_is_known_without_the_upstream_too() {
    let mut scene = Scene::warm(&[]).await;
    let known = path(scene.image.digest());
    assert_eq!(listed(&scene.get(&known).await), Vec::<Value>::new());
    scene.upstream.stop().await;
    scene.cache.restart().await;
    let answer = scene.get(&known).await;
    assert_eq!(listed(&answer), Vec::<Value>::new());
    assert!(is_stale(&answer));
    let stranger = scene.get(&path(&Item::random(6, 10).digest)).await;
    assert_refused(&stranger, 503, "UNAVAILABLE", &[&scene.upstream.host()]);
}

#[tokio::test]
async fn without_any_list_the_referrers_that_are_held_are_listed_with_a_warning() {
    let scene = Scene::warm(&[]).await;
    let signature = referring_artifact(SIGNATURE, "signed", scene.image.top());
    scene.upstream.hold(&signature, REPOSITORY, &[]);
    assert_eq!(scene.get(&manifest(signature.digest())).await.status, 200);
    scene.upstream.stop().await;
    let answer = scene.get(&path(scene.image.digest())).await;
    assert_eq!(listed(&answer), [descriptor(signature.top(), SIGNATURE)]);
    assert!(is_stale(&answer));
}

#[tokio::test]
async fn of_a_list_that_is_gone_upstream_the_last_one_stays_unless_the_operator_wants_it_otherwise()
{
    for (policy, expected) in [("keep", many(3)), ("follow", Vec::new())] {
        let settings = [("PROXY_CHECKEVERY", "0s"), ("PROXY_WHENGONE", policy)];
        let scene = Scene::with(&settings).await;
        let by_api = path(scene.image.digest());
        let rule = scene.upstream.on("GET", &by_api, answer(&many(3)));
        let tagged = Item::random(7, 10).digest;
        let tag = hold_under_tag(&scene.upstream, &tagged, &many(3));
        assert_eq!(listed(&scene.get(&by_api).await), many(3));
        assert_eq!(listed(&scene.get(&path(&tagged)).await), many(3));
        rule.remove();
        scene.upstream.set_tag(REPOSITORY, &tag, None);
        for path in [&by_api, &path(&tagged)] {
            for _ in 0..2 {
                let answer = scene.get(path).await;
                assert_eq!(listed(&answer), expected, "{policy}");
                assert_eq!(is_stale(&answer), policy == "keep");
            }
        }
    }
}
