//! Steps that many promises share: an upstream with a cache in front of it, whole pulls, and what must be true of answers.

use std::time::Duration;

use cistern_tests::caller::{Answered, get};
use cistern_tests::cistern::mirror_of;
use cistern_tests::eventually;
use cistern_tests::images::{Image, Item};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, ScriptedUpstream};

/// Far longer than anything should take, so that only a hang is a failure.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// The repository of most tests.
pub(crate) const REPOSITORY: &str = "team/app";
/// 1024 × 1024 bytes.
pub(crate) const MIB: usize = 1024 * 1024;
/// The last piece of a running download, which nobody gets before all of it is verified.
pub(crate) const LAST_PIECE: usize = 64 * 1024;

/// An upstream without any script, and a cache in front of it on an empty store.
pub(crate) async fn chain() -> (ScriptedUpstream, Registry) {
    let upstream = ScriptedUpstream::start().await;
    let cache = mirror_of(&upstream.url()).start().await;
    (upstream, cache)
}

/// A chain whose upstream holds one random blob in [`REPOSITORY`]; also the blob and its path.
pub(crate) async fn chain_with_blob(
    seed: u64,
    size: usize,
) -> (ScriptedUpstream, Registry, Item, String) {
    let (upstream, cache) = chain().await;
    let blob = Item::random(seed, size);
    upstream.hold_blob(&blob, REPOSITORY);
    let path = blob_path(REPOSITORY, &blob.digest);
    (upstream, cache, blob, path)
}

/// `/v2/<repository>/blobs/<digest>`
pub(crate) fn blob_path(repository: &str, digest: &str) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

/// `/v2/<repository>/manifests/<reference>`
pub(crate) fn manifest_path(repository: &str, reference: &str) -> String {
    format!("/v2/{repository}/manifests/{reference}")
}

/// Asserts that this is all of a blob, with everything that clients insist on.
pub(crate) fn assert_blob(answer: &Answered, blob: &Item) {
    assert_eq!(answer.status, 200, "{}", start_of(answer));
    assert!(
        answer.is_complete(),
        "{:?} after {} bytes",
        answer.ended,
        answer.body.len()
    );
    assert!(answer.body == blob.bytes, "other bytes than the blob's");
    let size = blob.bytes.len().to_string();
    assert_eq!(answer.header("Content-Length"), Some(size.as_str()));
    assert_eq!(
        answer.header("Docker-Content-Digest"),
        Some(blob.digest.as_str())
    );
    assert_eq!(answer.header("Accept-Ranges"), Some("bytes"));
    assert_eq!(answer.header("Content-Encoding"), None);
}

/// Asserts that this is exactly this part of a blob (both ends included).
pub(crate) fn assert_part(answer: &Answered, blob: &Item, first: usize, last: usize) {
    assert_eq!(answer.status, 206, "{}", start_of(answer));
    assert!(
        answer.is_complete(),
        "{:?} after {} bytes",
        answer.ended,
        answer.body.len()
    );
    assert!(
        answer.body == blob.bytes[first..=last],
        "other bytes than the range's"
    );
    let place = format!("bytes {first}-{last}/{}", blob.bytes.len());
    let places: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("Content-Range"))
        .map(|(_, place)| place.as_str())
        .collect();
    assert_eq!(places, [place]);
    let length = (last - first + 1).to_string();
    assert_eq!(answer.header("Content-Length"), Some(length.as_str()));
    assert_eq!(
        answer.header("Docker-Content-Digest"),
        Some(blob.digest.as_str())
    );
    assert_eq!(answer.header("Accept-Ranges"), Some("bytes"));
}

/// Asserts that this is a manifest, byte by byte, with everything that clients insist on.
pub(crate) fn assert_manifest(answer: &Answered, manifest: &Item) {
    assert_eq!(answer.status, 200, "{}", start_of(answer));
    assert!(
        answer.is_complete(),
        "{:?} after {} bytes",
        answer.ended,
        answer.body.len()
    );
    assert_eq!(answer.text(), String::from_utf8_lossy(&manifest.bytes));
    let size = manifest.bytes.len().to_string();
    assert_eq!(answer.header("Content-Length"), Some(size.as_str()));
    assert_eq!(
        answer.header("Content-Type"),
        Some(manifest.media_type.as_str())
    );
    assert_eq!(
        answer.header("Docker-Content-Digest"),
        Some(manifest.digest.as_str())
    );
    assert_eq!(answer.header("Content-Encoding"), None);
}

