//! The usual scene: an upstream that holds one image, a cache in front of it, and the words to ask and to judge with.

use std::time::Duration;

use cistern_tests::caller::{Answered, get, head};
use cistern_tests::cistern::mirror_of;
use cistern_tests::images::{Image, image};
use cistern_tests::registry::{Registry, RegistryBuilder};
use cistern_tests::scripted_upstream::ScriptedUpstream;
use serde_json::Value;

/// The repository of the image.
pub(crate) const REPOSITORY: &str = "team/app";
/// Its tag, and every request of it at the upstream.
pub(crate) const TAG: &str = "v1";
/// Longer than anything takes that is not meant to take long.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Every request for the tag that reached an upstream.
pub(crate) const TAG_PATH: &str = "/v2/team/app/manifests/v1";

/// An upstream, what it holds, and a cache in front of it.
pub(crate) struct Scene {
    pub(crate) upstream: ScriptedUpstream,
    pub(crate) image: Image,
    pub(crate) cache: Registry,
}

impl Scene {
    /// With every setting at its default.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With these settings, as environment variables without `REGISTRY_`.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let (upstream, image) = upstream().await;
        let cache = cache_of(&upstream, settings).start().await;
        Self {
            upstream,
            image,
            cache,
        }
    }

    /// With these settings, after everything was pulled once. The upstream has forgotten the requests of that.
    pub(crate) async fn warm(settings: &[(&str, &str)]) -> Self {
        let scene = Self::with(settings).await;
        scene.pull().await;
        scene.upstream.forget_requests();
        scene
    }

    /// Pulls manifest and blobs as a client does, verifying each.
    pub(crate) async fn pull(&self) {
        let top = self.get(TAG_PATH).await;
        assert_eq!(
            (top.status, &top.body),
            (200, &self.image.top().bytes),
            "{}",
            top.text()
        );
        for item in &self.image.blobs {
            let answer = self.get(&blob(&item.digest)).await;
            assert_eq!((answer.status, &answer.body), (200, &item.bytes));
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        get(path).send(&self.cache.host()).await
    }

    pub(crate) async fn head(&self, path: &str) -> Answered {
        head(path).send(&self.cache.host()).await
    }

    /// A second image under the same tag.
    pub(crate) fn move_tag(&self) -> Image {
        let next = image().random_layers(2, 2, 20_000).build();
        self.upstream.hold(&next, REPOSITORY, &[TAG]);
        next
    }

    /// The path of a layer of the image.
    pub(crate) fn layer(&self) -> String {
        blob(&self.image.largest_blob().digest)
    }
}

/// An upstream that holds an image of two layers as [`REPOSITORY`] with [`TAG`].
pub(crate) async fn upstream() -> (ScriptedUpstream, Image) {
    let upstream = ScriptedUpstream::start().await;
    let image = image().random_layers(1, 2, 20_000).build();
    upstream.hold(&image, REPOSITORY, &[TAG]);
    (upstream, image)
}

/// A cache of an upstream with these settings, as environment variables without `REGISTRY_`.
pub(crate) fn cache_of(upstream: &ScriptedUpstream, settings: &[(&str, &str)]) -> RegistryBuilder {
    configured(mirror_of(&upstream.url()), settings)
}

/// The builder with these settings.
pub(crate) fn configured(builder: RegistryBuilder, settings: &[(&str, &str)]) -> RegistryBuilder {
    settings.iter().fold(builder, |builder, (name, value)| {
        builder.set(&format!("REGISTRY_{name}"), value)
    })
}

/// The path of a manifest of the image's repository, by tag or digest.
pub(crate) fn manifest(reference: &str) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

/// The path of a blob of the image's repository.
pub(crate) fn blob(digest: &str) -> String {
    format!("/v2/{REPOSITORY}/blobs/{digest}")
}

/// The first error of an answer in the specification's form.
#[track_caller]
pub(crate) fn error(answer: &Answered) -> Value {
    assert_eq!(
        answer.header("Content-Type"),
        Some("application/json"),
        "{}",
        answer.text()
    );
    answer.json()["errors"][0].clone()
}

/// Asserts status and code, and that the message, which people will read, says all of this.
#[track_caller]
pub(crate) fn assert_refused(answer: &Answered, status: u16, code: &str, says: &[&str]) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let error = error(answer);
    let message = error["message"].as_str().unwrap();
    assert_eq!(error["code"], code, "{message}");
    for words in says {
        assert!(
            message.contains(words),
            "{words:?} is missing in {message:?}"
        );
    }
    assert_eq!(
        answer.header("Docker-Distribution-Api-Version"),
        Some("registry/2.0")
    );
    assert!(
        answer
            .header("X-Request-Id")
            .is_some_and(|id| !id.is_empty())
    );
}

/// Asserts a complete, good answer with this body.
#[track_caller]
pub(crate) fn assert_served(answer: &Answered, body: &[u8]) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.is_complete() && answer.body == body,
        "not the right body"
    );
}

/// Whether an answer says that it could not be confirmed.
pub(crate) fn is_stale(answer: &Answered) -> bool {
    answer
        .header("Warning")
        .is_some_and(|warning| warning.starts_with("299 - \""))
}
