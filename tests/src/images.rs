//! Tiny real images, made in memory: the same bytes for the same seed, every time.

mod build;
mod shapes;
mod tarball;

use std::fmt::Write as _;

use bytes::Bytes;
use sha2::{Digest as _, Sha256, Sha512};

pub use build::{Family, ImageBuilder, Layer, image, this_architecture};
pub use shapes::{
    artifact, flat_json, index, nested_index, odd_json, referring_artifact, sparse_index,
};
pub use tarball::{gunzip, gzip, random_bytes};

/// Docker's image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// OCI's image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A digest algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// sha256, the usual one.
    Sha256,
    /// sha512.
    Sha512,
}

/// The digest of `bytes`, as text.
pub fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
    match algorithm {
        Algorithm::Sha256 => format!("sha256:{}", hex(&Sha256::digest(bytes))),
        Algorithm::Sha512 => format!("sha512:{}", hex(&Sha512::digest(bytes))),
    }
}

fn hex(sum: &[u8]) -> String {
    sum.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The sha256 digest of `bytes`, as text.
pub fn sha256(bytes: &[u8]) -> String {
    digest(Algorithm::Sha256, bytes)
}

/// Bytes with their digest and media type: a blob or a manifest.
#[derive(Clone, Debug)]
pub struct Item {
    /// `sha256:…` or `sha512:…`.
    pub digest: String,
    /// What a descriptor of it says.
    pub media_type: String,
    /// The exact bytes.
    pub bytes: Bytes,
}

impl Item {
    /// With its sha256 digest.
    pub fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        Self::with(Algorithm::Sha256, media_type, bytes)
    }

    /// With a digest of the given algorithm.
    pub fn with(algorithm: Algorithm, media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            digest: digest(algorithm, &bytes),
            media_type: media_type.to_owned(),
            bytes,
        }
    }

    /// Its descriptor.
    pub fn descriptor(&self) -> serde_json::Value {
        serde_json::json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }

    /// `size` bytes that no compression makes smaller, as a blob.
    pub fn random(seed: u64, size: usize) -> Self {
        Self::new("application/octet-stream", random_bytes(seed, size))
    }
}

/// All that a registry must hold so that one manifest can be pulled.
#[derive(Clone, Debug)]
pub struct Image {
    /// Manifests, children before parents: the last is the one that a tag names.
    pub manifests: Vec<Item>,
    /// Configs and layers.
    pub blobs: Vec<Item>,
}

impl Image {
    /// The manifest that a tag names.
    pub fn top(&self) -> &Item {
        self.manifests.last().unwrap()
    }

    /// Its digest.
    pub fn digest(&self) -> &str {
        &self.top().digest
    }

    /// The blob or manifest of this digest.
    pub fn item(&self, digest: &str) -> &Item {
        self.manifests
            .iter()
            .chain(&self.blobs)
            .find(|item| item.digest == digest)
            .unwrap()
    }

    /// How many bytes its blobs have in all.
    pub fn blob_bytes(&self) -> usize {
        self.blobs.iter().map(|blob| blob.bytes.len()).sum()
    }

    /// The largest blob.
    pub fn largest_blob(&self) -> &Item {
        self.blobs
            .iter()
            .max_by_key(|blob| blob.bytes.len())
            .unwrap()
    }
}
