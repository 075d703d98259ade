//! Which repositories take pushes, and from whom: hosted ones beside a cache, addresses, logins, and deleting only where it is allowed.

use cistern_tests::caller::{Answered, get};
use cistern_tests::cistern::{self, mirror_of};
use cistern_tests::images::{Image, image, sha256};
use cistern_tests::need;
use cistern_tests::pusher::Pusher;
use cistern_tests::registry::{Product, Registry, RegistryBuilder};
use cistern_tests::scripted_upstream::ScriptedUpstream;
use serde_json::json;

use crate::common::{REPOSITORY, assert_manifest, blob_path, manifest_path, pull};
use crate::scene::{assert_refused, configured};

/// A repository that is ours.
const OURS: &str = "local/app";

fn small(seed: u64) -> Image {
    image().random_layers(seed, 2, 5000).build()
}

/// A cache whose `local/*` is its own.
async fn beside_a_cache(settings: &[(&str, &str)]) -> (ScriptedUpstream, Registry) {
    let upstream = ScriptedUpstream::start().await;
    upstream.hold(&small(1), REPOSITORY, &["v1"]);
    // Of the same name as ours: whoever asked there would find this.
    upstream.hold(&small(2), OURS, &["v1", "theirs"]);
    let cache = mirror_of(&upstream.url()).set("REGISTRY_HOSTED_REPOSITORIES", "[local/*]");
    let cache = cache.set("REGISTRY_STORAGE_DELETE_ENABLED", "true");
    (upstream, configured(cache, settings).start().await)
}

/// Every way to change something in a repository.
fn writes(repository: &str, image: &Image) -> Vec<(&'static str, String)> {
    let (blob, manifest) = (&image.blobs[0].digest, image.digest());
    let uploads = format!("/v2/{repository}/blobs/uploads/");
    vec![
        ("POST", uploads.clone()),
        ("POST", format!("{uploads}?digest={blob}")),
        ("POST", format!("{uploads}?mount={blob}&from=local/other")),
        ("PUT", manifest_path(repository, "v1")),
        ("PUT", manifest_path(repository, manifest)),
        ("DELETE", manifest_path(repository, "v1")),
        ("DELETE", manifest_path(repository, manifest)),
        ("DELETE", blob_path(repository, blob)),
    ]
}

async fn sent(caller: &Pusher, (method, path): &(&str, String), image: &Image) -> Answered {
    let call = caller.call(method, path);
    let call = match *method {
        "PUT" => call
            .header("Content-Type", &image.top().media_type)
            .body(image.top().bytes.clone()),
        _ => call.body(""),
    };
    call.send(caller.host()).await
}

