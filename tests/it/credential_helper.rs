//! Credentials from a program, as docker's credential helpers are (`proxy.exec`).

use std::path::PathBuf;
use std::process::Command;

use cistern_tests::scripted_upstream::{Protection, TokenDesk};
use tempfile::TempDir;

use crate::scene::{Scene, TAG_PATH, assert_refused, blob, cache_of, upstream};

/// A helper that says what stands in the file `answer` beside it, and notes what it was called with and for. It is written
/// by another process: a file that this one has just written cannot be run while any thread of it is starting a program.
struct Helper {
    folder: TempDir,
    program: PathBuf,
}

const LINES: &str =
    "echo \"$*\" for \"$(cat)\" >> asked; cat answer; cat answer >&2; exit $(cat status)";

impl Helper {
    fn new(username: &str, secret: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("docker-credential-plant");
        let script = format!("#!/bin/sh\ncd '{}'\n{LINES}\n", folder.path().display());
        let written = Command::new("/bin/sh")
            .args(["-c", "printf %s \"$2\" > \"$1\" && chmod 700 \"$1\"", "sh"])
            .arg(&program)
            .arg(&script)
            .status();
        assert!(written.unwrap().success());
        let helper = Self { folder, program };
        helper.says(username, secret);
        helper.write("status", "0");
        helper
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn says(&self, username: &str, secret: &str) {
        let answer =
            serde_json::json!({ "ServerURL": "x", "Username": username, "Secret": secret });
        self.write("answer", &answer.to_string());
    }

    fn asked(&self) -> Vec<String> {
        let asked = std::fs::read_to_string(self.folder.path().join("asked"));
        asked
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

async fn scene(helper: &Helper, protection: Protection) -> Scene {
    let (upstream, image) = upstream().await;
    upstream.protect(protection);
    let program = helper.program.to_str().unwrap().to_owned();
    let settings = [
        ("PROXY_EXEC_COMMAND", program.as_str()),
        ("PROXY_EXEC_LIFETIME", "6h"),
        ("LOG_LEVEL", "debug"),
    ];
    let cache = cache_of(&upstream, &settings).start().await;
    Scene {
        upstream,
        image,
        cache,
    }
}

#[tokio::test]
async fn a_password_from_a_helper_opens_every_kind_of_upstream_and_the_helper_runs_once() {
    let desk = TokenDesk::new().only_for("cache", "s3cret");
    for protection in [
        Protection::basic("cache", "s3cret"),
        Protection::Bearer(desk),
    ] {
        let helper = Helper::new("cache", "s3cret");
        let scene = scene(&helper, protection).await;
        scene.pull().await;
        let expected = format!("get for {}", scene.upstream.host());
        assert_eq!(helper.asked(), [expected]);
        assert!(!scene.cache.log().contains("s3cret"));
    }
}

#[tokio::test]
async fn a_password_that_expires_is_asked_for_anew_and_no_caller_notices() {
    let helper = Helper::new("cache", "first-s3cret");
    let scene = scene(&helper, Protection::basic("cache", "first-s3cret")).await;
    assert_eq!(scene.get(TAG_PATH).await.status, 200);
    scene
        .upstream
        .protect(Protection::basic("cache", "second-s3cret"));
    helper.says("cache", "second-s3cret");
    for layer in &scene.image.blobs {
        assert_eq!(scene.get(&blob(&layer.digest)).await.status, 200);
    }
    assert_eq!(helper.asked().len(), 2);
    assert!(!scene.cache.log().contains("s3cret"));
}

#[tokio::test]
async fn a_helper_that_fails_is_named_to_the_caller_and_nothing_it_wrote() {
    let helper = Helper::new("cache", "s3cret");
    helper.write("status", "3");
    let scene = scene(&helper, Protection::basic("cache", "s3cret")).await;
    let refused = scene.get(TAG_PATH).await;
    assert_refused(
        &refused,
        503,
        "UNAVAILABLE",
        &["docker-credential-plant", "exit status: 3"],
    );
    assert!(!refused.text().contains("s3cret"));
    assert!(!scene.cache.log().contains("s3cret"));
}
