//! `cistern explain IMAGE`: the answer to "my device says that the image does not exist".

use cistern_tests::caller::get;
use cistern_tests::eventually;
use cistern_tests::images::{image, index};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate};
use serde_json::Value;

use crate::common::kept;
use crate::scene::{REPOSITORY, SOON, Scene, TAG_PATH, blob, cache_of, manifest, upstream};
use crate::status::{cistern, store_of};

const IMAGE: &str = "team/app:v1";

async fn explain(cache: &Registry, image: &str) -> String {
    let [option, store] = store_of(cache);
    cistern(&["explain", image, option, store]).await.well()
}

async fn document(cache: &Registry, image: &str) -> Value {
    let [option, store] = store_of(cache);
    let arguments = ["explain", image, option, store, "--format", "json"];
    let output = cistern(&arguments).await.well();
    serde_json::from_str(&output).unwrap()
}

#[track_caller]
fn assert_told(told: &str, all: &[&str]) {
    for words in all {
        assert!(told.contains(words), "{words:?} is not in\n{told}");
    }
}

#[tokio::test]
async fn an_image_that_is_here_is_explained_in_whatever_way_a_child_writes_its_name() {
    let scene = Scene::warm(&[]).await;
    for item in &scene.image.blobs {
        kept(&scene.cache, &item.digest).await;
    }
    let by_digest = format!("{REPOSITORY}@{}", scene.image.digest());
    let by_both = format!("parent:443/{IMAGE}@{}", scene.image.digest());
    for name in [
        IMAGE,
        "parent:443/team/app:v1",
        "$upstream:443/team/app:v1",
        &by_digest,
        &by_both,
    ] {
        let told = explain(&scene.cache, name).await;
        assert_told(
            &told,
            &[
                "from here at once",
                "Of the image everything is here: 3 blobs",
                "config  sha256:",
            ],
        );
    }
    let log = scene.cache.log();
    assert!(!log.contains("not mirrored here"), "{log}");
    let told = explain(&scene.cache, IMAGE).await;
    let host = scene.upstream.host();
    assert_told(
        &told,
        &[
            &format!("team/app:v1 (mirror of {host}/team/app)"),
            scene.image.digest(),
            &format!("{host} confirmed the tag "),
            &format!("The link to {host} is online since "),
            "that the tag means sha256:",
        ],
    );
    assert_eq!(scene.upstream.requests().len(), 0, "asking fetches nothing");
}

#[tokio::test]
async fn a_tag_that_is_due_for_a_check_is_told_so_and_a_lost_link_too() {
    let scene = Scene::warm(&[("PROXY_CHECKEVERY", "0s")]).await;
    let told = explain(&scene.cache, IMAGE).await;
    let host = scene.upstream.host();
    assert_told(
        &told,
        &[&format!(
            "{host} is asked first whether the tag still means"
        )],
    );
    scene.upstream.stop().await;
    scene.get(TAG_PATH).await;
    let told = explain(&scene.cache, IMAGE).await;
    assert_told(
        &told,
        &[
            "from here at once, marked as unconfirmed (`Warning: 299`), because",
            "could not be reached",
            "It is served unconfirmed since ",
            "What went wrong last: ",
        ],
    );
    assert_eq!(
        document(&scene.cache, IMAGE).await["outlook"],
        "unconfirmed"
    );
}

#[tokio::test]
async fn a_strict_tag_says_which_setting_refuses_it() {
    let settings = [("PROXY_CHECKEVERY", "0s"), ("PROXY_STRICT", "[team/*:v1]")];
    let scene = Scene::warm(&settings).await;
    assert_told(
        &explain(&scene.cache, IMAGE).await,
        &["told 503, because the tag is in proxy.strict"],
    );
    scene.upstream.stop().await;
    assert_eq!(scene.get(TAG_PATH).await.status, 503);
    let page = document(&scene.cache, IMAGE).await;
    assert!(
        page["answer"][0].as_str().unwrap().contains("proxy.strict"),
        "{page}"
    );
    assert_eq!(page["failures"][0]["status"], 503);
}

