//! The log: one line per request and per download, from which an operator can tell who got what from where.

use cistern_tests::caller::{Call, get, head};
use cistern_tests::eventually;
use cistern_tests::images::Item;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate};
use serde_json::Value;

use crate::common::kept;
use crate::scene::{REPOSITORY, SOON, Scene, TAG_PATH, blob, manifest};

const JSON: (&str, &str) = ("LOG_FORMATTER", "json");

/// All lines of a log in JSON, each of which must be an object.
fn lines(cache: &Registry) -> Vec<Value> {
    let log = cache.log();
    let parse = |line: &str| {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            value["timestamp"].is_string()
                && value["level"].is_string()
                && value["message"].is_string(),
            "{line}"
        );
        value
    };
    // The last may still be on its way.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    whole.lines().map(parse).collect()
}

/// The line of the request with this id, once it is there.
async fn line_of(cache: &Registry, id: &str) -> Value {
    line_where(cache, |line| line["request_id"] == id).await
}

/// The first line for which this is true, once there is one.
async fn line_where(cache: &Registry, is_it: impl Fn(&Value) -> bool) -> Value {
    let find = || lines(cache).into_iter().find(&is_it);
    eventually("the line", SOON, || async { find().is_some() }).await;
    find().unwrap()
}

/// Sends a call and finds its line.
async fn logged(cache: &Registry, call: Call) -> Value {
    let answer = call.send(&cache.host()).await;
    let id = answer.header("X-Request-Id").unwrap().to_owned();
    line_of(cache, &id).await
}

#[tokio::test]
async fn the_line_of_a_request_says_what_was_asked_and_what_was_served() {
    let scene = Scene::with(&[JSON]).await;
    let by_tag = logged(
        &scene.cache,
        get(TAG_PATH).header("User-Agent", "containerd/2.3"),
    )
    .await;
    assert_eq!(by_tag["repository"], REPOSITORY);
    assert_eq!(by_tag["reference"], "v1");
    assert_eq!(by_tag["digest"], scene.image.digest());
    assert_eq!(by_tag["status"], 200);
    assert_eq!(by_tag["bytes"], scene.image.top().bytes.len());
    assert_eq!(by_tag["user_agent"], "containerd/2.3");
    assert_eq!(by_tag["message"], format!("GET {TAG_PATH} 200"));
    assert!(
        by_tag["duration_ms"].is_number() && by_tag["caller"].as_str().unwrap().starts_with("127.")
    );
    let layer = scene.image.largest_blob();
    let part = logged(&scene.cache, get(&scene.layer()).range("bytes=0-99")).await;
    assert_eq!(
        (&part["status"], &part["bytes"]),
        (&206.into(), &100.into())
    );
    assert_eq!(
        (&part["reference"], &part["digest"]),
        (&(*layer.digest).into(), &(*layer.digest).into())
    );
    let unread = logged(&scene.cache, head(&scene.layer())).await;
    assert_eq!(
        (&unread["status"], &unread["bytes"]),
        (&200.into(), &0.into())
    );
    let listed = logged(&scene.cache, get("/v2/team/app/tags/list")).await;
    assert_eq!(
        (&listed["repository"], &listed["status"]),
        (&REPOSITORY.into(), &200.into())
    );
}

