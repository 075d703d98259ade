//! What a registry holds that nobody may push to: images of every kind, pushed to its upstream by this program itself.

use cistern_tests::images::{
    Algorithm, Family, Image, Item, OCI_INDEX, image, index, referring_artifact,
};
use cistern_tests::pusher::Pusher;
use serde_json::json;

/// The repository that the suite reads; its own default.
pub(crate) const REPOSITORY: &str = "conformance/repo1";

/// What the suite is told to look for.
#[derive(Debug, Default)]
pub(crate) struct Content {
    tags: Vec<String>,
    manifests: Vec<String>,
    blobs: Vec<String>,
    referrers: Vec<String>,
}

impl Content {
    /// Pushes what Distribution 2.8 takes: Docker's and OCI's images and indexes, an artifact, and a list of referrers under the tag that
    /// clients use where a registry has no such lists.
    pub(crate) async fn push_ordinary(pusher: &Pusher) -> Self {
        let mut content = Self::default();
        let platform = |family, seed| {
            image()
                .family(family)
                .random_layers(seed, 2, 20_000)
                .created(&format!("2020-01-{seed:02}T00:00:00Z"))
        };
        let subject = platform(Family::Oci, 1).build();
        let docker = platform(Family::Docker, 2).build();
        let lists = [(Family::Oci, 3), (Family::Docker, 5)].map(|(family, seed)| {
            let other = platform(family, seed + 1).platform("arm64", Some("v8"));
            index(&[platform(family, seed), other])
        });
        content.push(pusher, &subject, &["v1"]).await;
        content.push(pusher, &docker, &["v2"]).await;
        content.push(pusher, &lists[0], &["v3", "latest"]).await;
        content.push(pusher, &lists[1], &["v4"]).await;

        let artifact = referring_artifact("application/vnd.example.note", "a note", subject.top());
        content.push(pusher, &artifact, &[]).await;
        let mut descriptor = artifact.top().descriptor();
        descriptor["artifactType"] = json!("application/vnd.example.note");
        let list = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor] });
        let list = Item::new(OCI_INDEX, list.to_string());
        let tag = subject.digest().replace(':', "-");
        let answer = pusher.manifest(REPOSITORY, &tag, &list).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        content.referrers.push(subject.digest().to_owned());
        content
    }

    /// Pushes what needs a registry of today besides: an image whose digests are all of sha512, and referrers with a subject to it and to
    /// another image.
    pub(crate) async fn push_everything(pusher: &Pusher) -> Self {
        let mut content = Self::push_ordinary(pusher).await;
        let sha512 = image()
            .algorithm(Algorithm::Sha512)
            .random_layers(9, 2, 20_000)
            .build();
        content.push(pusher, &sha512, &[]).await;
        let note = referring_artifact("application/vnd.example.note", "another", sha512.top());
        content.push(pusher, &note, &[]).await;
        content.referrers.push(sha512.digest().to_owned());
        content
    }

    async fn push(&mut self, pusher: &Pusher, image: &Image, tags: &[&str]) {
        pusher.image(image, REPOSITORY, tags).await;
        self.tags.extend(tags.iter().map(|tag| (*tag).to_owned()));
        for (list, items) in [
            (&mut self.manifests, &image.manifests),
            (&mut self.blobs, &image.blobs),
        ] {
            list.extend(items.iter().map(|item| item.digest.clone()));
        }
    }

    /// As settings of the suite: what is there, and that nothing may be pushed or deleted.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let no = || "false".to_owned();
        vec![
            ("API_PUSH", no()),
            ("API_BLOBS_DELETE", no()),
            ("API_MANIFESTS_DELETE", no()),
            ("API_TAGS_DELETE", no()),
            // Of content that it has not pushed itself the suite does not look at this header, and then misses it.
            ("API_MANIFESTS_DIGEST_HEADER", no()),
            ("RO_DATA_TAGS", self.tags.join(" ")),
            ("RO_DATA_MANIFESTS", self.manifests.join(" ")),
            ("RO_DATA_BLOBS", self.blobs.join(" ")),
            ("RO_DATA_REFERRERS", self.referrers.join(" ")),
        ]
    }
}
