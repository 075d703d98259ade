//! The programs that people pull with, through a Cistern in front of a real Distribution: whatever that asks for at its
//! door, also when it is gone, and also when the cache is started anew, gently or not, while it is gone.

mod api_proxy;
mod containerd;
mod docker;
mod podman;
mod skopeo;

use cistern_tests::images::{Family, Image, image, index, this_architecture};
use cistern_tests::registry::Registry;
use cistern_tests::store::Store;
use cistern_tests::token_server::TokenServer;
use cistern_tests::{cistern, distribution};

/// What the upstream asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// Nothing.
    Open,
    /// A user name and a password, checked against an htpasswd file.
    Htpasswd,
    /// A token from a token server, which gives it for a user name and a password.
    Tokens,
}

const DOORS: [Door; 3] = [Door::Open, Door::Htpasswd, Door::Tokens];

const REPOSITORY: &str = "team/app";
/// The tag of an OCI index of two platforms.
const OCI: &str = "oci";
/// The tag of Docker's list of two platforms.
const DOCKER: &str = "docker";
/// What the images print when they run.
const LINE: &str = "hello from the cache";

/// An upstream and a Cistern in front of it. The upstream holds, in one repository, a picture for each tag.
struct Scene {
    door: Door,
    upstream: Registry,
    cache: Registry,
    oci: Image,
    docker: Image,
    /// Kept running; asked by the upstream's challenge.
    _tokens: Option<TokenServer>,
}

/// A runnable image for this machine beside one for another.
fn two_platforms(family: Family, seed: u64) -> Image {
    let other = if this_architecture() == "s390x" {
        "amd64"
    } else {
        "s390x"
    };
    index(&[
        image()
            .family(family)
            .prints(LINE)
            .random_layers(seed, 2, 20_000),
        image()
            .family(family)
            .platform(other, None)
            .random_layers(seed + 1, 1, 3000),
    ])
}

impl Scene {
    async fn behind(door: Door) -> Self {
        Self::with(door, &[]).await
    }

    /// The same with further settings of the cache.
    async fn with(door: Door, settings: &[(&str, &str)]) -> Self {
        let (oci, docker) = (
            two_platforms(Family::Oci, 1),
            two_platforms(Family::Docker, 10),
        );
        let store = Store::new();
        store.put(&oci, REPOSITORY, &[OCI]);
        store.put(&docker, REPOSITORY, &[DOCKER]);
        let (user, password) = ("cache", "a secret");
        let tokens = match door {
            Door::Tokens => Some(TokenServer::start(Some((user, password)), 300).await),
            Door::Open | Door::Htpasswd => None,
        };
        let upstream = distribution::on_store(&store);
        let upstream = match (door, &tokens) {
            (Door::Htpasswd, _) => upstream.htpasswd(user, password),
            (_, Some(tokens)) => upstream.tokens_of(tokens),
            (_, None) => upstream,
        };
        let upstream = upstream.start().await;
        let mut cache = cistern::mirror_of(&upstream.url());
        if door != Door::Open {
            cache = cache.proxy_credentials(user, password);
        }
        if let Some(tokens) = &tokens {
            cache = cache.set("REGISTRY_PROXY_REALMS", &tokens.server().host());
        }
        for (name, value) in settings {
            cache = cache.set(name, value);
        }
        Self {
            door,
            upstream,
            cache: cache.start().await,
            oci,
            docker,
            _tokens: tokens,
        }
    }

    /// `host/repository:tag`, for a client that asks the cache by its own address.
    fn image(&self, tag: &str) -> String {
        format!("{}/{REPOSITORY}:{tag}", self.cache.host())
    }

    /// `host/repository@digest` of the same.
    fn image_by_digest(&self, image: &Image) -> String {
        format!("{}/{REPOSITORY}@{}", self.cache.host(), image.digest())
    }

    /// The picture of a tag.
    fn picture(&self, tag: &str) -> &Image {
        if tag == OCI { &self.oci } else { &self.docker }
    }

    /// Goes through the bad times: the upstream stopped, then the cache restarted, then (behind one door) killed and started.
    /// `again` pulls everything once more, from nothing, after each.
    async fn through_bad_times(&mut self, mut again: impl AsyncFnMut(&Self, &str)) {
        self.upstream.stop().await;
        again(self, "the upstream stopped").await;
        self.cache.restart().await;
        again(self, "the cache restarted").await;
        if self.door == Door::Open {
            self.cache.kill();
            self.cache.start().await;
            again(self, "the cache killed").await;
        }
    }

    /// Every blob that left the upstream left it once.
    fn assert_each_blob_left_once(&self) {
        let blobs = self.blobs_that_left();
        let mut different = blobs.clone();
        different.dedup();
        assert_eq!(blobs, different, "{}", self.upstream.log());
    }

    /// The paths of the blobs that the upstream has sent, sorted.
    fn blobs_that_left(&self) -> Vec<String> {
        let mut blobs: Vec<_> = distribution::requests(&self.upstream)
            .into_iter()
            .filter(|(method, path, status)| {
                method == "GET" && path.contains("/blobs/") && *status == 200
            })
            .map(|(_, path, _)| path)
            .collect();
        blobs.sort();
        blobs
    }
}
