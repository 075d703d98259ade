//! `cistern images`, `warm`, `pin`, `unpin` and `purge`: an operator sees what children can pull without a link, and has images
//! fetched, kept and removed.

use std::path::Path;
use std::time::Duration;

use cistern_tests::caller::{Answered, get};
use cistern_tests::eventually;
use cistern_tests::images::{Image, image, index};
use cistern_tests::process::Ran;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use crate::common::kept;
use crate::scene::{REPOSITORY, SOON, Scene, blob, cache_of, manifest};
use crate::status::{cistern, store_of};

const IMAGE: &str = "team/app:v1";

/// Runs a command of the program against this server.
async fn command(cache: &Registry, words: &[&str]) -> Ran {
    let [option, store] = store_of(cache);
    cistern(&[words, &[option, store]].concat()).await
}

async fn page(cache: &Registry) -> Value {
    let text = command(cache, &["images", "--format", "json"]).await.well();
    serde_json::from_str(&text).unwrap()
}

/// What the page says of this image.
async fn line(cache: &Registry, name: &str) -> Value {
    let page = page(cache).await;
    let images = page["images"].as_array().unwrap();
    let line = images.iter().find(|line| line["image"] == name);
    line.cloned().unwrap_or_default()
}

/// One request on the socket; its status and its document.
async fn post(socket: &Path, path: &str, body: &Value) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: cistern\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn blob_bytes(image: &Image) -> u64 {
    image.blobs.iter().map(|item| item.bytes.len() as u64).sum()
}

#[tokio::test]
async fn an_image_goes_from_nothing_to_ready_and_its_missing_bytes_are_exact() {
    let scene = Scene::new().await;
    let told = command(&scene.cache, &["images"]).await.well();
    assert!(told.starts_with("no images are wanted"), "{told}");
    assert_eq!(page(&scene.cache).await["images"], json!([]));

    scene.get(&manifest("v1")).await;
    let all = blob_bytes(&scene.image);
    let known = line(&scene.cache, IMAGE).await;
    assert_eq!(
        (&known["state"], &known["named"]),
        (&json!("partial"), &json!(false))
    );
    assert_eq!(known["missing_bytes"], all, "{known}");
    assert_eq!(known["digest"], scene.image.digest());
    let mut missing = all;
    for item in &scene.image.blobs {
        scene.get(&blob(&item.digest)).await;
        kept(&scene.cache, &item.digest).await;
        missing -= item.bytes.len() as u64;
        assert_eq!(line(&scene.cache, IMAGE).await["missing_bytes"], missing);
    }
    let whole = line(&scene.cache, IMAGE).await;
    assert_eq!(
        (&whole["state"], &whole["offline_ready"]),
        (&json!("ready"), &json!(true))
    );
    assert_eq!(
        whole["total_bytes"],
        all + scene.image.top().bytes.len() as u64
    );
    assert!(whole["last_used"].is_string(), "{whole}");
    let told = command(&scene.cache, &["images", "--all"]).await.well();
    assert!(
        told.contains("cached besides: 1 image") && told.contains(IMAGE),
        "{told}"
    );
}

#[tokio::test]
async fn of_a_list_what_was_pulled_counts_and_not_what_is_for_other_machines() {
    let scene = Scene::new().await;
    let children = [
        image().random_layers(5, 1, 9000),
        image().platform("arm64", None).random_layers(6, 1, 9000),
    ];
    let list = index(&children);
    scene.upstream.hold(&list, REPOSITORY, &["list"]);
    let child = children[1].build();
    scene.get(&manifest("list")).await;
    scene.get(&manifest(child.digest())).await;
    for item in &child.blobs {
        scene.get(&blob(&item.digest)).await;
        kept(&scene.cache, &item.digest).await;
    }
    let line = line(&scene.cache, "team/app:list").await;
    assert_eq!(
        (&line["offline_ready"], &line["missing_bytes"]),
        (&json!(true), &json!(0))
    );
    let platforms = line["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 1, "{line}");
    assert_eq!(platforms[0]["platform"], "linux/arm64");
}

#[tokio::test]
async fn warm_fetches_an_image_over_a_slow_link_and_waits_until_it_can_be_pulled_offline() {
    let scene = Scene::new().await;
    let gate = Gate::new();
    let rule = Answer::held().stops_at(10_000, &gate);
    scene.upstream.on("GET", &scene.layer(), rule);
    let cache = &scene.cache;
    let open = async {
        gate.wait_reached(1, SOON).await;
        eventually("the bytes so far", SOON, || async {
            let line = line(cache, IMAGE).await;
            line["state"] == "fetching" && line["offline_ready"] == false
        })
        .await;
        gate.open();
    };
    let (ran, ()) = tokio::join!(command(cache, &["warm", IMAGE]), open);
    let told = ran.well();
    assert!(told.contains("team/app:v1 is here ("), "{told}");
    scene.upstream.stop().await;
    scene.pull().await;
}

#[tokio::test]
async fn warm_reads_a_deployment_manifest_and_says_of_each_image_how_it_went() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deployment.json");
    let module = |image: &str| json!({ "type": "docker", "settings": { "image": image } });
    let manifest = json!({ "modulesContent": { "$edgeAgent": { "properties.desired": {
        "schemaVersion": "1.1",
        "systemModules": { "edgeAgent": module("$upstream:443/team/app:v1") },
        "modules": { "none": module("$upstream:443/team/app:none") },
    } } } });
    std::fs::write(&file, manifest.to_string()).unwrap();
    let ran = command(
        &scene.cache,
        &["warm", "--manifest", file.to_str().unwrap()],
    )
    .await;
    let told = ran.badly();
    assert!(told.contains("$upstream:443/team/app:v1 is here"), "{told}");
    assert!(
        told.contains("error: $upstream:443/team/app:none: "),
        "{told}"
    );
}

