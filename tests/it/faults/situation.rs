//! What a caller may be after when the fault strikes, and what the right answer to it is.

use std::sync::LazyLock;

use bytes::Bytes;
use cistern_tests::images::{Image, Item, OCI_INDEX, artifact, image};
use cistern_tests::scripted_upstream::ScriptedUpstream;
use serde_json::json;

use crate::common::{MIB, blob_path, manifest_path};

/// The tag of all images.
pub(super) const TAG: &str = "v1";
/// The tags of the repository whose tags are listed.
const TAGS: [&str; 3] = [TAG, "v2", "v3"];

/// What is asked for, and what the cache has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Situation {
    ColdBlob,
    PartBlob,
    ColdTag,
    StaleTag,
    FreshTag,
    ByDigest,
    TagList,
    Referrers,
}

impl Situation {
    /// All, in the order of the columns.
    pub(super) const ALL: [Self; 8] = [
        Self::ColdBlob,
        Self::PartBlob,
        Self::ColdTag,
        Self::StaleTag,
        Self::FreshTag,
        Self::ByDigest,
        Self::TagList,
        Self::Referrers,
    ];

    /// The head of its column.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::ColdBlob => "cold blob",
            Self::PartBlob => "partly fetched blob",
            Self::ColdTag => "cold tag",
            Self::StaleTag => "cached tag, due to be checked",
            Self::FreshTag => "cached tag, just checked",
            Self::ByDigest => "cold manifest by digest",
            Self::TagList => "list of tags",
            Self::Referrers => "list of referrers",
        }
    }

    pub(super) fn is_blob(self) -> bool {
        matches!(self, Self::ColdBlob | Self::PartBlob)
    }

    fn repository(self) -> String {
        format!("plant/{}", format!("{self:?}").to_lowercase())
    }
}

/// One situation with everything that belongs to it.
pub(super) struct Cell {
    pub(super) situation: Situation,
    pub(super) repository: String,
    /// What the caller asks for.
    pub(super) path: String,
    /// What the upstream holds.
    pub(super) image: Image,
    /// What the tag was when it was cached.
    pub(super) before: Option<Image>,
    /// The body of the right answer, as the upstream has it.
    pub(super) body: Bytes,
}

/// The cells of every row. Their bytes are made once.
pub(super) static CELLS: LazyLock<Vec<Cell>> = LazyLock::new(|| {
    let situations = Situation::ALL.into_iter().zip(1..);
    situations
        .map(|(situation, seed)| Cell::new(situation, seed))
        .collect()
});

impl Cell {
    fn new(situation: Situation, seed: u64) -> Self {
        let repository = situation.repository();
        let size = if situation.is_blob() { 2 * MIB } else { 1000 };
        let image = image().random_layers(seed, 1, size).build();
        let before = (situation == Situation::StaleTag).then(|| {
            cistern_tests::images::image()
                .random_layers(99, 1, 1000)
                .build()
        });
        let (path, body) = match situation {
            Situation::ColdBlob | Situation::PartBlob => {
                let blob = image.largest_blob();
                (blob_path(&repository, &blob.digest), blob.bytes.clone())
            }
            Situation::ColdTag | Situation::StaleTag | Situation::FreshTag => {
                (manifest_path(&repository, TAG), image.top().bytes.clone())
            }
            Situation::ByDigest => {
                let path = manifest_path(&repository, image.digest());
                (path, image.top().bytes.clone())
            }
            Situation::TagList => {
                let list = json!({ "name": repository, "tags": TAGS });
                (
                    format!("/v2/{repository}/tags/list"),
                    list.to_string().into(),
                )
            }
            Situation::Referrers => {
                let path = format!("/v2/{repository}/referrers/{}", image.digest());
                (path, referrers().to_string().into())
            }
        };
        Self {
            situation,
            repository,
            path,
            image,
            before,
            body,
        }
    }

    /// Every request for anything of it.
    pub(super) fn requests(&self) -> String {
        format!("/v2/{}/*", self.repository)
    }

    /// Puts it into an upstream.
    pub(super) fn put(&self, upstream: &ScriptedUpstream) {
        let tags: &[&str] = match self.situation {
            Situation::TagList => &TAGS,
            _ => &[TAG],
        };
        upstream.hold(&self.image, &self.repository, tags);
        if self.situation == Situation::Referrers {
            upstream.hold_file(&self.path, OCI_INDEX, self.body.clone());
        }
    }

    /// Puts all of it into a storage, under the addresses that a redirect leads to.
    pub(super) fn put_signed(&self, storage: &ScriptedUpstream) {
        let hold = |path: &str, item: &Item| {
            let path = format!("/signed{path}");
            storage.hold_file(&path, &item.media_type, item.bytes.clone());
        };
        for blob in &self.image.blobs {
            hold(&blob_path(&self.repository, &blob.digest), blob);
        }
        for manifest in &self.image.manifests {
            hold(&manifest_path(&self.repository, &manifest.digest), manifest);
        }
        hold(&manifest_path(&self.repository, TAG), self.image.top());
        if self.situation == Situation::TagList {
            let list = Item::new("application/json", self.body.clone());
            hold(&self.path, &list);
        }
    }
}

/// What refers to the manifest whose referrers are asked for.
pub(super) fn referrers() -> serde_json::Value {
    let kind = "application/vnd.example.signature.v1";
    let mut descriptor = artifact(kind, "signed").top().descriptor();
    descriptor["artifactType"] = json!(kind);
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor] })
}

/// The tags that are listed.
pub(super) fn tags() -> serde_json::Value {
    json!(TAGS)
}
