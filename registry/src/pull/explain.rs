//! What a child that asks for an image now would get, and why. It looks at what is known, in the order in which `manifests` and
//! `blobs` do, and does nothing of it: nothing is fetched, no check begins, no use is noted.

use std::time::Duration;

use cistern_oci::{Descriptor, Digest, Manifest, ManifestKind, ManifestLinks, Platform, Reference};
use cistern_storage::{StorageError, TagRecord};

use super::check::{age, freshness};
use super::freshness::Freshness;
use super::manifests::manifest_error;
use super::status::DownloadReport;
use super::{Asked, LinkReport, Parts, Pull, PullError, StaleTag, TagKey};
use crate::repositories::{Mirror, Repository};

/// What is known of an image.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// What a child would get.
    pub outlook: Outlook,
    /// What is known of the tag, if one was asked for.
    pub tag: Option<KnownTag>,
    /// How the link to its upstream is; `None` for a repository that lives here.
    pub link: Option<LinkReport>,
    /// What the upstream refused a moment ago and is not asked again for: the tag or manifest, its children, its blobs.
    pub refusals: Vec<(Reference, Asked)>,
    /// The manifest that the reference means here, if that is known.
    pub digest: Option<Digest>,
    /// Whether the reference means a list of images for several platforms.
    pub is_index: bool,
    /// The manifests of the image, one per platform; those only named by the list too.
    pub manifests: Vec<ImageManifest>,
}

/// What a child that asks for the manifest now would get.
#[derive(Clone, Debug)]
pub enum Outlook {
    /// It is served from here without asking anybody.
    FromHere,
    /// It is served from here, marked as unconfirmed, for this reason.
    Unconfirmed(PullError),
    /// Its upstream is asked; if that is silent or fails, what is here is served as unconfirmed.
    AskedFirst,
    /// Its upstream is asked, and nothing is here to be served instead.
    Fetched,
    /// It is refused.
    Refused(PullError),
}

/// What is known of a tag.
#[derive(Clone, Debug)]
pub struct KnownTag {
    /// What it meant when it was confirmed.
    pub digest: Digest,
    /// How long ago that was; `None` if that is not known, as for a tag that another program's store brought.
    pub confirmed_ago: Option<Duration>,
    /// The host that confirmed it.
    pub source: Option<String>,
    /// How long a confirmed tag is served without asking again.
    pub check_every: Duration,
    /// Whether it is refused rather than served unconfirmed (`proxy.strict`).
    pub is_strict: bool,
    /// Since when it is served unconfirmed, if it is.
    pub stale: Option<StaleTag>,
}

/// A manifest of an image.
#[derive(Clone, Debug)]
pub struct ImageManifest {
    /// Its digest.
    pub digest: Digest,
    /// The machine it is for, if the list says so.
    pub platform: Option<Platform>,
    /// Whether it is here. One that is not tells nothing of its blobs.
    pub is_here: bool,
    /// Its own size in bytes.
    pub size: u64,
    /// Its config and layers.
    pub blobs: Vec<ImageBlob>,
}

/// A blob of an image.
#[derive(Clone, Debug)]
pub struct ImageBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, as the manifest names it.
    pub size: u64,
    /// Whether it is the config, not a layer.
    pub is_config: bool,
    /// Where it is.
    pub place: BlobPlace,
}

/// Where a blob is.
#[derive(Clone, Debug)]
pub enum BlobPlace {
    /// In the store.
    Here,
    /// Being downloaded.
    Running(DownloadReport),
    /// A part of it is here, so many bytes, from a download that stopped.
    Partial(u64),
    /// Not here.
    Missing,
}

/// So many platforms of one list are looked at; more are told as a number only.
const MOST_MANIFESTS: usize = 64;

impl Pull {
    /// Explains what a child would get that asks for this image now.
    pub async fn explain(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Explanation, StorageError> {
        let explainer = Explainer {
            parts: &self.parts,
            repository,
        };
        explainer.explain(reference).await
    }
}

struct Explainer<'a> {
    parts: &'a Parts,
    repository: &'a Repository,
}

