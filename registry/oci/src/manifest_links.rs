//! What a manifest points to. Reads whatever registries hold and clients accept; must not judge
//! whether a manifest is good, and must not know whether what it points to exists.

use serde_json::value::RawValue;

use crate::{Descriptor, Digest, MediaType, json};

#[cfg(test)]
mod tests;

/// What a manifest is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestKind {
    /// One image, or an artifact that is packed like one: a config and layers.
    Image,
    /// A list of manifests.
    Index,
    /// Anything else: Docker's schema 1 (its links are not read), OCI's artifact manifest (its
    /// blobs count as layers), or nothing that is known.
    Other,
}

/// The pointers in a manifest.
///
/// Missing or null arrays, unknown members and members of an unexpected type are passed over, and
/// so is a descriptor without a usable digest and size. What a body is, its own `mediaType` decides
/// when it is a known one: of an image that also has `manifests`, those are not read, and of an
/// index no config and layers. A body that says nothing about itself is judged by its shape, and
/// refused if it has both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestLinks {
    /// What the manifest is made for.
    pub kind: ManifestKind,
    /// What the body calls itself; None when it says nothing or no media type.
    pub media_type: Option<MediaType>,
    /// The kind of artifact, where the body names one itself.
    pub artifact_type: Option<String>,
    /// The configuration of an image.
    pub config: Option<Descriptor>,
    /// The layers of an image, in the order of the manifest; the blobs of an artifact manifest.
    pub layers: Vec<Descriptor>,
    /// The manifests of an index, in its order.
    pub children: Vec<Descriptor>,
    /// The manifest this one says something about.
    pub subject: Option<Descriptor>,
}

/// Why bytes cannot be read as a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are not JSON; says where and why.
    #[error("the manifest is not JSON: {0}")]
    NotJson(String),
    /// The bytes are JSON, but not an object.
    #[error("the manifest is not a JSON object")]
    NotAnObject,
    /// The body has the parts of an image and those of an index, and no `mediaType` tells which it
    /// is. Two readers could see two different things in it.
    #[error("the manifest has both layers and manifests, and no mediaType that tells which it is")]
    Ambiguous,
}

impl ManifestLinks {
    /// Reads the pointers out of a manifest, in time and memory linear in its size.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        let body = Body::read(bytes)?;
        let kind = body.kind()?;
        let mut links = Self {
            kind,
            artifact_type: body.artifact_type.and_then(json::text),
            config: None,
            layers: Vec::new(),
            children: Vec::new(),
            subject: body.subject.and_then(Descriptor::read),
            media_type: body.media_type,
        };
        let list = |array: Option<&RawValue>| {
            array
                .map(|array| json::list(array, Descriptor::read))
                .unwrap_or_default()
        };
        match kind {
            ManifestKind::Image => {
                links.config = body.config.and_then(Descriptor::read);
                links.layers = list(body.layers);
            }
            ManifestKind::Index => links.children = list(body.manifests),
            ManifestKind::Other => links.layers = list(body.blobs),
        }
        Ok(links)
    }

    /// A member of the manifest that is written like one that counts but for its case, and the one it resembles. Readers written
    /// in Go take the one for the other, so that two readers may see two different manifests.
    pub fn misspelt(bytes: &[u8]) -> Option<(String, &'static str)> {
        const KNOWN: [&str; 9] = [
            "schemaVersion",
            "mediaType",
            "artifactType",
            "config",
            "layers",
            "manifests",
            "blobs",
            "subject",
            "annotations",
        ];
        let mut found = None;
        json::members(str::from_utf8(bytes).ok()?, |name, _| {
            let resembles = |known: &&str| known.eq_ignore_ascii_case(name) && *known != name;
            if let Some(known) = KNOWN.into_iter().find(resembles) {
                found = Some((name.to_owned(), known));
            }
        })
        .ok()?;
        found
    }

    /// The blobs the manifest needs: its config, then its layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }

    /// The size in bytes the manifest gives for a blob or child of its own; None if it does not
    /// name that digest.
    pub fn size_of(&self, digest: &Digest) -> Option<u64> {
        let named = self
            .blobs()
            .chain(&self.children)
            .find(|descriptor| descriptor.digest == *digest);
        named.map(|descriptor| descriptor.size)
    }

    /// What the body calls itself, or else what its shape tells. None for what is no known
    /// manifest.
    pub(crate) fn media_type_in(bytes: &[u8]) -> Option<MediaType> {
        let mut body = Body::read(bytes).ok()?;
        if body.media_type.is_some() {
            return body.media_type.take();
        }
        match body.kind().ok()? {
            ManifestKind::Image => Some(MediaType::oci_manifest()),
            ManifestKind::Index => Some(MediaType::oci_index()),
            ManifestKind::Other if body.is_schema1() => {
                Some(MediaType::docker_schema1(body.signatures.is_some()))
            }
            ManifestKind::Other => body.blobs.map(|_| MediaType::oci_artifact()),
        }
    }
}