#[tokio::test]
async fn warm_says_why_while_the_upstream_is_away_and_no_wait_does_not_wait() {
    let scene = Scene::new().await;
    scene.upstream.stop().await;
    let told = command(&scene.cache, &["warm", "--no-wait", IMAGE])
        .await
        .well();
    assert!(told.contains("is asked for"), "{told}");
    let refused = command(&scene.cache, &["warm", "Not/An:Image:at all"])
        .await
        .badly();
    assert!(refused.contains("Not/An:Image"), "{refused}");
    scene.upstream.start_again().await;
    eventually("the image", Duration::from_secs(60), || async {
        line(&scene.cache, IMAGE).await["offline_ready"] == true
    })
    .await;
}

#[tokio::test]
async fn a_hundred_wishes_for_one_image_are_one_download_of_each_blob() {
    let scene = Scene::new().await;
    let mut wishes = JoinSet::new();
    let socket = scene.cache.store().path().join("cistern/admin.sock");
    for _ in 0..100 {
        let socket = socket.clone();
        wishes.spawn(async move {
            let wish = json!({ "image": IMAGE });
            post(&socket, "/cistern/warm", &wish).await.0
        });
    }
    let statuses = wishes.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    eventually("the image", SOON, || async {
        line(&scene.cache, IMAGE).await["offline_ready"] == true
    })
    .await;
    for item in &scene.image.blobs {
        assert_eq!(scene.upstream.count("GET", &blob(&item.digest)), 1);
    }
}

#[tokio::test]
async fn a_pin_survives_a_restart_and_is_taken_back_once() {
    let mut scene = Scene::new().await;
    command(&scene.cache, &["pin", IMAGE]).await.well();
    scene.cache.restart().await;
    let pinned = line(&scene.cache, IMAGE).await;
    assert_eq!(
        (&pinned["pinned"], &pinned["origins"]),
        (&json!(true), &json!(["pin"]))
    );
    eventually("the image", SOON, || async {
        line(&scene.cache, IMAGE).await["offline_ready"] == true
    })
    .await;
    let refused = command(&scene.cache, &["purge", "--yes", IMAGE])
        .await
        .badly();
    assert!(
        refused.contains("pinned") && refused.contains("unpin it"),
        "{refused}"
    );
    let told = command(&scene.cache, &["unpin", IMAGE]).await.well();
    assert!(told.contains("is not pinned any more"), "{told}");
    let told = command(&scene.cache, &["unpin", IMAGE]).await.well();
    assert!(told.contains("was not pinned"), "{told}");
    assert_eq!(line(&scene.cache, IMAGE).await["pinned"], false);
}

