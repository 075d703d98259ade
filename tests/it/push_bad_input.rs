//! Pushes of nonsense: each is refused with the right status and code, nothing of it is stored, and the next good push works.

mod bodies;
mod manifests;

use std::path::PathBuf;

use cistern_tests::caller::{Answered, Call};
use cistern_tests::cistern;
use cistern_tests::images::{Image, Item, OCI_MANIFEST, image, sha256};
use cistern_tests::pusher::{Pusher, location, with_query};
use cistern_tests::registry::Registry;

use crate::common::{REPOSITORY, blob_path, manifest_path, pull};
use crate::scene::assert_refused;

const UPLOADS: &str = "/v2/team/app/blobs/uploads/";
const MIB: usize = 1024 * 1024;

/// A registry with one image, and everything that lies in its store.
struct Scene {
    registry: Registry,
    caller: Pusher,
    image: Image,
    before: Vec<(PathBuf, u64)>,
}

impl Scene {
    async fn new() -> Self {
        let registry = cistern::hosted().start().await;
        let caller = Pusher::to(&registry.host());
        let image = image().random_layers(1, 2, 5000).build();
        caller.image(&image, REPOSITORY, &["v1"]).await;
        let before = kept(&registry);
        Self {
            registry,
            caller,
            image,
            before,
        }
    }

    async fn send(&self, call: Call) -> Answered {
        call.send(self.caller.host()).await
    }

    async fn begin(&self) -> String {
        let begun = self.caller.begin(REPOSITORY).await;
        assert_eq!(begun.status, 202, "{}", begun.text());
        location(&begun)
    }

    async fn put_manifest(
        &self,
        reference: &str,
        media_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answered {
        let call = self
            .caller
            .call("PUT", &manifest_path(REPOSITORY, reference));
        let call = call.header("Content-Type", media_type).body(body.into());
        self.send(call).await
    }

    /// Nothing came and nothing went; and a good push still goes well.
    async fn assert_nothing_stored(&self) {
        assert_eq!(kept(&self.registry), self.before);
        pull(&self.registry, REPOSITORY, "v1", &self.image).await;
        let next = image().random_layers(2, 1, 100).build();
        self.caller.image(&next, "team/next", &["v1"]).await;
        pull(&self.registry, "team/next", "v1", &next).await;
    }
}

/// All files in Distribution's part of the store.
fn kept(registry: &Registry) -> Vec<(PathBuf, u64)> {
    let mut files = registry.store().files();
    files.retain(|(file, _)| file.starts_with("docker"));
    files
}

fn some_digest() -> String {
    sha256(b"something")
}

/// Requests with a name, a tag or a digest that is none, and the code they are refused with.
fn wrong_words() -> Vec<(&'static str, String, &'static str)> {
    let md5 = "md5:d41d8cd98f00b204e9800998ecf8427e";
    let capitals = some_digest().to_uppercase().replace("SHA256", "sha256");
    let mut cases = Vec::new();
    for name in [
        "Team/app",
        "team/../app",
        "team/app_",
        "team%2f..%2f..%2fapp",
        "-team",
    ] {
        let code = "NAME_INVALID";
        cases.push(("POST", format!("/v2/{name}/blobs/uploads/"), code));
        cases.push(("PUT", manifest_path(name, "v1"), code));
        cases.push(("DELETE", manifest_path(name, "v1"), code));
    }
    for tag in ["-v1", &"a".repeat(129), "v%001"] {
        cases.push(("PUT", manifest_path(REPOSITORY, tag), "TAG_INVALID"));
    }
    for digest in ["sha256:abc", md5, &capitals] {
        let code = "DIGEST_INVALID";
        cases.push(("PUT", manifest_path(REPOSITORY, digest), code));
        cases.push(("DELETE", manifest_path(REPOSITORY, digest), code));
        cases.push(("DELETE", blob_path(REPOSITORY, digest), code));
        cases.push(("POST", format!("{UPLOADS}?digest={digest}"), code));
        let mount = format!("{UPLOADS}?mount={digest}&from={REPOSITORY}");
        cases.push(("POST", mount, code));
    }
    for query in ["digest=", "digest-algorithm=md5"] {
        cases.push(("POST", format!("{UPLOADS}?{query}"), "DIGEST_INVALID"));
    }
    cases.push(("DELETE", blob_path(REPOSITORY, "latest"), "DIGEST_INVALID"));
    cases
}

#[tokio::test]
async fn names_tags_and_digests_that_are_none_are_refused_wherever_they_stand() {
    let scene = Scene::new().await;
    for (method, path, code) in wrong_words() {
        let call = scene.caller.call(method, &path).body("something");
        let answer = scene.send(call.header("Content-Type", OCI_MANIFEST)).await;
        assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text());
        assert_refused(&answer, 400, code, &[]);
    }
    let tags = format!(
        "{}?tag=good&tag=-bad",
        manifest_path(REPOSITORY, scene.image.digest())
    );
    let call = scene
        .caller
        .call("PUT", &tags)
        .header("Content-Type", OCI_MANIFEST);
    let answer = scene.send(call.body(scene.image.top().bytes.clone())).await;
    assert_refused(&answer, 400, "TAG_INVALID", &[]);
    scene.assert_nothing_stored().await;
}