/// The members of a manifest that matter, not looked into yet.
#[derive(Default)]
struct Body<'text> {
    media_type: Option<MediaType>,
    schema_version: Option<u64>,
    artifact_type: Option<&'text RawValue>,
    config: Option<&'text RawValue>,
    layers: Option<&'text RawValue>,
    manifests: Option<&'text RawValue>,
    blobs: Option<&'text RawValue>,
    subject: Option<&'text RawValue>,
    file_system_layers: Option<&'text RawValue>,
    signatures: Option<&'text RawValue>,
}

impl<'text> Body<'text> {
    fn read(bytes: &'text [u8]) -> Result<Self, ManifestError> {
        let not_json = |why: &dyn ToString| ManifestError::NotJson(why.to_string());
        let text = std::str::from_utf8(bytes).map_err(|why| not_json(&why))?;
        let mut body = Self::default();
        let read = json::members(text, |name, value| match name {
            "mediaType" => {
                body.media_type = json::text(value).as_deref().and_then(MediaType::parse);
            }
            "schemaVersion" => body.schema_version = json::read(value),
            "artifactType" => body.artifact_type = Some(value),
            "config" => body.config = Some(value),
            "layers" => body.layers = Some(value),
            "manifests" => body.manifests = Some(value),
            "blobs" => body.blobs = Some(value),
            "subject" => body.subject = Some(value),
            "fsLayers" => body.file_system_layers = Some(value),
            "signatures" => body.signatures = Some(value),
            _ => {}
        });
        match read {
            Ok(()) => Ok(body),
            Err(_)
                if serde_json::from_str::<&RawValue>(text)
                    .is_ok_and(|value| !json::is_object(value)) =>
            {
                Err(ManifestError::NotAnObject)
            }
            Err(why) => Err(not_json(&why)),
        }
    }

    fn kind(&self) -> Result<ManifestKind, ManifestError> {
        match &self.media_type {
            Some(named) if named.is_image() => Ok(ManifestKind::Image),
            Some(named) if named.is_index() => Ok(ManifestKind::Index),
            Some(named) if named.is_oci_artifact() || named.is_docker_schema1() => {
                Ok(ManifestKind::Other)
            }
            _ if self.is_schema1() => Ok(ManifestKind::Other),
            _ => self.kind_by_shape(),
        }
    }

    /// What the body looks like. What holds something counts first, then what is there at all: some
    /// tools write the empty or null array of the other kind too.
    fn kind_by_shape(&self) -> Result<ManifestKind, ManifestError> {
        let has_image = self.config.is_some_and(json::is_object)
            || self.layers.is_some_and(json::is_filled_array);
        let has_index = self.manifests.is_some_and(json::is_filled_array);
        match (has_image, has_index) {
            (true, true) => Err(ManifestError::Ambiguous),
            (true, false) => Ok(ManifestKind::Image),
            (false, true) => Ok(ManifestKind::Index),
            (false, false) if self.manifests.is_some() => Ok(ManifestKind::Index),
            (false, false) if self.layers.is_some() => Ok(ManifestKind::Image),
            (false, false) => Ok(ManifestKind::Other),
        }
    }

    fn is_schema1(&self) -> bool {
        self.schema_version == Some(1) || self.file_system_layers.is_some()
    }
}