#[tokio::test]
async fn the_line_of_a_request_says_how_it_was_served() {
    let settings = [JSON, ("PROXY_CHECKEVERY", "0s")];
    let scene = Scene::with(&settings).await;
    let served = async |call: Call| {
        logged(&scene.cache, call).await["served"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let by_digest = manifest(scene.image.digest());
    assert_eq!(served(get(&by_digest)).await, "miss");
    assert_eq!(served(get(&by_digest)).await, "hit");
    assert_eq!(served(get(&scene.layer())).await, "miss");
    kept(&scene.cache, &scene.image.largest_blob().digest).await;
    assert_eq!(served(get(&scene.layer())).await, "hit");
    assert_eq!(served(get(TAG_PATH)).await, "miss");
    assert_eq!(served(get(TAG_PATH)).await, "hit");
    assert_eq!(served(get(&manifest("none"))).await, "refused");
    assert_eq!(served(get(&manifest(".bad"))).await, "refused");
    scene.upstream.stop().await;
    assert_eq!(served(get(TAG_PATH)).await, "stale");
}

#[tokio::test]
async fn who_joins_a_download_is_logged_as_joined() {
    let scene = Scene::with(&[JSON]).await;
    let (layer, gate) = (Item::random(8, 300_000), Gate::new());
    scene.upstream.hold_blob(&layer, REPOSITORY);
    let path = blob(&layer.digest);
    scene
        .upstream
        .on("GET", &path, Answer::held().stops_at(200_000, &gate));
    let first = get(&path).open(&scene.cache.host()).await.unwrap();
    let second = get(&path).open(&scene.cache.host()).await.unwrap();
    let ids = [&first, &second].map(|opened| opened.header("X-Request-Id").unwrap().to_owned());
    gate.open();
    let (first, second) = tokio::join!(first.finish(), second.finish());
    assert!(first.body == layer.bytes && second.body == layer.bytes);
    let mut served = Vec::new();
    for id in &ids {
        served.push(line_of(&scene.cache, id).await["served"].clone());
    }
    assert_eq!(served, ["miss", "joined"]);
}

#[tokio::test]
async fn a_caller_that_leaves_is_logged_with_what_it_got() {
    let scene = Scene::with(&[JSON]).await;
    let layer = Item::random(8, 8 << 20);
    scene.upstream.hold_blob(&layer, REPOSITORY);
    let path = blob(&layer.digest);
    let mut opened = get(&path).open(&scene.cache.host()).await.unwrap();
    let id = opened.header("X-Request-Id").unwrap().to_owned();
    opened.read(100_000).await;
    drop(opened);
    let line = line_of(&scene.cache, &id).await;
    assert_eq!(line["end"], "cancelled");
    let bytes = line["bytes"].as_u64().unwrap();
    assert!((100_000..8 << 20).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_body_that_broke_is_logged_as_broken_with_its_cause() {
    let scene = Scene::with(&[JSON]).await;
    scene
        .upstream
        .on("GET", &scene.layer(), Answer::held().flips(10));
    let line = logged(&scene.cache, get(&scene.layer())).await;
    assert_eq!(
        (&line["status"], &line["end"]),
        (&200.into(), &"error".into()),
        "{line}"
    );
    assert!(
        line["failure"]
            .as_str()
            .is_some_and(|failure| !failure.is_empty()),
        "{line}"
    );
}

#[tokio::test]
async fn the_user_name_that_was_offered_is_logged_and_the_password_is_not() {
    let scene = Scene::with(&[JSON, ("LOG_LEVEL", "debug")]).await;
    let line = logged(
        &scene.cache,
        get(TAG_PATH).basic("child-7", "tip:top secret"),
    )
    .await;
    assert_eq!(line["user"], "child-7");
    let bearer = get(TAG_PATH).header("Authorization", "Bearer very.secret.token");
    assert_eq!(logged(&scene.cache, bearer).await["user"], Value::Null);
    let log = scene.cache.log();
    for secret in [
        "tip:top",
        "Y2hpbGQtNzp0aXA6dG9wIHNlY3JldA",
        "very.secret.token",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn forwarded_addresses_are_believed_from_trusted_proxies_only() {
    let forwarded = |list: &str| get(TAG_PATH).header("X-Forwarded-For", list);
    let plain = Scene::with(&[JSON]).await;
    let line = logged(&plain.cache, forwarded("203.0.113.9")).await;
    assert_ne!(line["caller"], "203.0.113.9");
    let elsewhere = Scene::with(&[JSON, ("HTTP_TRUSTEDPROXIES", "[10.0.0.0/8]")]).await;
    let line = logged(&elsewhere.cache, forwarded("203.0.113.9")).await;
    assert_ne!(line["caller"], "203.0.113.9");
    let trusting = Scene::with(&[JSON, ("HTTP_TRUSTEDPROXIES", "[127.0.0.0/8, 10.0.0.0/8]")]).await;
    for (list, caller) in [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.1.1.1", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 10.1.1.1", "203.0.113.9"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
    ] {
        assert_eq!(
            logged(&trusting.cache, forwarded(list)).await["caller"],
            caller,
            "{list}"
        );
    }
}

#[tokio::test]
async fn a_request_is_named_alike_in_its_answer_and_in_the_log() {
    let scene = Scene::with(&[JSON]).await;
    let given = get(TAG_PATH).header("X-Request-Id", "edge-7/42:a");
    assert_eq!(
        logged(&scene.cache, given).await["request_id"],
        "edge-7/42:a"
    );
    let long = "x".repeat(200);
    for bad in ["with space", "quote\"d", &long, "semi;colon"] {
        let answer = get(TAG_PATH)
            .header("X-Request-Id", bad)
            .send(&scene.cache.host())
            .await;
        let id = answer.header("X-Request-Id").unwrap();
        assert!(id != bad && !id.is_empty(), "{bad}");
        assert_eq!(line_of(&scene.cache, id).await["status"], 200);
    }
    let refused = scene.get(&manifest("none")).await;
    let id = refused.header("X-Request-Id").unwrap();
    assert_eq!(line_of(&scene.cache, id).await["status"], 404);
}

#[tokio::test]
async fn a_registry_that_is_not_mirrored_is_named_with_the_setting_that_would_accept_it() {
    let scene = Scene::with(&[JSON]).await;
    let path = format!("{TAG_PATH}?ns=quay.example");
    for _ in 0..2 {
        let line = logged(&scene.cache, get(&path)).await;
        assert_eq!(
            (&line["status"], &line["ns"]),
            (&404.into(), &"quay.example".into())
        );
    }
    let told = |line: &Value| line["level"] == "WARN" && line["ns"] == "quay.example";
    let warned = line_where(&scene.cache, told).await;
    assert!(
        warned["message"]
            .as_str()
            .is_some_and(|message| message.contains("proxy.aliases")),
        "{warned}"
    );
    let warnings = lines(&scene.cache).into_iter().filter(told).count();
    assert_eq!(warnings, 1);
    let own = logged(&scene.cache, get(TAG_PATH)).await;
    assert_eq!(own["ns"], Value::Null);
}

#[tokio::test]
async fn a_download_has_a_line_of_its_own() {
    let scene = Scene::with(&[JSON]).await;
    scene.pull().await;
    let layer = scene.image.largest_blob();
    let line = line_where(&scene.cache, |line| {
        line["message"] == "blob downloaded" && line["digest"] == *layer.digest
    })
    .await;
    assert_eq!(line["repository"], REPOSITORY);
    assert_eq!(line["upstream"], scene.upstream.host());
    assert_eq!(line["bytes"], layer.bytes.len());
    assert!(line["seconds"].is_number());
}

#[tokio::test]
async fn a_download_that_failed_has_a_line_with_the_cause() {
    let scene = Scene::with(&[JSON]).await;
    scene
        .upstream
        .on("GET", &scene.layer(), Answer::status(501));
    assert_eq!(scene.get(&scene.layer()).await.status, 503);
    let line = line_where(&scene.cache, |line| line["message"] == "download failed").await;
    assert_eq!(
        (&line["level"], &line["repository"]),
        (&"WARN".into(), &REPOSITORY.into())
    );
    assert!(line["error"].as_str().unwrap().contains("501"), "{line}");
}

#[tokio::test]
async fn a_text_log_has_the_same_fields_and_no_caller_can_forge_a_line() {
    let scene = Scene::new().await;
    let evil = "docker/29 \t\u{202e}gnp.exe";
    let answer = get(TAG_PATH)
        .header("User-Agent", evil)
        .send(&scene.cache.host())
        .await;
    let id = answer.header("X-Request-Id").unwrap();
    let find = || {
        let log = scene.cache.log();
        log.lines()
            .find(|line| line.contains(id))
            .map(str::to_owned)
    };
    eventually("the line", SOON, || async { find().is_some() }).await;
    let line = find().unwrap();
    for field in [
        "INFO",
        "repository=team/app",
        "reference=v1",
        "served=miss",
        "/v2/team/app/manifests/v1 200 ",
        scene.image.digest(),
        "docker/29",
    ] {
        assert!(line.contains(field), "{field} is missing in {line}");
    }
    assert!(line.contains("user_agent=\"docker/29 "), "{line}");
    assert!(
        !line.contains("status=") && line.matches('"').count() == 2,
        "{line}"
    );
    assert!(!scene.cache.log().contains(['\t', '\u{202e}']), "{line:?}");
}

#[tokio::test]
async fn the_access_log_can_be_turned_off_and_downloads_are_still_told() {
    let scene = Scene::with(&[JSON, ("LOG_ACCESSLOG_DISABLED", "true")]).await;
    scene.pull().await;
    line_where(&scene.cache, |line| line["message"] == "blob downloaded").await;
    let named = lines(&scene.cache)
        .iter()
        .any(|line| !line["request_id"].is_null());
    assert!(!named);
}

#[tokio::test]
async fn questions_about_health_do_not_fill_the_log() {
    let scene = Scene::new().await;
    scene.cache.logs("serving").await;
    let before = scene.cache.log();
    for path in ["/healthz", "/readyz", "/"] {
        assert_eq!(scene.get(path).await.status, 200);
    }
    assert_eq!(scene.cache.log(), before);
}

#[tokio::test]
async fn a_quiet_log_tells_errors_only() {
    let scene = Scene::with(&[("LOG_LEVEL", "error")]).await;
    scene.pull().await;
    scene.get(&manifest("none")).await;
    assert_eq!(scene.cache.log(), "");
}