#[tokio::test]
async fn a_ticket_about_an_image_that_was_not_found_ends_with_the_id_of_the_request() {
    let scene = Scene::new().await;
    let path = manifest("v2");
    let refused = scene.get(&path).await;
    assert_eq!(refused.status, 404);
    let id = refused.header("X-Request-Id").unwrap().to_owned();
    let told = explain(&scene.cache, "parent:443/team/app:v2").await;
    let host = scene.upstream.host();
    assert_told(
        &told,
        &[
            "now is told 404: manifest v2 is not known",
            &format!("{host} has never named a manifest for this tag here"),
            &format!("{host} was asked for `v2` "),
            "Requests that failed",
            "404  GET manifest v2 by 127.0.0.1",
            &format!("request id {id}"),
        ],
    );
    assert!(scene.cache.log().contains(&id));
    // The same again counts, under the last request's id.
    let again = scene.get(&path).await;
    let page = document(&scene.cache, "team/app:v2").await;
    assert_eq!(page["failures"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["failures"][0]["times"], 2);
    assert_eq!(
        page["failures"][0]["request_id"],
        again.header("X-Request-Id").unwrap()
    );
    assert_eq!(
        (&page["outlook"], &page["status"]),
        (&"refused".into(), &404.into())
    );
}

#[tokio::test]
async fn each_blob_is_told_as_here_running_or_missing_with_its_bytes() {
    let scene = Scene::new().await;
    scene.get(TAG_PATH).await;
    let config = scene.image.blobs.iter().min_by_key(|item| item.bytes.len());
    scene.get(&blob(&config.unwrap().digest)).await;
    kept(&scene.cache, &config.unwrap().digest).await;
    let gate = Gate::new();
    let layer = scene.layer();
    scene
        .upstream
        .on("GET", &layer, Answer::held().stops_at(1_000, &gate));
    let (host, path) = (scene.cache.host(), layer.clone());
    let caller = tokio::spawn(async move { get(&path).send(&host).await });
    gate.wait_reached(1, SOON).await;
    let states = |page: &Value| -> Vec<String> {
        let blobs = page["platforms"][0]["blobs"].as_array().unwrap();
        let mut states: Vec<_> = blobs.iter().map(|blob| blob["state"].to_string()).collect();
        states.sort();
        states
    };
    eventually("three states", SOON, || async {
        let page = document(&scene.cache, IMAGE).await;
        states(&page) == ["\"here\"", "\"missing\"", "\"running\""]
    })
    .await;
    let told = explain(&scene.cache, IMAGE).await;
    assert_told(
        &told,
        &[
            "2 of 3 blobs are not all here",
            "being downloaded: ",
            "missing, 20",
        ],
    );
    gate.open();
    assert!(caller.await.unwrap().is_complete());
}

#[tokio::test]
async fn of_a_list_each_platform_is_told_and_one_can_be_chosen() {
    let (upstream, _) = upstream().await;
    let build = |seed, architecture| {
        image()
            .random_layers(seed, 1, 5_000)
            .platform(architecture, None)
    };
    let list = index(&[build(7, "amd64"), build(8, "arm64")]);
    upstream.hold(&list, REPOSITORY, &["list"]);
    let cache = cache_of(&upstream, &[]).start().await;
    get(&manifest("list")).send(&cache.host()).await;
    let page = document(&cache, "team/app:list").await;
    let platforms = page["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 2, "{page}");
    let arm = platforms[1]["digest"].as_str().unwrap();
    get(&manifest(arm)).send(&cache.host()).await;
    let [option, store] = store_of(&cache);
    let explain_for = async |platform: &str| {
        let arguments = [
            "explain",
            "team/app:list",
            "--platform",
            platform,
            option,
            store,
        ];
        cistern(&arguments).await.well()
    };
    let told = explain_for("linux/arm64").await;
    assert_told(
        &told,
        &[
            "Of linux/arm64 2 of 2 blobs are not all here",
            "when a child asks for them",
        ],
    );
    assert!(!told.contains("amd64"), "{told}");
    let told = explain_for("linux/s390x").await;
    assert_told(&told, &["names no image for linux/s390x"]);
    let told = explain(&cache, "team/app:list").await;
    assert_told(
        &told,
        &[
            "linux/amd64  sha256:",
            "manifest not here",
            "1 platform of its list is not here",
        ],
    );
}

#[tokio::test]
async fn of_an_image_that_nobody_asked_for_it_is_told_what_to_do_and_what_may_be_meant() {
    let scene = Scene::warm(&[]).await;
    let [option, store] = store_of(&scene.cache);
    let ran = cistern(&["explain", "team/apq:v1", option, store]).await;
    let told = ran.badly();
    let host = scene.upstream.host();
    assert_told(
        &told,
        &[
            &format!("{host} is asked, and the child gets what it answers"),
            "nothing is known of team/apq:v1 here",
            "pull it once through this cache",
            "There is a repository team/app here: is that meant?",
        ],
    );
    let told = cistern(&["explain", "Team/App:v1", option, store])
        .await
        .badly();
    assert_told(&told, &["`Team/App:v1` is no image: "]);
    assert_eq!(scene.upstream.requests().len(), 0, "asking fetches nothing");
}