/// Whether an answer claims to be all of `blob`, and is not. The one thing that must never be.
pub(crate) fn is_a_lie(answer: &Answered, blob: &Item) -> bool {
    answer.status == 200 && answer.is_complete() && answer.body != blob.bytes
}

fn start_of(answer: &Answered) -> String {
    answer.text().chars().take(500).collect()
}

/// Pulls an image as a client does: the tag, then every manifest and blob by digest, each verified.
pub(crate) async fn pull(cache: &Registry, repository: &str, tag: &str, image: &Image) {
    pull_from(&cache.host(), repository, tag, image).await;
}

/// The same from whatever listens there.
pub(crate) async fn pull_from(host: &str, repository: &str, tag: &str, image: &Image) {
    let by_tag = get(&manifest_path(repository, tag)).send(host).await;
    assert_manifest(&by_tag, image.top());
    pull_by_digest_from(host, repository, image).await;
}

/// Pulls an image and waits until all of it is kept, which may be a moment after its last byte was served.
pub(crate) async fn pull_and_keep(cache: &Registry, repository: &str, tag: &str, image: &Image) {
    pull(cache, repository, tag, image).await;
    for item in image.blobs.iter().chain(&image.manifests) {
        kept(cache, &item.digest).await;
    }
}

/// Pulls every manifest and blob of an image by digest, each verified.
pub(crate) async fn pull_by_digest(cache: &Registry, repository: &str, image: &Image) {
    pull_by_digest_from(&cache.host(), repository, image).await;
}

async fn pull_by_digest_from(host: &str, repository: &str, image: &Image) {
    for manifest in image.manifests.iter().rev() {
        let path = manifest_path(repository, &manifest.digest);
        assert_manifest(&get(&path).send(host).await, manifest);
    }
    for blob in &image.blobs {
        let path = blob_path(repository, &blob.digest);
        assert_blob(&get(&path).send(host).await, blob);
    }
}

/// Many callers of one path at once, each to its end.
pub(crate) async fn many(count: usize, path: &str, cache: &Registry) -> Vec<Answered> {
    at_once(&vec![path.to_owned(); count], cache).await
}

/// One caller for each path, all at once; their answers in the order of the paths.
pub(crate) async fn at_once(paths: &[String], cache: &Registry) -> Vec<Answered> {
    let mut callers = Vec::new();
    for path in paths {
        let (call, host) = (get(path), cache.host());
        callers.push(tokio::spawn(async move { call.send(&host).await }));
    }
    let mut answers = Vec::new();
    for caller in callers {
        answers.push(caller.await.unwrap());
    }
    answers
}

/// Whole-body GETs of a path that reached the upstream.
pub(crate) fn whole_gets(upstream: &ScriptedUpstream, path: &str) -> usize {
    let asked = upstream.requests_of("GET", path);
    asked
        .iter()
        .filter(|request| request.header("Range").is_none())
        .count()
}

/// GETs of a part of a path that reached the upstream.
pub(crate) fn part_gets(upstream: &ScriptedUpstream, path: &str) -> usize {
    upstream.count("GET", path) - whole_gets(upstream, path)
}

/// From now on the upstream stops in the middle of a whole body until the gate is open; parts are answered at once.
pub(crate) fn stop_whole_bodies_at(
    upstream: &ScriptedUpstream,
    path: &str,
    offset: usize,
    gate: &Gate,
) {
    let gate = gate.clone();
    let answer = Answer::by(move |request| match request.header("Range") {
        Some(_) => Answer::held(),
        None => Answer::held().stops_at(offset, &gate),
    });
    upstream.on("GET", path, answer);
}

/// Waits until the store holds a blob or manifest.
pub(crate) async fn kept(cache: &Registry, digest: &str) {
    eventually("keeping the blob", SOON, || async { holds(cache, digest) }).await;
}

/// Whether the store holds a blob or manifest.
pub(crate) fn holds(cache: &Registry, digest: &str) -> bool {
    cache.store().blob_file(digest).is_file()
}

/// Waits until no unfinished file is left.
pub(crate) async fn no_leftovers(cache: &Registry) {
    eventually("removing unfinished files", SOON, || async {
        leftovers(cache).is_empty()
    })
    .await;
}

/// The unfinished files.
pub(crate) fn leftovers(cache: &Registry) -> Vec<String> {
    let partials = cache.store().path().join("cistern/partials");
    let entries = std::fs::read_dir(partials).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
