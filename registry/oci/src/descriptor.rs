//! One pointer from a manifest to other content. Must not know whether the content is there.

use serde_json::value::RawValue;

use crate::{Digest, MediaType, Platform, json};

/// What a manifest says about a piece of content it points to. It is a claim: only the digest can
/// be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The kind of the content; `application/octet-stream` when the manifest does not say.
    pub media_type: MediaType,
    /// The address of the content.
    pub digest: Digest,
    /// The length of the content in bytes.
    pub size: u64,
    /// The kind of artifact, where the content is a manifest of one.
    pub artifact_type: Option<String>,
    /// The machine the content is for, where an index says so.
    pub platform: Option<Platform>,
    /// Where else the content may be fetched; layers that registries must not distribute carry such
    /// addresses.
    pub urls: Vec<String>,
    /// The manifest that this one attests something of, in an index that BuildKit wrote: it is listed among the images without
    /// being one (BuildKit, docs/attestations/attestation-storage.md).
    pub attests: Option<Digest>,
}

impl Descriptor {
    /// Reads a descriptor leniently. None without a digest and a size that can be used: such a
    /// pointer cannot be followed, and a made-up size would be answered to callers.
    pub(crate) fn read(raw: &RawValue) -> Option<Self> {
        let (mut media_type, mut digest, mut size) = (None, None, None);
        let (mut artifact_type, mut platform, mut urls) = (None, None, Vec::new());
        let mut attests = None;
        json::members(raw.get(), |name, value| match name {
            "mediaType" => media_type = json::text(value),
            "digest" => digest = json::text(value).and_then(|text| text.parse().ok()),
            "size" => size = json::read(value),
            "artifactType" => artifact_type = json::text(value),
            "platform" => platform = Platform::read(value),
            "urls" => urls = json::list(value, json::text),
            "annotations" => attests = attested(value),
            _ => {}
        })
        .ok()?;
        Some(Self {
            media_type: MediaType::new(&media_type.unwrap_or_default()),
            digest: digest?,
            size: size?,
            artifact_type,
            platform,
            urls,
            attests,
        })
    }
}

/// What the annotations of an attestation name.
fn attested(annotations: &RawValue) -> Option<Digest> {
    let (mut kind, mut digest) = (None, None);
    json::members(annotations.get(), |name, value| match name {
        "vnd.docker.reference.type" => kind = json::text(value),
        "vnd.docker.reference.digest" => digest = json::text(value),
        _ => {}
    })
    .ok()?;
    kind.filter(|kind| kind == "attestation-manifest")?;
    digest?.parse().ok()
}
