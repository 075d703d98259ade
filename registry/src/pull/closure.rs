//! What an image consists of, and what of it is here: the list, the manifests of the wanted platforms, what refers to them, their
//! configs and layers. Looks only at the store; nothing is fetched, asked for or noted as used.

mod walk;

use std::collections::HashSet;

use cistern_oci::{Digest, MediaType, Platform};

use super::status::DownloadReport;
use super::{Platforms, Pull, PullError};
use crate::repositories::Repository;

/// What an image consists of, as far as that can be told from what is here.
#[derive(Clone, Debug, Default)]
pub struct Closure {
    /// Whether the root is a list of images.
    pub is_index: bool,
    /// Everything that is a manifest, the root first, each once. Of a list only what is for the wanted platforms.
    pub manifests: Vec<ClosureManifest>,
    /// The wanted platforms that the list has no image for: its upstream cannot give one either.
    pub absent: Vec<Platform>,
    /// The image is larger than is looked at, and what is beyond that is not known: it never counts as complete.
    pub is_cut: bool,
}

/// A manifest of an image.
#[derive(Clone, Debug)]
pub struct ClosureManifest {
    /// Its digest.
    pub digest: Digest,
    /// What it is for the image.
    pub role: ManifestRole,
    /// The machine it is for, where a list says so.
    pub platform: Option<Platform>,
    /// Its length in bytes, where that is known: from what names it, or because it is here.
    pub size: Option<u64>,
    /// Whether it is here. One that is not tells nothing of what is below it.
    pub is_here: bool,
    /// Whether it is here and makes no sense as a manifest; it is served as it is, and nothing below it is known.
    pub is_broken: bool,
    /// Its config and layers, each once.
    pub blobs: Vec<ClosureBlob>,
}

/// What a manifest is for the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManifestRole {
    /// A list of manifests: the root, or one inside it.
    Index,
    /// An image for one platform, or an artifact that is packed like one.
    Image,
    /// BuildKit's attestation about a chosen image. Counted, but no engine needs it to run the image.
    Attestation,
    /// It refers to the root or to a chosen image: a signature, a bill of materials. Known where a list of them was kept.
    Referrer,
}

/// A blob of an image.
#[derive(Clone, Debug)]
pub struct ClosureBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, as the manifest names it.
    pub size: u64,
    /// The kind of content, as the manifest names it.
    pub media_type: MediaType,
    /// Whether it is the config, not a layer.
    pub is_config: bool,
    /// Whether all of it is in the store.
    pub is_here: bool,
    /// How many bytes of it are here if not all are: from a download that runs or stopped.
    pub partial: u64,
    /// A layer that registries must not distribute, with the addresses where engines get it: it may be missing here.
    pub is_foreign: bool,
    /// Its download, if one runs.
    pub running: Option<DownloadReport>,
}

impl Pull {
    /// What this image consists of and what of it is here. A manifest that is no list counts as chosen whatever its platform.
    pub async fn closure(
        &self,
        repository: &Repository,
        root: &Digest,
        platforms: &Platforms,
    ) -> Result<Closure, PullError> {
        walk::Walk::new(&self.parts, repository, platforms)
            .from(*root)
            .await
    }
}

// === impl Closure ===

impl Closure {
    /// Whether everything that an engine needs is here: the image can be pulled while the upstream is away. Attestations and
    /// foreign layers may be missing. An image that has none of the wanted platforms is not.
    pub fn is_complete(&self) -> bool {
        self.missing_bytes() == Some(0)
            && self.missing_blobs().next().is_none()
            && (self.absent.is_empty() || self.images().next().is_some())
    }

    /// The bytes of blobs that are still to come; what is here of a blob that is not whole does not count. `None` while a manifest
    /// is missing: nobody knows what is below it.
    pub fn missing_bytes(&self) -> Option<u64> {
        let is_known = !self.is_cut && self.missing_manifests().next().is_none();
        let missing = self.missing_blobs();
        is_known.then(|| {
            missing.fold(0, |sum: u64, blob| {
                sum.saturating_add(blob.size.saturating_sub(blob.partial))
            })
        })
    }

    /// The bytes of all its manifests and blobs, each once; foreign layers that are not here are left out. `None` while a manifest is
    /// missing.
    pub fn total_bytes(&self) -> Option<u64> {
        let is_known = !self.is_cut && self.missing_manifests().next().is_none();
        let manifests = self.manifests.iter().filter_map(|manifest| manifest.size);
        let blobs = each_once(self.manifests.iter())
            .filter(|blob| blob.is_here || !blob.is_foreign)
            .map(|blob| blob.size);
        is_known.then(|| manifests.chain(blobs).fold(0, u64::saturating_add))
    }

    /// The manifests that are needed and not here.
    pub fn missing_manifests(&self) -> impl Iterator<Item = &ClosureManifest> {
        self.needed().filter(|manifest| !manifest.is_here)
    }

    /// The blobs that are needed and not here, each once.
    pub fn missing_blobs(&self) -> impl Iterator<Item = &ClosureBlob> {
        each_once(self.needed()).filter(|blob| blob.is_missing())
    }

    /// The images themselves, one per platform; a root that is not here is none.
    pub fn images(&self) -> impl Iterator<Item = &ClosureManifest> {
        let is_image = |manifest: &&ClosureManifest| manifest.role == ManifestRole::Image;
        self.manifests.iter().filter(is_image)
    }

    fn needed(&self) -> impl Iterator<Item = &ClosureManifest> {
        self.manifests
            .iter()
            .filter(|manifest| manifest.role.is_needed())
    }
}

fn each_once<'all>(
    manifests: impl Iterator<Item = &'all ClosureManifest>,
) -> impl Iterator<Item = &'all ClosureBlob> {
    let mut seen = HashSet::new();
    manifests
        .flat_map(|manifest| &manifest.blobs)
        .filter(move |blob| seen.insert(blob.digest))
}

// === impl ClosureManifest ===

impl ClosureManifest {
    /// Whether it is BuildKit's attestation, which no engine needs.
    pub fn is_attestation(&self) -> bool {
        self.role == ManifestRole::Attestation
    }

    /// Bytes of its blobs that are still to come. `None` if it is not here.
    pub fn missing_bytes(&self) -> Option<u64> {
        let missing = self.blobs.iter().filter(|blob| blob.is_missing());
        let left = missing.map(|blob| blob.size.saturating_sub(blob.partial));
        self.is_here.then(|| left.fold(0, u64::saturating_add))
    }

    /// Whether it and all its blobs are here.
    pub fn is_complete(&self) -> bool {
        self.is_here && !self.blobs.iter().any(ClosureBlob::is_missing)
    }
}

// === impl ManifestRole ===

impl ManifestRole {
    /// Whether the image is not complete without it.
    pub fn is_needed(self) -> bool {
        self != Self::Attestation
    }
}

// === impl ClosureBlob ===

impl ClosureBlob {
    /// Whether it is not here and should be.
    pub fn is_missing(&self) -> bool {
        !self.is_here && !self.is_foreign
    }

    /// How many bytes of it are here.
    pub fn bytes_here(&self) -> u64 {
        if self.is_here {
            self.size
        } else {
            self.partial.min(self.size)
        }
    }
}

#[cfg(test)]
mod tests;