impl Explainer<'_> {
    async fn explain(&self, reference: &Reference) -> Result<Explanation, StorageError> {
        let (record, digest) = match reference {
            Reference::Digest(digest) => (None, Some(*digest)),
            Reference::Tag(tag) => {
                let repositories = self.parts.storage.repositories();
                let record = repositories.tag(self.repository.name(), tag).await?;
                let digest = record.as_ref().map(|record| record.digest);
                (record, digest)
            }
        };
        let manifest = match &digest {
            Some(digest) => self.stored(digest).await?,
            None => None,
        };
        let links = manifest.as_ref().map(links_of);
        let manifests = match (&manifest, &links) {
            (Some(manifest), Some(links)) => self.manifests(manifest, links).await?,
            _ => Vec::new(),
        };
        let outlook = self.outlook(reference, record.as_ref(), manifest.is_some());
        Ok(Explanation {
            outlook,
            tag: record.and_then(|record| self.known(reference, &record)),
            link: self.link(),
            refusals: self.refusals(reference, &manifests),
            digest,
            is_index: links.is_some_and(|links| links.kind == ManifestKind::Index),
            manifests,
        })
    }

    fn mirror(&self) -> Option<&Mirror> {
        match self.repository {
            Repository::Hosted(_) => None,
            Repository::Mirror(mirror) => Some(mirror),
        }
    }

    fn link(&self) -> Option<LinkReport> {
        let host = self.mirror()?.upstream.host();
        let reports = self.parts.links.reports();
        reports.into_iter().find(|link| link.upstream == host)
    }

    fn known(&self, reference: &Reference, record: &TagRecord) -> Option<KnownTag> {
        let Reference::Tag(tag) = reference else {
            return None;
        };
        let key: TagKey = (self.repository.name().clone(), tag.clone());
        let stale = self.parts.stale.all();
        let policy = &self.parts.policy;
        Some(KnownTag {
            digest: record.digest,
            confirmed_ago: age(self.parts, &key, Some(record)),
            source: record.source.as_deref().map(str::to_owned),
            check_every: self.mirror().map_or(policy.check_every, |mirror| {
                policy.check_every_of(&mirror.upstream)
            }),
            is_strict: self.mirror().is_some() && policy.is_strict(&key.0, tag),
            stale: stale
                .into_iter()
                .find(|stale| (&stale.repository, &stale.tag) == (&key.0, tag)),
        })
    }

    /// The order is that of `manifests`.
    fn outlook(&self, reference: &Reference, record: Option<&TagRecord>, is_here: bool) -> Outlook {
        let Some(mirror) = self.mirror() else {
            return if is_here {
                Outlook::FromHere
            } else {
                Outlook::Refused(PullError::ManifestUnknown(reference.clone(), None))
            };
        };
        let remembered = match reference {
            Reference::Digest(_) if is_here => return Outlook::FromHere,
            Reference::Digest(digest) => {
                let key = (mirror.name.clone(), *digest);
                self.parts.refused_manifests.get(&key)
            }
            Reference::Tag(tag) => {
                let key: TagKey = (mirror.name.clone(), tag.clone());
                let fresh = freshness(self.parts, mirror, &key, record) == Freshness::Fresh;
                if fresh && is_here {
                    return Outlook::FromHere;
                }
                self.parts.refused_tags.get(&key)
            }
        };
        let strict = match reference {
            Reference::Tag(tag) if self.parts.policy.is_strict(&mirror.name, tag) => Some(tag),
            Reference::Tag(_) | Reference::Digest(_) => None,
        };
        let host = mirror.upstream.host();
        let remembered = remembered.map(|asked| manifest_error(reference.clone(), asked));
        match (remembered, strict) {
            (Some(error), None) if is_here => Outlook::Unconfirmed(error),
            (Some(error), Some(tag))
                if is_here && !matches!(error, PullError::ManifestUnknown(..)) =>
            {
                Outlook::Refused(PullError::Strict(tag.clone(), Box::new(error)))
            }
            (Some(error), _) => Outlook::Refused(error),
            (None, None) if is_here && self.parts.links.is_degraded(host) => {
                Outlook::Unconfirmed(self.parts.link_error(host))
            }
            (None, None) if is_here => Outlook::AskedFirst,
            (None, _) => Outlook::Fetched,
        }
    }

    fn refusals(
        &self,
        reference: &Reference,
        manifests: &[ImageManifest],
    ) -> Vec<(Reference, Asked)> {
        let Some(mirror) = self.mirror() else {
            return Vec::new();
        };
        let mut refusals = Vec::new();
        if let Reference::Tag(tag) = reference {
            let key: TagKey = (mirror.name.clone(), tag.clone());
            let refused = self.parts.refused_tags.get(&key);
            refusals.extend(refused.map(|asked| (reference.clone(), asked)));
        }
        let asked_for = match reference {
            Reference::Tag(_) => None,
            Reference::Digest(digest) => Some(*digest),
        };
        let missing = manifests.iter().filter(|manifest| !manifest.is_here);
        let missing = missing.map(|manifest| manifest.digest).chain(asked_for);
        for digest in missing {
            let refused = self
                .parts
                .refused_manifests
                .get(&(mirror.name.clone(), digest));
            refusals.extend(refused.map(|asked| (Reference::Digest(digest), asked)));
        }
        for blob in manifests.iter().flat_map(|manifest| &manifest.blobs) {
            let key = (mirror.name.clone(), blob.digest);
            let refused = self.parts.refused_blobs.get(&key);
            refusals.extend(refused.map(|asked| (Reference::Digest(blob.digest), asked)));
        }
        refusals
    }

    async fn stored(&self, digest: &Digest) -> Result<Option<Manifest>, StorageError> {
        let repositories = self.parts.storage.repositories();
        repositories.manifest(self.repository.name(), digest).await
    }

    /// The image itself, or what a list names.
    async fn manifests(
        &self,
        top: &Manifest,
        links: &ManifestLinks,
    ) -> Result<Vec<ImageManifest>, StorageError> {
        if links.kind != ManifestKind::Index {
            let size = u64::try_from(top.bytes.len()).unwrap_or(u64::MAX);
            let image = ImageManifest {
                digest: top.digest,
                platform: None,
                is_here: true,
                size,
                blobs: self.blobs(links).await?,
            };
            return Ok(vec![image]);
        }
        let mut manifests = Vec::new();
        for child in links.children.iter().take(MOST_MANIFESTS) {
            manifests.push(self.child(child).await?);
        }
        Ok(manifests)
    }

    async fn child(&self, named: &Descriptor) -> Result<ImageManifest, StorageError> {
        let manifest = self.stored(&named.digest).await?;
        let blobs = match &manifest {
            Some(manifest) => self.blobs(&links_of(manifest)).await?,
            None => Vec::new(),
        };
        Ok(ImageManifest {
            digest: named.digest,
            platform: named.platform.clone(),
            is_here: manifest.is_some(),
            size: named.size,
            blobs,
        })
    }

    async fn blobs(&self, links: &ManifestLinks) -> Result<Vec<ImageBlob>, StorageError> {
        let mut blobs: Vec<ImageBlob> = Vec::new();
        for named in links.blobs() {
            if blobs.iter().any(|blob| blob.digest == named.digest) {
                continue;
            }
            let is_config = links
                .config
                .as_ref()
                .is_some_and(|config| config.digest == named.digest);
            blobs.push(ImageBlob {
                digest: named.digest,
                size: named.size,
                is_config,
                place: self.place(&named.digest).await?,
            });
        }
        Ok(blobs)
    }

    async fn place(&self, digest: &Digest) -> Result<BlobPlace, StorageError> {
        let blobs = self.parts.storage.blobs();
        // In this order: a download that ends meanwhile has its blob in the store before it is no longer running.
        if let Some(running) = self.parts.downloads.running(digest) {
            return Ok(BlobPlace::Running(DownloadReport::of(*digest, &running)));
        }
        if blobs.size(digest).await?.is_some() {
            return Ok(BlobPlace::Here);
        }
        let partial = blobs.partial(digest).await?;
        Ok(match partial {
            Some(partial) if partial.length > 0 => BlobPlace::Partial(partial.length),
            Some(_) | None => BlobPlace::Missing,
        })
    }
}

/// What a manifest points to; nothing, if it cannot be read.
fn links_of(manifest: &Manifest) -> ManifestLinks {
    ManifestLinks::read(&manifest.bytes).unwrap_or_else(|_| ManifestLinks {
        kind: ManifestKind::Other,
        media_type: None,
        artifact_type: None,
        config: None,
        layers: Vec::new(),
        children: Vec::new(),
        subject: None,
    })
}