#[tokio::test]
async fn purge_frees_an_image_and_keeps_what_others_share() {
    let (upstream, cache) = {
        let scene = Scene::new().await;
        (scene.upstream, scene.cache)
    };
    let (one, two) = (
        image()
            .random_layers(1, 1, 20_000)
            .random_layers(2, 1, 20_000)
            .build(),
        image()
            .random_layers(1, 1, 20_000)
            .random_layers(3, 1, 20_000)
            .build(),
    );
    for (image, tag) in [(&one, "one"), (&two, "two")] {
        upstream.hold(image, REPOSITORY, &[tag]);
        get(&manifest(tag)).send(&cache.host()).await;
        for item in &image.blobs {
            get(&blob(&item.digest)).send(&cache.host()).await;
            kept(&cache, &item.digest).await;
        }
    }
    let told = command(&cache, &["purge", "--yes", "team/app:one"])
        .await
        .well();
    assert!(
        told.contains("team/app:one is removed: 1 manifest"),
        "{told}"
    );
    upstream.stop().await;
    let asked = async |digest: &str| -> Answered { get(&blob(digest)).send(&cache.host()).await };
    for item in &two.blobs {
        assert_eq!(asked(&item.digest).await.status, 200, "a shared layer went");
    }
    let only = one
        .blobs
        .iter()
        .filter(|item| two.blobs.iter().all(|other| other.digest != item.digest));
    for item in only {
        assert_ne!(asked(&item.digest).await.status, 200, "{}", item.digest);
        let path = cache.store().path().join(format!(
            "docker/registry/v2/blobs/sha256/{}/{}/data",
            &item.digest[7..9],
            &item.digest[7..]
        ));
        assert!(!path.exists());
    }
    assert_eq!(line(&cache, "team/app:one").await, Value::Null);
    let again = command(&cache, &["purge", "--yes", "team/app:one"])
        .await
        .badly();
    assert!(again.contains("is not here"), "{again}");
}

#[tokio::test]
async fn nobody_is_purged_from_without_being_asked_and_hosted_images_never() {
    let scene = Scene::warm(&[("HOSTED_REPOSITORIES", "own/*")]).await;
    let refused = command(&scene.cache, &["purge", IMAGE]).await.badly();
    assert!(refused.contains("--yes"), "{refused}");
    let refused = command(&scene.cache, &["purge", "--yes", "own/app:v1"])
        .await
        .badly();
    assert!(refused.contains("hosted here"), "{refused}");
    assert_eq!(scene.get(&manifest("v1")).await.status, 200);
}

#[tokio::test]
async fn readiness_waits_for_a_bootstrap_set_that_is_required() {
    let (upstream, held) = crate::scene::upstream().await;
    let gate = Gate::new();
    let layer = blob(&held.largest_blob().digest);
    upstream.on("GET", &layer, Answer::held().stops_at(10_000, &gate));
    let settings = [("EDGE_BOOTSTRAP", IMAGE), ("EDGE_REQUIREBOOTSTRAP", "true")];
    let cache = cache_of(&upstream, &settings).start().await;
    gate.wait_reached(1, SOON).await;
    let ready = get("/readyz").send(&cache.host()).await;
    let wanted = json!({ "required": true, "ready": false, "missing": [IMAGE] });
    assert_eq!((ready.status, &ready.json()["bootstrap"]), (503, &wanted));
    assert_eq!(get("/healthz").send(&cache.host()).await.status, 200);
    let told = command(&cache, &["images"]).await.well();
    assert!(told.contains("not ready (edge.requirebootstrap)"), "{told}");
    gate.open();
    eventually("readiness", SOON, || async {
        get("/readyz").send(&cache.host()).await.status == 200
    })
    .await;
    let told = command(&cache, &["status"]).await.well();
    assert!(
        told.contains("warm       1 of 1 image ready, 1 pinned"),
        "{told}"
    );
}

#[tokio::test]
async fn who_stops_watching_stops_nothing() {
    let scene = Scene::new().await;
    let gate = Gate::new();
    scene.upstream.on(
        "GET",
        &scene.layer(),
        Answer::held().stops_at(10_000, &gate),
    );
    let folder = tempfile::tempdir().unwrap();
    let [option, store] = store_of(&scene.cache);
    let launch = cistern_tests::process::launch(
        cistern_tests::cistern::program(),
        folder.path(),
        ["warm", IMAGE, option, store],
    );
    let mut watching = cistern_tests::process::Process::start(&launch);
    gate.wait_reached(1, SOON).await;
    eventually("being told", SOON, || async {
        watching.log().contains("team/app:v1 is fetching")
    })
    .await;
    watching.signal(rustix::process::Signal::INT);
    let status = watching.wait(SOON).await.unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(
        watching.log().contains("the server goes on fetching"),
        "{}",
        watching.log()
    );
    gate.open();
    eventually("the image", SOON, || async {
        line(&scene.cache, IMAGE).await["offline_ready"] == true
    })
    .await;
}
