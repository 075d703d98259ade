//! Health, readiness, metrics, the admin socket, and the commands that ask for them.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use cistern_tests::caller::{Answered, get};
use cistern_tests::process::{Ran, launch, run};
use cistern_tests::registry::Registry;
use cistern_tests::{addresses, cistern};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::common::kept;
use crate::scene::{SOON, Scene, TAG_PATH, cache_of, upstream};

fn is_metrics(answer: &Answered) -> bool {
    answer.status == 200
        && answer.text().contains("cistern_requests_total")
        && answer.text().ends_with("# EOF\n")
}

#[tokio::test]
async fn health_is_about_this_process_and_its_store_and_not_about_the_upstream() {
    let scene = Scene::new().await;
    for is_up in [true, false] {
        if !is_up {
            scene.upstream.stop().await;
            assert_eq!(scene.get(TAG_PATH).await.status, 503);
        }
        let health = scene.get("/healthz").await;
        assert_eq!((health.status, health.text().as_str()), (200, "ok\n"));
        let ready = scene.get("/readyz").await;
        assert_eq!(ready.status, 200);
        let report = ready.json();
        assert_eq!(
            (&report["ready"], &report["store"]),
            (&true.into(), &"ok".into())
        );
        assert_eq!(report["upstreams"][0]["upstream"], scene.upstream.host());
        assert_eq!(report["upstreams"][0]["degraded"], !is_up, "{report}");
    }
}

#[tokio::test]
async fn a_store_that_is_gone_is_no_health() {
    let mut scene = Scene::new().await;
    assert_eq!(scene.get("/healthz").await.status, 200);
    let root = scene.cache.store().path().to_owned();
    let aside = root.with_extension("aside");
    std::fs::rename(&root, &aside).unwrap();
    std::fs::write(&root, "no folder").unwrap();
    cistern_tests::eventually("being unwell", SOON, || async {
        scene.get("/healthz").await.status == 503 && scene.get("/readyz").await.status == 503
    })
    .await;
    let ran = healthcheck(&scene.cache, &["healthcheck"]).await;
    assert!(!ran.success && ran.output.contains("503"), "{}", ran.output);
    scene.cache.kill();
    std::fs::remove_file(&root).unwrap();
    std::fs::rename(&aside, &root).unwrap();
}

#[tokio::test]
async fn metrics_are_nowhere_unless_asked_for() {
    let scene = Scene::new().await;
    let answer = scene.get("/metrics").await;
    assert_eq!(answer.status, 404);
    for way in [
        "REGISTRY_HTTP_DEBUG_ADDR",
        "REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED",
    ] {
        assert!(answer.text().contains(way), "{}", answer.text());
    }
}

