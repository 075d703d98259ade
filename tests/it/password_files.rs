//! A password in a file is exchanged while the cache runs.

use cistern_tests::caller::get;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Protection, ScriptedUpstream, TokenDesk};

use crate::scene::{SOON, TAG_PATH, assert_refused, assert_served, blob, cache_of, upstream};

/// A cache whose password is in a file, and a way to write the file.
async fn with_password_file(upstream: &ScriptedUpstream, first: &str) -> (Registry, impl Fn(&str)) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, first).unwrap();
    let settings = [
        ("PROXY_USERNAME", "cache"),
        ("PROXY_PASSWORDFILE", file.to_str().unwrap()),
        ("PROXY_CHECKEVERY", "0s"),
    ];
    let cache = cache_of(upstream, &settings).start().await;
    (cache, move |password: &str| {
        // In place of the old one, as secrets are exchanged by those who mount them.
        let new = folder.path().join("new");
        std::fs::write(&new, password).unwrap();
        std::fs::rename(&new, folder.path().join("password")).unwrap();
    })
}

#[tokio::test]
async fn a_password_file_that_changes_is_used_after_the_next_refusal() {
    for wants_tokens in [false, true] {
        let (upstream, image) = upstream().await;
        let protect = |password: &str| {
            let desk = || TokenDesk::new().only_for("cache", password);
            let protection = if wants_tokens {
                upstream.forget_script();
                Protection::Bearer(desk())
            } else {
                Protection::basic("cache", password)
            };
            upstream.protect(protection);
        };
        protect("old-rain");
        let (cache, write) = with_password_file(&upstream, "old-rain\n").await;
        let ask = async |path: &str| get(path).send(&cache.host()).await;
        assert_served(&ask(TAG_PATH).await, &image.top().bytes);
        protect("new-rain");
        let refused = ask(&blob(&image.blobs[0].digest)).await;
        assert_refused(
            &refused,
            403,
            "DENIED",
            &["refused this cache's credentials"],
        );
        write("new-rain\n");
        for layer in &image.blobs {
            assert_served(&ask(&blob(&layer.digest)).await, &layer.bytes);
        }
        cistern_tests::eventually("confirming the tag again", SOON, || async {
            let answer = ask(TAG_PATH).await;
            answer.status == 200 && answer.header("Warning").is_none()
        })
        .await;
        assert!(!cache.log().contains("-rain"));
    }
}

#[tokio::test]
async fn a_password_that_was_exchanged_on_both_sides_is_not_seen_by_callers() {
    let (upstream, image) = upstream().await;
    upstream.protect(Protection::basic("cache", "first"));
    let (cache, write) = with_password_file(&upstream, "first").await;
    let ask = async |path: &str| get(path).send(&cache.host()).await;
    assert_served(
        &ask(&blob(&image.blobs[0].digest)).await,
        &image.blobs[0].bytes,
    );
    write("second");
    upstream.protect(Protection::basic("cache", "second"));
    assert_served(
        &ask(&blob(&image.blobs[1].digest)).await,
        &image.blobs[1].bytes,
    );
}
