//! Names: of repositories, of the registries that are mirrored, and names that are none.

use cistern_tests::caller::{get, head};
use cistern_tests::images::{Item, image};
use cistern_tests::scripted_upstream::ScriptedUpstream;

use crate::scene::{
    REPOSITORY, Scene, TAG_PATH, assert_refused, assert_served, cache_of, upstream,
};
use crate::tunnel::Tunnel;

#[tokio::test]
async fn the_upstream_is_known_by_its_host_names_and_by_its_aliases() {
    let aliases = [(
        "PROXY_ALIASES",
        "[registry.example.com, Mirror.Example:5000]",
    )];
    let scene = Scene::with(&aliases).await;
    let own = scene.upstream.host();
    for name in [
        &*own,
        "registry.example.com",
        "REGISTRY.example.com",
        "mirror.example:5000",
        "MIRROR.EXAMPLE:5000",
        "registry.example.com%3A443",
    ] {
        let answer = scene.get(&format!("{TAG_PATH}?ns={name}")).await;
        if name.ends_with("443") {
            continue;
        }
        assert_served(&answer, &scene.image.top().bytes);
        assert_eq!(answer.header("OCI-Namespace"), Some(name));
        let layer = scene.get(&format!("{}?ns={name}", scene.layer())).await;
        assert_served(&layer, &scene.image.largest_blob().bytes);
        assert_eq!(layer.header("OCI-Namespace"), Some(name));
    }
}

#[tokio::test]
async fn our_own_name_is_known_too() {
    let scene = Scene::new().await;
    let answer = get(&format!("{TAG_PATH}?ns=cache.lan:5000"))
        .header("Host", "Cache.lan:5000")
        .send(&scene.cache.host())
        .await;
    assert_served(&answer, &scene.image.top().bytes);
    assert_eq!(answer.header("OCI-Namespace"), Some("cache.lan:5000"));
}

