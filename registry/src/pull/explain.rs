//! What a child that asks for an image now would get, and why. It looks at what is known, in the order in which `manifests` and
//! `blobs` do, and does nothing of it: nothing is fetched, no check begins, no use is noted.

use std::time::Duration;

use cistern_oci::{Digest, Reference};
use cistern_storage::{StorageError, TagRecord};

use super::check::{age, freshness};
use super::freshness::Freshness;
use super::manifests::manifest_error;
use super::{
    Asked, Closure, ClosureManifest, LinkReport, Parts, Platforms, Pull, PullError, StaleTag,
    TagKey,
};
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
    /// The images themselves, one per platform; those only named by the list too. None if the manifest is not here.
    pub manifests: Vec<ClosureManifest>,
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

/// So many platforms of one list are told.
const MOST_MANIFESTS: usize = 64;

impl Pull {
    /// Explains what a child would get that asks for this image now, on these platforms.
    pub async fn explain(
        &self,
        repository: &Repository,
        reference: &Reference,
        platforms: &Platforms,
    ) -> Result<Explanation, PullError> {
        let explainer = Explainer {
            parts: &self.parts,
            repository,
        };
        let (record, digest) = explainer.meaning(reference).await?;
        let closure = match &digest {
            Some(digest) => self.closure(repository, digest, platforms).await?,
            None => Closure::default(),
        };
        Ok(explainer.explain(reference, record, digest, &closure))
    }
}

struct Explainer<'a> {
    parts: &'a Parts,
    repository: &'a Repository,
}

impl Explainer<'_> {
    /// What is known of the tag, and the manifest that is meant.
    async fn meaning(
        &self,
        reference: &Reference,
    ) -> Result<(Option<TagRecord>, Option<Digest>), StorageError> {
        match reference {
            Reference::Digest(digest) => Ok((None, Some(*digest))),
            Reference::Tag(tag) => {
                let repositories = self.parts.storage.repositories();
                let record = repositories.tag(self.repository.name(), tag).await?;
                let digest = record.as_ref().map(|record| record.digest);
                Ok((record, digest))
            }
        }
    }

    fn explain(
        &self,
        reference: &Reference,
        record: Option<TagRecord>,
        digest: Option<Digest>,
        closure: &Closure,
    ) -> Explanation {
        let is_here = closure.manifests.first().is_some_and(|root| root.is_here);
        let manifests = closure.images().filter(|_| is_here).take(MOST_MANIFESTS);
        let manifests: Vec<_> = manifests.cloned().collect();
        Explanation {
            outlook: self.outlook(reference, record.as_ref(), is_here),
            tag: record.and_then(|record| self.known(reference, &record)),
            link: self.link(),
            refusals: self.refusals(reference, &manifests),
            digest,
            is_index: closure.is_index,
            manifests,
        }
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
        manifests: &[ClosureManifest],
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
}
