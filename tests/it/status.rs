//! `cistern status`: an operator at a gateway sees how its server is, and whoever asks in vain is told what to do.

use std::path::Path;

use cistern_tests::caller::get;
use cistern_tests::process::{Ran, launch, run};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate};
use cistern_tests::{addresses, cistern, eventually};
use serde_json::Value;

use crate::common::{MIB, chain_with_blob};
use crate::scene::{REPOSITORY, SOON, Scene, TAG_PATH, is_stale};

/// Runs the program with these arguments and no environment.
pub(crate) async fn cistern(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let arguments = arguments.iter().copied();
    let launch = launch(cistern::program(), Path::new(folder.path()), arguments);
    run(&launch, SOON).await
}

/// `--store` and where this server's is.
pub(crate) fn store_of(cache: &Registry) -> [&str; 2] {
    ["--store", cache.store().path().to_str().unwrap()]
}

async fn status(cache: &Registry) -> String {
    let [option, store] = store_of(cache);
    cistern(&["status", option, store]).await.well()
}

async fn document(cache: &Registry) -> Value {
    let [option, store] = store_of(cache);
    let arguments = ["status", option, store, "--format", "json"];
    let output = cistern(&arguments).await.well();
    serde_json::from_str(&output).unwrap()
}

#[tokio::test]
async fn the_status_of_a_quiet_server_tells_its_link_its_rate_and_its_room() {
    let scene = Scene::with(&[
        ("PROXY_RATE", "2MB"),
        ("PROXY_RATEWINDOWS", "[00:00-24:00 500kB]"),
    ])
    .await;
    let told = status(&scene.cache).await;
    let online = format!("{} is online", scene.upstream.host());
    let store = scene.cache.store().path().display().to_string();
    for words in [
        &*online,
        "500 kB/s, by the window mon+tue+wed+thu+fri+sat+sun 00:00-24:00",
        &store,
        "no tag is served unconfirmed",
        "downloads  none",
    ] {
        assert!(told.contains(words), "{words} is not in\n{told}");
    }
    let page = document(&scene.cache).await;
    assert_eq!(page["link"]["bytes_per_second"], 500_000, "{page}");
    assert_eq!(page["store_state"], "ok");
    assert!(page["room"]["total"].as_u64().unwrap() > 0);
    assert_eq!(scene.upstream.requests().len(), 0, "asking fetches nothing");
}

#[tokio::test]
async fn a_running_download_is_in_the_status_with_its_bytes_and_its_callers() {
    let (upstream, cache, blob, path) = chain_with_blob(1, 2 * MIB).await;
    let gate = Gate::new();
    upstream.on("GET", &path, Answer::held().stops_at(MIB, &gate));
    let mut callers = Vec::new();
    for _ in 0..3 {
        let mut opened = get(&path).open(&cache.host()).await.unwrap();
        opened.read(1).await;
        callers.push(opened);
    }
    eventually("the bytes so far", SOON, || async {
        let told = status(&cache).await;
        told.contains("1.04 MB of 2.09 MB (50 %), 3 callers") && told.contains(REPOSITORY)
    })
    .await;
    let page = document(&cache).await;
    assert_eq!(page["downloads"][0]["digest"], blob.digest, "{page}");
    assert_eq!(page["downloads"][0]["state"], "running");
    gate.open();
    for opened in callers {
        assert!(opened.finish().await.is_complete());
    }
    eventually("the end", SOON, || async {
        status(&cache).await.contains("downloads  none")
    })
    .await;
}

#[tokio::test]
async fn a_roll_out_that_is_frozen_by_a_lost_link_is_in_the_status() {
    let scene = Scene::warm(&[("PROXY_CHECKEVERY", "0s")]).await;
    scene.upstream.stop().await;
    assert!(is_stale(&scene.get(TAG_PATH).await));
    let told = status(&scene.cache).await;
    assert!(told.contains("last error: "), "{told}");
    assert!(!told.contains("is online"), "{told}");
    assert!(
        told.contains("stale      1 tag served unconfirmed"),
        "{told}"
    );
    assert!(told.contains("team/app:v1  sha256:"), "{told}");
    let page = document(&scene.cache).await;
    let tag = &page["stale_tags"][0];
    assert_eq!(tag["digest"], scene.image.digest(), "{page}");
    assert!(!tag["why"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn who_asks_where_no_server_runs_is_told_what_to_do() {
    let mut scene = Scene::new().await;
    let nowhere = tempfile::tempdir().unwrap();
    let empty = nowhere.path().to_str().unwrap();
    let missing = nowhere.path().join("missing");
    let missing = missing.to_str().unwrap();
    for (store, wanted) in [
        (missing, "there is no store at "),
        (empty, "no server is running"),
    ] {
        let told = cistern(&["status", "--store", store]).await.badly();
        assert!(
            told.contains(wanted) && told.contains("cistern status FILE"),
            "{told}"
        );
        let told = cistern(&["explain", "team/app:v1", "--store", store])
            .await
            .badly();
        assert!(told.contains(wanted), "{told}");
    }
    scene.cache.kill();
    let [option, store] = store_of(&scene.cache);
    let told = cistern(&["status", option, store]).await.badly();
    assert!(told.contains("its socket is left over"), "{told}");
    let told = cistern(&["status", "/no/such/config.yml"]).await.badly();
    assert!(told.contains("/no/such/config.yml"), "{told}");
}

#[tokio::test]
async fn the_server_is_found_by_the_configuration_it_was_started_with() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    let root = scene.cache.store().path().display();
    // What else is wrong with the file is not this command's affair.
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {root}\nauth:\n  htpasswd:\n    path: /x\n"
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let told = cistern(&["status", file]).await.well();
    assert!(told.starts_with("cistern "), "{told}");
}

#[tokio::test]
async fn the_pages_are_on_the_socket_only() {
    let debug = addresses::free().to_string();
    let scene = Scene::with(&[("HTTP_DEBUG_ADDR", &debug)]).await;
    for page in ["/cistern/status", "/cistern/explain?image=team/app:v1"] {
        assert_eq!(scene.get(page).await.status, 404);
        assert_eq!(get(page).send(&debug).await.status, 404);
    }
}