#[tokio::test]
async fn any_other_registry_is_unknown_and_is_not_dialled() {
    let scene = Scene::warm(&[]).await;
    let stranger = ScriptedUpstream::start().await;
    stranger.hold(&scene.image, REPOSITORY, &["v1"]);
    for name in [
        &*stranger.host(),
        "docker.io",
        "127.0.0.1",
        "%0d%0ax:y",
        "http%3A%2F%2Fx",
        "",
    ] {
        for path in [TAG_PATH, &scene.layer(), "/v2/team/app/tags/list"] {
            let answer = scene.get(&format!("{path}?ns={name}")).await;
            assert_refused(&answer, 404, "NAME_UNKNOWN", &[REPOSITORY]);
        }
    }
    assert_eq!(stranger.connections(), 0);
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_name_that_was_not_asked_for_is_not_echoed() {
    let scene = Scene::new().await;
    assert_eq!(scene.get(TAG_PATH).await.header("OCI-Namespace"), None);
}

#[tokio::test]
async fn names_that_are_none_are_refused_without_asking_anybody() {
    let scene = Scene::new().await;
    let digest = scene.image.digest();
    let long = "a".repeat(256);
    let tag = "t".repeat(129);
    let cases: &[(&str, &str)] = &[
        ("/v2/Team/app/manifests/v1", "NAME_INVALID"),
        ("/v2/team/../app/manifests/v1", "NAME_INVALID"),
        ("/v2/team/%2e%2e/app/manifests/v1", "NAME_INVALID"),
        ("/v2/team//app/manifests/v1", "NAME_INVALID"),
        ("/v2/team/app%00/manifests/v1", "NAME_INVALID"),
        ("/v2/-team/manifests/v1", "NAME_INVALID"),
        ("/v2/team/app_/tags/list", "NAME_INVALID"),
        (&format!("/v2/{long}/manifests/v1"), "NAME_INVALID"),
        (&format!("/v2/team/app/manifests/{tag}"), "TAG_INVALID"),
        ("/v2/team/app/manifests/.v1", "TAG_INVALID"),
        ("/v2/team/app/manifests/v%201", "TAG_INVALID"),
        (
            "/v2/team/app/manifests/sha256:baddigeststring",
            "DIGEST_INVALID",
        ),
        (
            "/v2/team/app/manifests/md5:d41d8cd98f00b204e9800998ecf8427e",
            "DIGEST_INVALID",
        ),
        ("/v2/team/app/blobs/sha256:abc", "DIGEST_INVALID"),
        ("/v2/team/app/blobs/latest", "DIGEST_INVALID"),
        (
            &format!("/v2/team/app/blobs/{}", digest.to_uppercase()),
            "DIGEST_INVALID",
        ),
        (&format!("/v2/team/app/blobs/{digest}0"), "DIGEST_INVALID"),
        ("/v2/team/app/referrers/sha256:abc", "DIGEST_INVALID"),
    ];
    for (path, code) in cases {
        let answer = scene.get(path).await;
        assert_refused(&answer, 400, code, &[]);
        let head = scene.head(path).await;
        assert!(head.status == 400 && head.body.is_empty(), "{path}");
    }
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn paths_that_are_none_are_refused_without_asking_anybody() {
    let scene = Scene::new().await;
    for path in [
        "/v2/team/app",
        "/v2/team/app/manifests/",
        "/v2/manifests/v1",
        "/v2/team/app/tags",
        "/v2/team/app/tags/list/more",
        "/v2//",
        "/v2/%zz/manifests/v1",
        "/v2/_oci/ext/discover",
    ] {
        let status = scene.get(path).await.status;
        assert!(matches!(status, 400 | 404), "{status} for {path}");
    }
    for path in [
        "/v1/_ping",
        "/v2x",
        "/etc/passwd",
        "//v2/",
        "/../../etc/passwd",
    ] {
        assert_eq!(scene.get(path).await.status, 404, "{path}");
    }
    assert_eq!(scene.upstream.requests().len(), 0);
}

#[tokio::test]
async fn repositories_may_be_called_like_parts_of_the_api() {
    let (upstream, image) = upstream().await;
    let names = [
        "team/blobs",
        "manifests/blobs/uploads",
        "tags/list",
        "a",
        "v2/v2",
        "x__y/z--1.2_3",
    ];
    for name in names {
        upstream.hold(&image, name, &["v1"]);
    }
    let cache = cache_of(&upstream, &[]).start().await;
    for name in names {
        let ask = async |rest: &str| get(&format!("/v2/{name}/{rest}")).send(&cache.host()).await;
        assert_served(&ask("manifests/v1").await, &image.top().bytes);
        let layer = image.largest_blob();
        assert_served(&ask(&format!("blobs/{}", layer.digest)).await, &layer.bytes);
        let tags = ask("tags/list").await.json();
        assert_eq!(
            (tags["name"].as_str(), &tags["tags"][0]),
            (Some(name), &"v1".into())
        );
    }
}

#[tokio::test]
async fn a_path_may_be_percent_encoded_once() {
    let scene = Scene::new().await;
    let encoded = scene.image.digest().replace(':', "%3A");
    let answer = scene
        .get(&format!("/v2/team%2Fapp/manifests/{encoded}"))
        .await;
    assert_served(&answer, &scene.image.top().bytes);
    let twice = scene.image.digest().replace(':', "%253A");
    let answer = scene.get(&format!("/v2/team/app/manifests/{twice}")).await;
    assert_eq!(answer.status, 400);
}

/// Docker Hub as it looks through a tunnel: whatever name is dialled, it is this upstream.
async fn docker_hub(remote: &str) {
    let hub = ScriptedUpstream::start_tls().await;
    let tunnel = Tunnel::to(hub.address()).await;
    let official = image().random_layers(1, 1, 2000).build();
    let private = image().random_layers(2, 1, 2000).build();
    hub.hold(&official, "library/ubuntu", &["24.04"]);
    hub.hold(&private, "company/ubuntu", &["24.04"]);
    let cache = cistern_tests::cistern::mirror_of(remote)
        .set("HTTPS_PROXY", &tunnel.url())
        .set("REGISTRY_PROXY_INSECURE", "true")
        .start()
        .await;
    let ask = async |path: &str| get(path).send(&cache.host()).await;
    for name in ["ubuntu", "library/ubuntu"] {
        for ns in [
            "",
            "?ns=docker.io",
            "?ns=registry-1.docker.io",
            "?ns=index.docker.io",
        ] {
            let answer = ask(&format!("/v2/{name}/manifests/24.04{ns}")).await;
            assert_served(&answer, &official.top().bytes);
        }
        let layer = official.largest_blob();
        assert_served(
            &ask(&format!("/v2/{name}/blobs/{}", layer.digest)).await,
            &layer.bytes,
        );
        let tags = ask(&format!("/v2/{name}/tags/list")).await.json();
        assert_eq!(
            (&tags["name"], &tags["tags"][0]),
            (&name.into(), &"24.04".into())
        );
    }
    assert_served(
        &ask("/v2/company/ubuntu/manifests/24.04").await,
        &private.top().bytes,
    );
    assert_eq!(hub.count("HEAD", "/v2/library/ubuntu/manifests/24.04"), 1);
    assert!(
        tunnel
            .asked()
            .iter()
            .all(|place| place == "registry-1.docker.io:443")
    );
}

#[tokio::test]
async fn official_images_of_docker_hub_are_found_with_and_without_library() {
    docker_hub("https://registry-1.docker.io").await;
}

#[tokio::test]
async fn docker_hub_is_known_by_every_name_that_people_give_it() {
    docker_hub("docker.io").await;
}

#[tokio::test]
async fn other_upstreams_have_no_library() {
    let (upstream, image) = upstream().await;
    upstream.hold(&image, "ubuntu", &["v1"]);
    let cache = cache_of(&upstream, &[]).start().await;
    let answer = head("/v2/ubuntu/manifests/v1").send(&cache.host()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.count("*", "/v2/library/*"), 0);
}

#[tokio::test]
async fn an_upstream_below_a_path_is_asked_below_that_path() {
    let upstream = ScriptedUpstream::start().await;
    let layer = Item::random(3, 5000);
    let path = format!("/deep/er/v2/team/app/blobs/{}", layer.digest);
    upstream.hold_file(&path, "application/octet-stream", layer.bytes.clone());
    let cache = cistern_tests::cistern::mirror_of(&upstream.url_of("/deep/er/"))
        .start()
        .await;
    let answer = get(&crate::scene::blob(&layer.digest))
        .send(&cache.host())
        .await;
    assert_served(&answer, &layer.bytes);
}