#[tokio::test]
async fn a_repository_of_our_own_takes_pushes_and_the_upstream_never_hears_of_it() {
    let (upstream, cache) = beside_a_cache(&[]).await;
    let (image, caller) = (small(3), Pusher::to(&cache.host()));
    for path in [
        manifest_path(OURS, "v1"),
        manifest_path(OURS, small(2).digest()),
        blob_path(OURS, &small(2).blobs[0].digest),
        format!("/v2/{OURS}/tags/list"),
    ] {
        assert_eq!(caller.ask("GET", &path).await.status, 404, "{path}");
    }
    caller.image(&image, OURS, &["v1"]).await;
    pull(&cache, OURS, "v1", &image).await;
    let tags = caller.ask("GET", &format!("/v2/{OURS}/tags/list")).await;
    assert_eq!(tags.json()["tags"], json!(["v1"]));
    let referrers = format!("/v2/{OURS}/referrers/{}", image.digest());
    let referrers = caller.ask("GET", &referrers).await;
    assert_eq!(referrers.json()["manifests"], json!([]));
    // By another name for the upstream too.
    let named = format!("{}?ns={}", manifest_path(OURS, "v1"), upstream.host());
    assert_manifest(&caller.ask("GET", &named).await, image.top());
    let deleted = caller.ask("DELETE", &manifest_path(OURS, "v1")).await;
    assert_eq!(deleted.status, 202);
    let gone = caller.ask("GET", &manifest_path(OURS, "v1")).await;
    assert_refused(&gone, 404, "MANIFEST_UNKNOWN", &[]);
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn what_is_cached_takes_no_pushes_and_says_so_without_asking_anybody() {
    let (upstream, cache) = beside_a_cache(&[]).await;
    let caller = Pusher::to(&cache.host());
    pull(&cache, REPOSITORY, "v1", &small(1)).await;
    upstream.forget_requests();
    for write in writes(REPOSITORY, &small(1)) {
        let answer = sent(&caller, &write, &small(3)).await;
        assert_refused(&answer, 405, "UNSUPPORTED", &[]);
        assert_eq!(answer.header("Allow"), Some("GET, HEAD"), "{write:?}");
    }
    pull(&cache, REPOSITORY, "v1", &small(1)).await;
    assert!(
        upstream
            .requests()
            .iter()
            .all(|request| request.method == "HEAD")
    );
}

#[tokio::test]
async fn a_blob_of_the_cache_can_be_mounted_by_nobody_who_could_not_pull_it() {
    let (_upstream, cache) = beside_a_cache(&[]).await;
    let caller = Pusher::to(&cache.host());
    pull(&cache, REPOSITORY, "v1", &small(1)).await;
    // Here it may be read by everybody: so it may be mounted.
    let blob = &small(1).blobs[1];
    let mount = format!(
        "/v2/{OURS}/blobs/uploads/?mount={}&from={REPOSITORY}",
        blob.digest
    );
    let mounted = caller
        .call("POST", &mount)
        .body("")
        .send(&cache.host())
        .await;
    assert!(matches!(mounted.status, 201 | 202), "{}", mounted.text());
    // What nobody holds is not mounted, but begun.
    let unknown = sha256(b"nobody has this");
    let mount = format!("/v2/{OURS}/blobs/uploads/?mount={unknown}&from=local/other");
    let begun = caller
        .call("POST", &mount)
        .body("")
        .send(&cache.host())
        .await;
    assert_eq!(begun.status, 202);
}

#[tokio::test]
async fn without_a_login_a_cache_takes_pushes_from_the_networks_that_it_was_told_only() {
    for (networks, may) in [("[10.0.0.0/8]", false), ("[127.0.0.0/8, 10.0.0.0/8]", true)] {
        let (upstream, cache) = beside_a_cache(&[("HOSTED_WRITEFROM", networks)]).await;
        let caller = Pusher::to(&cache.host());
        if may {
            caller.image(&small(3), OURS, &["v1"]).await;
            continue;
        }
        for write in writes(OURS, &small(3)) {
            let answer = sent(&caller, &write, &small(3)).await;
            assert_refused(&answer, 403, "DENIED", &["hosted.writefrom"]);
        }
        pull(&cache, REPOSITORY, "v1", &small(1)).await;
        assert_eq!(upstream.requests_of("*", "/v2/local/*").len(), 0);
    }
}

#[tokio::test]
async fn a_client_that_a_trusted_proxy_forwards_counts_by_its_own_address() {
    let settings = [("HTTP_TRUSTEDPROXIES", "[127.0.0.0/8]")];
    let (_upstream, cache) = beside_a_cache(&settings).await;
    let uploads = format!("/v2/{OURS}/blobs/uploads/");
    let caller = Pusher::to(&cache.host());
    for (address, status) in [("192.0.2.7", 403), ("127.0.0.1", 202)] {
        let call = caller.call("POST", &uploads).body("");
        let call = call.header("X-Forwarded-For", address);
        assert_eq!(call.send(&cache.host()).await.status, status, "{address}");
    }
}

fn with_login(builder: RegistryBuilder) -> RegistryBuilder {
    builder.htpasswd("writer", "a secret")
}

#[tokio::test]
async fn with_a_login_nobody_else_reads_or_writes_and_the_ping_says_what_is_asked_for() {
    need!("htpasswd");
    let registry = with_login(cistern::hosted()).start().await;
    let host = registry.host();
    let (stranger, writer) = (
        Pusher::to(&host),
        Pusher::to(&host).login("writer", "a secret"),
    );
    let liar = Pusher::to(&host).login("writer", "another");
    for caller in [&stranger, &liar] {
        for path in ["/v2/", "/v2/team/app/manifests/v1", "/v2/_catalog"] {
            let answer = caller.ask("GET", path).await;
            assert_refused(&answer, 401, "UNAUTHORIZED", &[]);
            assert_eq!(
                answer.header("WWW-Authenticate"),
                Some("Basic realm=\"test\"")
            );
        }
        for write in writes(REPOSITORY, &small(3)) {
            let answer = sent(caller, &write, &small(3)).await;
            assert_refused(&answer, 401, "UNAUTHORIZED", &[]);
        }
    }
    assert_eq!(writer.ask("GET", "/v2/").await.status, 200);
    writer.image(&small(3), REPOSITORY, &["v1"]).await;
    let path = manifest_path(REPOSITORY, "v1");
    assert_manifest(&writer.ask("GET", &path).await, small(3).top());
    assert_eq!(stranger.ask("GET", &path).await.status, 401);
}

#[tokio::test]
async fn with_anonymous_pulls_strangers_read_and_only_who_logs_in_writes() {
    need!("htpasswd");
    let registry = with_login(cistern::hosted()).set("REGISTRY_HTTP_ANONYMOUSPULL", "true");
    let registry = registry.start().await;
    let host = registry.host();
    let stranger = Pusher::to(&host);
    stranger
        .clone()
        .login("writer", "a secret")
        .image(&small(3), REPOSITORY, &["v1"])
        .await;
    assert_eq!(stranger.ask("GET", "/v2/").await.status, 200);
    pull(&registry, REPOSITORY, "v1", &small(3)).await;
    for write in writes(REPOSITORY, &small(3)) {
        let answer = sent(&stranger, &write, &small(4)).await;
        assert_refused(&answer, 401, "UNAUTHORIZED", &[]);
        assert_eq!(
            answer.header("WWW-Authenticate"),
            Some("Basic realm=\"test\"")
        );
    }
    let liar = Pusher::to(&host).login("writer", "another");
    assert_eq!(
        liar.ask("GET", &manifest_path(REPOSITORY, "v1"))
            .await
            .status,
        401
    );
    pull(&registry, REPOSITORY, "v1", &small(3)).await;
}

#[tokio::test]
async fn nothing_can_be_deleted_where_deleting_is_not_switched_on() {
    let registry = RegistryBuilder::new(Product::Cistern).start().await;
    let caller = Pusher::to(&registry.host());
    caller.image(&small(3), REPOSITORY, &["v1"]).await;
    for write in writes(REPOSITORY, &small(3)) {
        if write.0 == "DELETE" {
            let answer = sent(&caller, &write, &small(3)).await;
            assert_refused(&answer, 405, "UNSUPPORTED", &["storage.delete.enabled"]);
        }
    }
    pull(&registry, REPOSITORY, "v1", &small(3)).await;
}

#[tokio::test]
async fn a_store_that_is_read_only_takes_no_pushes() {
    let registry = cistern::hosted();
    let registry = registry.set("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true");
    let registry = registry.start().await;
    let caller = Pusher::to(&registry.host());
    for write in writes(REPOSITORY, &small(3)) {
        let answer = sent(&caller, &write, &small(3)).await;
        assert_refused(&answer, 405, "UNSUPPORTED", &[]);
    }
    let empty = get("/v2/_catalog").send(&registry.host()).await;
    assert_eq!(empty.json()["repositories"], json!([]));
}

#[tokio::test]
async fn an_image_whose_blobs_are_missing_is_taken_only_where_that_is_allowed() {
    for incomplete in [false, true] {
        let registry = cistern::hosted().set("REGISTRY_HOSTED_INCOMPLETE", &incomplete.to_string());
        let registry = registry.start().await;
        let (caller, image) = (Pusher::to(&registry.host()), small(3));
        // A blob of another repository does not count.
        caller.blob("team/other", &image.blobs[1]).await;
        caller.blob(REPOSITORY, &image.blobs[0]).await;
        let answer = caller.manifest(REPOSITORY, "v1", image.top()).await;
        if incomplete {
            assert_eq!(answer.status, 201, "{}", answer.text());
            continue;
        }
        assert_refused(&answer, 400, "MANIFEST_BLOB_UNKNOWN", &[]);
        let said = answer.text();
        for (blob, is_missing) in image.blobs.iter().zip([false, true, true]) {
            assert_eq!(said.contains(&blob.digest), is_missing, "{said}");
        }
        let path = manifest_path(REPOSITORY, "v1");
        assert_eq!(caller.ask("GET", &path).await.status, 404);
    }
}