#[tokio::test]
async fn metrics_are_on_the_main_address_if_asked_for() {
    let scene = Scene::with(&[("HTTP_DEBUG_PROMETHEUS_ENABLED", "true")]).await;
    let answer = scene.get("/metrics").await;
    assert!(is_metrics(&answer), "{}", answer.text());
    assert!(
        answer
            .header("Content-Type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    let path = [
        ("HTTP_DEBUG_PROMETHEUS_ENABLED", "true"),
        ("HTTP_DEBUG_PROMETHEUS_PATH", "/numbers"),
    ];
    let scene = Scene::with(&path).await;
    assert!(is_metrics(&scene.get("/numbers").await));
    assert_eq!(scene.get("/metrics").await.status, 404);
}

#[tokio::test]
async fn metrics_are_on_the_debug_address_if_there_is_one() {
    let debug = addresses::free().to_string();
    for enabled in [None, Some("true")] {
        let mut settings = vec![("HTTP_DEBUG_ADDR", &*debug)];
        settings.extend(enabled.map(|enabled| ("HTTP_DEBUG_PROMETHEUS_ENABLED", enabled)));
        let scene = Scene::with(&settings).await;
        let here = scene.get("/metrics").await;
        assert_eq!(here.status, 404);
        assert!(
            here.text().contains("on http.debug.addr"),
            "{}",
            here.text()
        );
        for path in ["/healthz", "/readyz"] {
            assert_eq!(get(path).send(&debug).await.status, 200, "{path}");
        }
        assert!(is_metrics(&get("/metrics").send(&debug).await));
        assert_eq!(
            get(TAG_PATH).send(&debug).await.status,
            404,
            "no registry there"
        );
    }
    let off = [
        ("HTTP_DEBUG_ADDR", &*debug),
        ("HTTP_DEBUG_PROMETHEUS_ENABLED", "false"),
    ];
    let scene = Scene::with(&off).await;
    assert_eq!(get("/healthz").send(&debug).await.status, 200);
    assert_eq!(get("/metrics").send(&debug).await.status, 404);
    drop(scene);
}

#[tokio::test]
async fn requests_are_counted_by_how_they_were_served() {
    let scene = Scene::with(&[("HTTP_DEBUG_PROMETHEUS_ENABLED", "true")]).await;
    scene.get(&scene.layer()).await;
    // Until it is in the store, a further caller joins the download.
    kept(&scene.cache, &scene.image.largest_blob().digest).await;
    for _ in 0..2 {
        scene.get(&scene.layer()).await;
    }
    let counted = |page: &str, line: &str| page.lines().any(|found| found == line);
    cistern_tests::eventually("the counts", SOON, || async {
        let page = scene.get("/metrics").await.text();
        counted(
            &page,
            r#"cistern_requests_total{action="blob_get",status="200",served="miss"} 1"#,
        ) && counted(
            &page,
            r#"cistern_requests_total{action="blob_get",status="200",served="hit"} 2"#,
        )
    })
    .await;
}

#[tokio::test]
async fn the_admin_socket_is_for_its_owner_only_and_is_no_registry() {
    let scene = Scene::new().await;
    let socket = scene.cache.store().path().join("cistern/admin.sock");
    let facts = std::fs::metadata(&socket).unwrap();
    assert!(facts.file_type().is_socket());
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);
    let ask = async |path: &str| {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: cistern\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(ask("/healthz").await.starts_with("HTTP/1.1 200 "));
    assert!(ask("/metrics").await.contains("cistern_requests_total"));
    assert!(ask(TAG_PATH).await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_no_obstacle() {
    let mut scene = Scene::new().await;
    scene.cache.kill();
    assert!(
        scene
            .cache
            .store()
            .path()
            .join("cistern/admin.sock")
            .exists()
    );
    scene.cache.start().await;
    let socket = scene.cache.store().path().join("cistern/admin.sock");
    assert!(UnixStream::connect(&socket).await.is_ok());
}

/// Runs the program with the environment of this registry.
async fn healthcheck(cache: &Registry, arguments: &[&str]) -> Ran {
    let address = cache.host();
    command(&[("REGISTRY_HTTP_ADDR", &address)], arguments).await
}

async fn command(environment: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let mut launch = launch(
        cistern::program(),
        Path::new(folder.path()),
        arguments.iter().copied(),
    );
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    launch.environment = environment.collect();
    run(&launch, SOON).await
}

#[tokio::test]
async fn the_health_check_succeeds_for_a_server_that_runs_and_fails_for_one_that_does_not() {
    let mut scene = Scene::new().await;
    scene.upstream.stop().await;
    let output = healthcheck(&scene.cache, &["healthcheck"]).await.well();
    assert!(output.starts_with("healthy: "), "{output}");
    let url = format!("{}/healthz", scene.cache.url());
    command(&[], &["healthcheck", "--url", &url]).await.well();
    command(
        &[],
        &[
            "healthcheck",
            "--url",
            &format!("{}/nothing", scene.cache.url()),
        ],
    )
    .await
    .badly();
    scene.cache.stop().await;
    let output = healthcheck(&scene.cache, &["healthcheck"]).await.badly();
    assert!(
        output.starts_with("unhealthy: ") && output.contains(&scene.cache.host()),
        "{output}"
    );
}

#[tokio::test]
async fn the_health_check_gives_up_on_a_server_that_says_nothing() {
    let (upstream, _) = upstream().await;
    upstream.black_hole(true);
    let ran = command(
        &[("REGISTRY_HTTP_ADDR", &upstream.host())],
        &["healthcheck"],
    )
    .await;
    assert!(ran.duration < Duration::from_secs(10));
    assert!(ran.badly().contains("did not answer"));
}

#[tokio::test]
async fn the_health_check_finds_the_server_of_a_configuration_file() {
    let (upstream, _) = upstream().await;
    let cache = cache_of(&upstream, &[]).start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    // What else is wrong with the file is not the health check's affair.
    let text = format!(
        "version: 0.1\nhttp:\n  addr: {}\nauth:\n  htpasswd:\n    path: /x\n",
        cache.host()
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    command(&[], &["healthcheck", file]).await.well();
    command(&[("REGISTRY_CONFIGURATION_PATH", file)], &["healthcheck"])
        .await
        .well();
}

#[tokio::test]
async fn the_program_tells_its_version() {
    for arguments in [&["version"], &["--version"], &["-v"]] {
        let output = command(&[], arguments).await.well();
        let (name, version) = output.trim().split_once(' ').unwrap();
        assert_eq!(name, "cistern");
        assert_eq!(version.split('.').count(), 3, "{version}");
    }
}
