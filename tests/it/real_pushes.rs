//! The programs that people push with: what each has pushed another pulls, byte by byte what it was; deleted, it is gone. With and
//! without a login.

mod artifact;
mod buildah;
mod docker;
mod podman;
mod skopeo;

use std::sync::LazyLock;

use cistern_tests::caller::Answered;
use cistern_tests::cistern;
use cistern_tests::clients::Skopeo;
use cistern_tests::images::{
    DOCKER_LIST, DOCKER_MANIFEST, Family, Image, OCI_INDEX, OCI_MANIFEST, image, index,
};
use cistern_tests::pusher::Pusher;
use cistern_tests::registry::Registry;

const REPOSITORY: &str = "team/app";
const LINE: &str = "hello from whom it was pushed to";
const USER: &str = "writer";
const PASSWORD: &str = "a secret";
/// Both, as podman, buildah and skopeo want them.
const CREDENTIALS: &str = "writer:a secret";

/// What every real client accepts.
static ACCEPTED: LazyLock<String> =
    LazyLock::new(|| [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX].join(", "));

/// A Cistern of its own repositories, and who may come in.
struct Scene {
    registry: Registry,
    /// [`CREDENTIALS`] where a login is asked for.
    credentials: Option<&'static str>,
}

impl Scene {
    /// One that asks nobody anything.
    async fn open() -> Self {
        Self {
            registry: cistern::hosted().start().await,
            credentials: None,
        }
    }

    /// One that asks everybody for a login.
    async fn with_login() -> Self {
        let registry = cistern::hosted().htpasswd(USER, PASSWORD).start().await;
        Self {
            registry,
            credentials: Some(CREDENTIALS),
        }
    }

    /// `host/repository:tag`
    fn name(&self, tag: &str) -> String {
        format!("{}/{REPOSITORY}:{tag}", self.registry.host())
    }

    /// A caller by plain HTTP who may do everything.
    fn caller(&self) -> Pusher {
        let caller = Pusher::to(&self.registry.host());
        match self.credentials {
            Some(_) => caller.login(USER, PASSWORD),
            None => caller,
        }
    }

    async fn manifest(&self, reference: &str) -> Answered {
        let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
        let caller = self.caller();
        let call = caller.call("GET", &path).header("Accept", &ACCEPTED);
        call.send(caller.host()).await
    }

    /// The digest that a tag names.
    async fn digest(&self, tag: &str) -> String {
        let answer = self.manifest(tag).await;
        let digest = answer.header("Docker-Content-Digest");
        digest
            .unwrap_or_else(|| panic!("{}", answer.text()))
            .to_owned()
    }

    /// Pulls a tag with skopeo, which verifies everything that it gets, into a folder of this name.
    async fn pull_back(&self, skopeo: &Skopeo, tag: &str, into: &str) {
        let name = self.name(tag);
        let copied = skopeo.copy_as(&name, into, self.credentials);
        copied.await.well();
    }

    /// Deletes what a tag names, and sees that skopeo and a plain request find nothing any more.
    async fn delete(&self, skopeo: &Skopeo, tag: &str) {
        let digest = self.digest(tag).await;
        let path = format!("/v2/{REPOSITORY}/manifests/{digest}");
        let deleted = self.caller().ask("DELETE", &path).await;
        assert_eq!(deleted.status, 202, "{}", deleted.text());
        for reference in [tag, &digest] {
            let answer = self.manifest(reference).await;
            assert_eq!(
                (answer.status, answer.error_code().as_str()),
                (404, "MANIFEST_UNKNOWN")
            );
        }
        let copied = skopeo
            .copy_as(&self.name(tag), "gone", self.credentials)
            .await;
        let said = copied.badly();
        assert!(said.contains("manifest unknown"), "{said}");
    }
}

/// An image for this machine that prints [`LINE`].
fn runnable() -> Image {
    image().prints(LINE).random_layers(1, 2, 20_000).build()
}

/// An index, or Docker's list, of three platforms.
fn three_platforms(family: Family, seed: u64) -> Image {
    let platforms = [("amd64", None), ("arm64", Some("v8")), ("arm", Some("v7"))];
    let children: Vec<_> = (seed..)
        .zip(platforms)
        .map(|(seed, (architecture, variant))| {
            let child = image().family(family).platform(architecture, variant);
            child.random_layers(seed, 2, 20_000)
        })
        .collect();
    index(&children)
}
