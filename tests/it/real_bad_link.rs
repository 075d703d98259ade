//! The programs that people pull with, over a link that is cut every 10 MiB: they notice nothing, and no byte of it is paid twice.

use cistern_tests::cistern::mirror_of;
use cistern_tests::clients::{Containerd, Docker, Podman};
use cistern_tests::images::{Image, image};
use cistern_tests::need::heavy;
use cistern_tests::registry::Registry;
use cistern_tests::relay::Relay;
use cistern_tests::scripted_upstream::ScriptedUpstream;
use cistern_tests::{eventually, need};
use serde_json::Value;

use crate::common::{MIB, REPOSITORY, SOON};

/// An image of 100 MiB, the upstream that holds it, the link that is cut, and a cache at its near end.
struct BadLink {
    image: Image,
    relay: Relay,
    cache: Registry,
    _upstream: ScriptedUpstream,
}

impl BadLink {
    async fn start() -> Self {
        let image = image().random_layers(1, 4, 25 * MIB).build();
        let upstream = ScriptedUpstream::start().await;
        upstream.hold(&image, REPOSITORY, &["v1"]);
        let relay = Relay::start(upstream.address());
        relay.cut_every(10 * MIB as u64);
        let cache = mirror_of(&relay.url())
            .set("REGISTRY_LOG_FORMATTER", "json")
            .start()
            .await;
        Self {
            image,
            relay,
            cache,
            _upstream: upstream,
        }
    }

    /// What a client that asks the registry at `host` pulls.
    fn name_at(host: &str) -> String {
        format!("{host}/{REPOSITORY}:v1")
    }

    /// The client whose name for itself begins so has asked once for each blob, and was given all of it at once; the link was cut again and
    /// again meanwhile, and hardly more than the image has come over it.
    async fn assert_pulled_at_once_by(&self, agent: &str) {
        let blobs = || self.lines_of(agent, "/blobs/");
        eventually("the lines of the blobs", SOON, || async {
            blobs().len() >= self.image.blobs.len()
        })
        .await;
        for blob in &self.image.blobs {
            let asked: Vec<_> = blobs()
                .into_iter()
                .filter(|line| line["digest"] == *blob.digest)
                .map(|line| (line["status"].clone(), line["bytes"].clone()))
                .collect();
            assert_eq!(
                asked,
                [(200.into(), blob.bytes.len().into())],
                "{}:\n{}",
                blob.digest,
                self.cache.log()
            );
        }
        assert!(self.relay.cuts() >= 9, "{}", self.relay.cuts());
        let (received, size) = (self.relay.received(), self.image.blob_bytes() as u64);
        assert!(
            received <= size + MIB as u64,
            "{received} bytes over the link for {size}"
        );
    }

    /// The lines of the access log about this client's GETs of such paths.
    fn lines_of(&self, agent: &str, path: &str) -> Vec<Value> {
        let log = self.cache.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .filter(|line: &Value| {
                let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
                text("user_agent").starts_with(agent)
                    && text("message").starts_with("GET ")
                    && text("message").contains(path)
            })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pulls_at_once_over_a_link_that_is_cut_every_10_mib() {
    need!("root", "dockerd", "docker", "containerd", "runc");
    let _alone = heavy().await;
    let link = BadLink::start().await;
    // It is told to try each download once.
    let docker = Docker::start().await;
    let name = BadLink::name_at(&link.cache.host());
    docker.pull(&name).await.well();
    link.assert_pulled_at_once_by("docker/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls_at_once_over_a_link_that_is_cut_every_10_mib() {
    need!("root", "podman");
    let _alone = heavy().await;
    let link = BadLink::start().await;
    let podman = Podman::new();
    let name = BadLink::name_at(&link.cache.host());
    podman.pull(&name).await.well();
    link.assert_pulled_at_once_by("containers/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pulls_at_once_over_a_link_that_is_cut_every_10_mib() {
    need!("root", "containerd", "ctr");
    let _alone = heavy().await;
    let link = BadLink::start().await;
    let containerd = Containerd::start().await;
    let host = link.relay.host();
    containerd.set_mirror(&host, &link.cache.url());
    containerd.pull(&BadLink::name_at(&host)).await.well();
    link.assert_pulled_at_once_by("containerd/").await;
}
