//! containerd, through a mirror that a `hosts.toml` names. It tells a mirror by `ns` whose image it wants.

use cistern_tests::clients::Containerd;
use cistern_tests::need;
use cistern_tests::need::heavy;

use super::{DOCKER, DOORS, Door, OCI, REPOSITORY, Scene};

/// Pulls these from nothing, and sees that they are what the upstream was given.
async fn pull(containerd: &Containerd, scene: &Scene, host: &str, when: &str) {
    containerd.forget_images().await;
    for tag in [OCI, DOCKER] {
        let pulled = containerd.pull(&format!("{host}/{REPOSITORY}:{tag}")).await;
        assert!(pulled.success, "{when}: {}", pulled.output);
        let listed = containerd.run(&["images", "ls"]).await.well();
        assert!(
            listed.contains(scene.picture(tag).digest()),
            "{when}: {listed}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pulls_through_a_mirror_whatever_the_upstream_asks_for_and_when_it_is_gone() {
    need!(
        "root",
        "containerd",
        "ctr",
        "docker-registry",
        "htpasswd",
        "static busybox"
    );
    let _alone = heavy().await;
    let containerd = Containerd::start().await;
    for door in DOORS {
        let mut scene = Scene::behind(door).await;
        // The image is named after the upstream's own address, which the cache knows without being told.
        let host = scene.upstream.host();
        containerd.set_mirror(&host, &scene.cache.url());
        pull(&containerd, &scene, &host, &format!("{door:?}")).await;
        scene.assert_each_blob_left_once();
        scene
            .through_bad_times(async |scene, when| {
                pull(&containerd, scene, &host, &format!("{door:?}, {when}")).await;
            })
            .await;
        assert!(
            scene.cache.log().contains("containerd/"),
            "{}",
            scene.cache.log()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_may_mean_the_upstream_by_another_name_that_the_cache_was_told_and_by_no_other()
{
    need!(
        "root",
        "containerd",
        "ctr",
        "docker-registry",
        "static busybox"
    );
    let _alone = heavy().await;
    let containerd = Containerd::start().await;
    let settings = [("REGISTRY_PROXY_ALIASES", "[registry.example.com]")];
    let scene = Scene::with(Door::Open, &settings).await;
    for host in ["registry.example.com", "other.example.com"] {
        containerd.set_mirror(host, &scene.cache.url());
    }
    pull(&containerd, &scene, "registry.example.com", "by an alias").await;
    let everything = format!("registry.example.com/{REPOSITORY}:{OCI}");
    containerd
        .pull_with(&["--all-platforms"], &everything)
        .await
        .well();
    let refused = containerd
        .pull(&format!("other.example.com/{REPOSITORY}:{OCI}"))
        .await
        .badly();
    assert!(refused.contains("not found"), "{refused}");
}