#[tokio::test]
async fn an_upload_that_nobody_began_or_that_is_over_is_unknown() {
    let scene = Scene::new().await;
    let (cancelled, wrong, elsewhere) = (
        scene.begin().await,
        scene.begin().await,
        scene.begin().await,
    );
    assert_eq!(scene.caller.ask("DELETE", &cancelled).await.status, 204);
    let target = with_query(&wrong, "digest", &some_digest());
    let answer = scene
        .send(scene.caller.call("PUT", &target).body("another thing"))
        .await;
    assert_refused(&answer, 400, "DIGEST_INVALID", &[]);
    let elsewhere = elsewhere.replace(REPOSITORY, "team/other");
    let made_up = [
        format!("{UPLOADS}00000000-0000-4000-8000-000000000000"),
        format!("{UPLOADS}x"),
        format!("{UPLOADS}{}", "a".repeat(500)),
        // Of this even the path is none.
        format!("{UPLOADS}..%2f..%2fv1"),
    ];
    for upload in made_up.into_iter().chain([cancelled, wrong, elsewhere]) {
        for method in ["GET", "PATCH", "PUT", "DELETE"] {
            let target = with_query(&upload, "digest", &some_digest());
            let target = if method == "PUT" { &target } else { &upload };
            let call = scene.caller.call(method, target);
            let call = if method == "GET" {
                call
            } else {
                call.body("something")
            };
            let answer = scene.send(call).await;
            assert_eq!(answer.status, 404, "{method} {target}: {}", answer.text());
            let is_name = !upload.contains("%2f");
            let code = if is_name {
                "BLOB_UPLOAD_UNKNOWN"
            } else {
                "UNSUPPORTED"
            };
            assert_refused(&answer, 404, code, &[]);
        }
    }
    scene.assert_nothing_stored().await;
}

#[tokio::test]
async fn a_blob_is_kept_under_its_own_digest_or_not_at_all() {
    let scene = Scene::new().await;
    let call = |method: &str, target: &str| scene.caller.call(method, target).body("another thing");
    let single = format!("{UPLOADS}?digest={}", some_digest());
    let answer = scene.send(call("POST", &single)).await;
    assert_refused(&answer, 400, "DIGEST_INVALID", &[]);
    let long = format!("sha512:{}", "0".repeat(128));
    for digest in ["", "sha256:abc", &some_digest(), &long] {
        let target = with_query(&scene.begin().await, "digest", digest);
        let answer = scene.send(call("PUT", &target)).await;
        assert_refused(&answer, 400, "DIGEST_INVALID", &[]);
    }
    let without = scene.begin().await;
    let answer = scene.send(call("PUT", &without)).await;
    assert_refused(&answer, 400, "DIGEST_INVALID", &[]);
    let path = blob_path(REPOSITORY, &some_digest());
    assert_eq!(scene.caller.ask("GET", &path).await.status, 404);
    scene.assert_nothing_stored().await;
}

#[tokio::test]
async fn a_piece_that_does_not_go_on_where_the_last_one_ended_is_refused_and_the_upload_goes_on() {
    let scene = Scene::new().await;
    let blob = Item::new("text/plain", "0123456789");
    let upload = scene.begin().await;
    let piece = async |range: &str, body: &'static str| {
        let call = scene.caller.call("PATCH", &upload).body(body);
        scene.send(call.header("Content-Range", range)).await
    };
    let first = piece("0-4", "01234").await;
    assert_eq!((first.status, first.header("Range")), (202, Some("0-4")));
    for range in [
        "0-4",
        "6-10",
        "4-8",
        "100-104",
        "18446744073709551610-18446744073709551614",
    ] {
        let answer = piece(range, "56789").await;
        assert_eq!(answer.status, 416, "{range}: {}", answer.text());
        assert_eq!(answer.header("Range"), Some("0-4"), "{range}");
        assert_eq!(location(&answer), upload);
    }
    for range in ["5-8", "5-10"] {
        assert_refused(&piece(range, "56789").await, 400, "SIZE_INVALID", &[]);
    }
    for range in [
        "x",
        "5",
        "5-",
        "-5",
        "9-5",
        "a-b",
        "bytes",
        "0x5-0x9",
        "5-99999999999999999999999",
    ] {
        let answer = piece(range, "56789").await;
        assert!(
            matches!(answer.status, 400 | 416),
            "{range}: {}",
            answer.status
        );
    }
    let state = scene.caller.ask("GET", &upload).await;
    assert_eq!((state.status, state.header("Range")), (204, Some("0-4")));
    // The last piece by itself is held to the same.
    let target = with_query(&upload, "digest", &blob.digest);
    let put = scene.caller.call("PUT", &target).body("56789");
    let answer = scene
        .send(put.clone().header("Content-Range", "6-10"))
        .await;
    assert_eq!((answer.status, answer.header("Range")), (416, Some("0-4")));
    let answer = scene.send(put.header("Content-Range", "5-9")).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let path = blob_path(REPOSITORY, &blob.digest);
    assert_eq!(scene.caller.ask("GET", &path).await.body, blob.bytes);
}
