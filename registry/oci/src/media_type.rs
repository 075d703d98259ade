//! What kind of content some bytes are. Must not know how such content is read.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use oci_spec::image::MediaType as Standard;

#[cfg(test)]
mod tests;

/// The `Accept` header every manifest request to an upstream carries: always the same and complete,
/// so that what is cached never depends on which caller came first.
///
/// Docker's schema 1 is left out on purpose. An upstream that is offered it may convert to it, and
/// the digest of a signed schema 1 manifest is not the hash of its bytes, so nothing could be
/// verified. A registry that holds nothing else answers with it all the same.
pub const MANIFEST_ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.oci.artifact.manifest.v1+json";

static OCI_MANIFEST: Standard = Standard::ImageManifest;
static OCI_INDEX: Standard = Standard::ImageIndex;
static OCI_ARTIFACT: Standard = Standard::ArtifactManifest;
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const OCTET_STREAM: &str = "application/octet-stream";

/// The longest media type that is believed: two names of 127 characters each, as RFC 6838 allows,
/// and the slash.
const LONGEST: usize = 255;

/// A media type without parameters, such as `application/vnd.oci.image.index.v1+json`.
///
/// Always well-formed (`type/subtype` in the characters RFC 9110 allows), so it can be sent as a
/// header as it is. Cloning is cheap.
#[derive(Clone)]
pub struct MediaType(Text);

#[derive(Clone)]
enum Text {
    Known(&'static str),
    Other(Arc<str>),
}

impl MediaType {
    /// Reads a `Content-Type` header or a `mediaType` member: parameters and surrounding spaces are
    /// dropped, the types of manifests are recognised in any case, and what is not a media type at
    /// all counts as `application/octet-stream`.
    pub fn new(text: &str) -> Self {
        Self::parse(text).unwrap_or(Self(Text::Known(OCTET_STREAM)))
    }

    /// As [`MediaType::new`], but None for what is not a media type.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        if let Some(known) = known()
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(essence))
        {
            return Some(Self(Text::Known(known)));
        }
        let (kind, subtype) = essence.split_once('/')?;
        let well_formed = essence.len() <= LONGEST && is_token(kind) && is_token(subtype);
        well_formed.then(|| Self(Text::Other(essence.into())))
    }

    /// The type as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Known(text) => text,
            Text::Other(text) => text,
        }
    }

    /// `application/vnd.oci.image.manifest.v1+json`
    pub fn oci_manifest() -> Self {
        Self(Text::Known(OCI_MANIFEST.as_ref()))
    }

    /// `application/vnd.oci.image.index.v1+json`
    pub fn oci_index() -> Self {
        Self(Text::Known(OCI_INDEX.as_ref()))
    }

    /// `application/vnd.oci.artifact.manifest.v1+json`, of a release candidate of OCI 1.1; some
    /// registries hold it.
    pub fn oci_artifact() -> Self {
        Self(Text::Known(OCI_ARTIFACT.as_ref()))
    }

    /// `application/vnd.docker.distribution.manifest.v2+json`
    pub fn docker_manifest() -> Self {
        Self(Text::Known(DOCKER_MANIFEST))
    }

    /// `application/vnd.docker.distribution.manifest.list.v2+json`
    pub fn docker_list() -> Self {
        Self(Text::Known(DOCKER_LIST))
    }

    /// Docker's first schema, signed or not.
    pub(crate) fn docker_schema1(signed: bool) -> Self {
        Self(Text::Known(if signed {
            DOCKER_SCHEMA1_SIGNED
        } else {
            DOCKER_SCHEMA1
        }))
    }

    /// Whether this is an index of manifests: OCI's or Docker's manifest list.
    pub fn is_index(&self) -> bool {
        self.as_str() == OCI_INDEX.as_ref() || self.as_str() == DOCKER_LIST
    }

    /// Whether this is the manifest of one image (or of what is packed like one): OCI's or
    /// Docker's.
    pub fn is_image(&self) -> bool {
        self.as_str() == OCI_MANIFEST.as_ref() || self.as_str() == DOCKER_MANIFEST
    }

    /// Whether this is one of the four types every registry stores as a manifest:
    /// [`is_image`](Self::is_image) or [`is_index`](Self::is_index).
    pub fn is_manifest(&self) -> bool {
        self.is_image() || self.is_index()
    }

    /// Whether this is a manifest by its name, the two historic forms included that
    /// [`is_manifest`](Self::is_manifest) leaves out.
    pub(crate) fn names_a_manifest(&self) -> bool {
        self.is_manifest() || self.is_oci_artifact() || self.is_docker_schema1()
    }

    pub(crate) fn is_oci_artifact(&self) -> bool {
        self.as_str() == OCI_ARTIFACT.as_ref()
    }

    pub(crate) fn is_docker_schema1(&self) -> bool {
        matches!(self.as_str(), DOCKER_SCHEMA1 | DOCKER_SCHEMA1_SIGNED)
    }
}

impl PartialEq for MediaType {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for MediaType {}

impl Hash for MediaType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl serde::Serialize for MediaType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for MediaType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(Self::new(&text))
    }
}

/// The types that are recognised in any case and take no memory of their own.
fn known() -> [&'static str; 8] {
    let (manifest, index, artifact) = (
        OCI_MANIFEST.as_ref(),
        OCI_INDEX.as_ref(),
        OCI_ARTIFACT.as_ref(),
    );
    [
        manifest,
        index,
        DOCKER_MANIFEST,
        DOCKER_LIST,
        artifact,
        DOCKER_SCHEMA1,
        DOCKER_SCHEMA1_SIGNED,
        OCTET_STREAM,
    ]
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
