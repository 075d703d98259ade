//! Nothing unverified is ever kept, or handed out as complete, under a digest: the last piece of a running download is released
//! only when digest and length are verified (law 8).

use cistern_tests::caller::{Answered, Ended, get};
use cistern_tests::images::{Item, image, random_bytes};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Framing, Gate, ScriptedUpstream};
use tokio::task::JoinSet;

use crate::common::{
    LAST_PIECE, MIB, REPOSITORY, SOON, assert_blob, blob_path, chain, chain_with_blob, holds,
    is_a_lie, no_leftovers, pull, whole_gets,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_last_byte_reaches_nobody_as_a_complete_body() {
    let (upstream, cache, blob, path) = chain_with_blob(1, 3 * MIB).await;
    let (gate, size) = (Gate::new(), blob.bytes.len());
    upstream.on_next(
        1,
        "GET",
        &path,
        Answer::held().flips(size - 1).stops_at(MIB, &gate),
    );
    let mut callers = JoinSet::new();
    for number in 0..20 {
        let (path, host) = (path.clone(), cache.host());
        callers.spawn(async move {
            let call = get(&path);
            let call = if number % 4 == 3 {
                call.range("bytes=0-")
            } else {
                call
            };
            let mut opened = call.open(&host).await.unwrap();
            let body = opened.read(1).await.to_vec();
            (opened, body)
        });
    }
    let begun = callers.join_all().await;
    gate.open();
    for (opened, mut body) in begun {
        let answer = opened.finish().await;
        body.extend_from_slice(&answer.body);
        assert_eq!(
            answer.ended,
            Ended::Short,
            "closed in order before the promised end"
        );
        assert!(
            body.len() <= size - LAST_PIECE,
            "the last piece, which was not verified"
        );
        assert!(body == blob.bytes[..body.len()]);
    }
    assert_eq!(whole_gets(&upstream, &path), 1);
    assert!(!holds(&cache, &blob.digest));
    no_leftovers(&cache).await;
    assert_blob(&get(&path).send(&cache.host()).await, &blob);
    assert_eq!(whole_gets(&upstream, &path), 2, "asked again at once");
}

/// What an upstream may do to a blob of this size.
fn lies(size: usize) -> Vec<(&'static str, Answer)> {
    let held = Answer::held;
    let declared = |length: usize| {
        held()
            .shortened_to(length)
            .framed(Framing::Declared(size as u64))
    };
    vec![
        ("first byte flipped", held().flips(0)),
        ("last byte flipped", held().flips(size - 1)),
        ("shorter, and says so", held().shortened_to(size - 1)),
        ("shorter, and does not say so", declared(size / 2)),
        ("longer by one byte", held().lengthened_by("x")),
        (
            "longer by much",
            held().lengthened_by(random_bytes(9, 300_000)),
        ),
        (
            "longer, chunked",
            held().lengthened_by("x").framed(Framing::Chunked),
        ),
        (
            "flipped, chunked",
            held().flips(size / 2).framed(Framing::Chunked),
        ),
        (
            "shorter, until close",
            held().shortened_to(size / 2).framed(Framing::UntilClose),
        ),
        ("nothing at all", held().shortened_to(0)),
        (
            "a login page",
            Answer::body(200, "text/html", "<html>who are you?</html>"),
        ),
    ]
}

/// Asks until the upstream, which tells the truth again, is believed again. No answer on the way may be a lie.
async fn until_complete(cache: &Registry, path: &str, blob: &Item) -> Answered {
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let answer = get(path).send(&cache.host()).await;
        assert!(!is_a_lie(&answer, blob));
        if answer.status == 200 && answer.is_complete() {
            return answer;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{} {}",
            answer.status,
            answer.text()
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn lie_once(upstream: &ScriptedUpstream, cache: &Registry, blob: &Item, named: bool) {
    let path = blob_path(REPOSITORY, &blob.digest);
    for (number, (what, lie)) in lies(blob.bytes.len()).into_iter().enumerate() {
        // A digest of its own for each lie: after two of them a source is left alone for a while.
        let blob = if named {
            blob.clone()
        } else {
            Item::random(100 + number as u64, blob.bytes.len())
        };
        let path = if named {
            path.clone()
        } else {
            blob_path(REPOSITORY, &blob.digest)
        };
        upstream.hold_blob(&blob, REPOSITORY);
        let lying = upstream.on("GET", &path, lie);
        let answer = get(&path).send(&cache.host()).await;
        assert!(
            answer.status != 200 || !answer.is_complete(),
            "{what}: {answer:?}"
        );
        assert!(!holds(cache, &blob.digest), "{what}");
        lying.remove();
        assert_blob(&until_complete(cache, &path, &blob).await, &blob);
        if named {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_about_a_blob_is_kept_or_told_as_the_truth() {
    let (upstream, cache) = chain().await;
    // Smaller than the piece that is held back, about as large, and larger.
    for (seed, size) in [(1, 1000), (2, LAST_PIECE + 1), (3, 400_000)] {
        lie_once(&upstream, &cache, &Item::random(seed, size), false).await;
    }
    no_leftovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_about_a_blob_whose_size_a_manifest_names_is_told_as_the_truth() {
    for number in 0..lies(10).len() {
        let (upstream, cache) = chain().await;
        let image = image().random_layers(number as u64, 1, 300_000).build();
        upstream.hold(&image, REPOSITORY, &["v1"]);
        let layer = image.largest_blob();
        let path = blob_path(REPOSITORY, &layer.digest);
        let manifest = crate::common::manifest_path(REPOSITORY, "v1");
        assert_eq!(get(&manifest).send(&cache.host()).await.status, 200);
        let (what, lie) = lies(layer.bytes.len()).swap_remove(number);
        let lying = upstream.on("GET", &path, lie);
        let answer = get(&path).send(&cache.host()).await;
        assert!(answer.status != 200 || !answer.is_complete(), "{what}");
        lying.remove();
        until_complete(&cache, &path, layer).await;
        pull(&cache, REPOSITORY, "v1", &image).await;
    }
}

#[tokio::test]
async fn a_source_that_lied_twice_about_a_blob_is_left_alone_and_named() {
    let (upstream, cache, blob, path) = chain_with_blob(4, 200_000).await;
    upstream.on("GET", &path, Answer::held().flips(150_000));
    for _ in 0..2 {
        let answer = get(&path).send(&cache.host()).await;
        assert_eq!((answer.status, answer.ended), (200, Ended::Short));
    }
    for _ in 0..3 {
        let answer = get(&path).send(&cache.host()).await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (503, "UNAVAILABLE")
        );
        let text = answer.text();
        assert!(
            text.contains(&upstream.host()) && text.contains(&blob.digest),
            "{text}"
        );
        assert!(answer.header("Retry-After").is_some());
    }
    assert_eq!(whole_gets(&upstream, &path), 2);
}

#[tokio::test]
async fn a_repository_that_lied_twice_about_a_blob_does_not_keep_it_from_another_one() {
    let (upstream, cache, blob, path) = chain_with_blob(5, 200_000).await;
    upstream.on("GET", &path, Answer::held().flips(150_000));
    for _ in 0..3 {
        let answer = get(&path).send(&cache.host()).await;
        assert!(answer.status != 200 || !answer.is_complete());
    }
    upstream.hold_blob(&blob, "other/app");
    let elsewhere = blob_path("other/app", &blob.digest);
    assert_blob(&get(&elsewhere).send(&cache.host()).await, &blob);
}

#[tokio::test]
async fn after_a_first_lie_the_blob_is_asked_for_again_at_once() {
    let (upstream, cache) = chain().await;
    for (seed, framing) in [
        (1, Framing::Length),
        (2, Framing::Chunked),
        (3, Framing::UntilClose),
    ] {
        for size in [1000, 500_000] {
            let blob = Item::random(seed, size);
            upstream.hold_blob(&blob, REPOSITORY);
            let path = blob_path(REPOSITORY, &blob.digest);
            upstream.on_next(
                1,
                "GET",
                &path,
                Answer::held().flips(size / 2).framed(framing),
            );
            let answer = get(&path).send(&cache.host()).await;
            assert!(answer.status != 200 || !answer.is_complete());
            assert_blob(&get(&path).send(&cache.host()).await, &blob);
        }
    }
}
