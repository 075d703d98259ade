//! Resolving a reference to a manifest: by digest it never changes, by tag its upstream is asked from time to time.

use std::sync::Arc;
use std::time::Duration;

use cistern_oci::{Digest, Manifest, Reference, Tag};
use cistern_storage::{StorageError, TagRecord};

use super::attachments;
use super::check::{Checker, Failed, Told, age, freshness};
use super::freshness::Freshness;
use super::patience::Patience;
use super::promotion::is_pinned;
use super::{Asked, FoundManifest, Parts, PullError, Served, TagKey};
use crate::config::WhenGone;
use crate::metrics::TagCheck;
use crate::repositories::{Mirror, Repository};
use crate::upstream::{Fault, UpstreamError};

/// Reads manifests.
pub(super) struct Manifests<'a> {
    pub(super) parts: &'a Arc<Parts>,
}

impl Manifests<'_> {
    /// The manifest that `reference` means in this repository.
    pub(super) async fn find(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<FoundManifest, PullError> {
        match (repository, reference) {
            (_, Reference::Digest(digest)) => self.by_digest(repository, *digest).await,
            (Repository::Hosted(_), Reference::Tag(tag)) => {
                self.by_hosted_tag(repository, tag).await
            }
            (Repository::Mirror(mirror), Reference::Tag(tag)) => {
                self.by_mirrored_tag(mirror, tag).await
            }
        }
    }

    async fn by_digest(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> Result<FoundManifest, PullError> {
        if let Some(manifest) = self
            .parts
            .storage
            .repositories()
            .manifest(repository.name(), &digest)
            .await?
        {
            self.parts.storage.blobs().note_use(&digest);
            return Ok(FoundManifest::new(manifest, Served::Hit));
        }
        let unknown = |asked| PullError::ManifestUnknown(Reference::Digest(digest), asked);
        let Repository::Mirror(mirror) = repository else {
            return Err(unknown(None));
        };
        if let Some(asked) = self
            .parts
            .refused_manifests
            .get(&(mirror.name.clone(), digest))
        {
            return Err(manifest_error(Reference::Digest(digest), asked));
        }
        let (mut fetch, joined) = Checker {
            parts: self.parts,
            mirror,
        }
        .fetch(digest);
        let heard = fetch.heard().clone();
        let cold = self.parts.cold.begin(&mirror.name);
        let patience = cold.patience.below(mirror.upstream.below());
        match patience.wait(&heard, fetch.outcome()).await {
            None => Err(PullError::StillFetching),
            Some(None) => Err(PullError::Interrupted),
            Some(Some(Err(failed))) => Err(error_of(Reference::Digest(digest), failed)),
            Some(Some(Ok(manifest))) => Ok(FoundManifest::new(
                manifest,
                if joined { Served::Joined } else { Served::Miss },
            )),
        }
    }

    async fn by_hosted_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<FoundManifest, PullError> {
        let repositories = self.parts.storage.repositories();
        let record = repositories.tag(repository.name(), tag).await?;
        let manifest = match &record {
            Some(record) => {
                repositories
                    .manifest(repository.name(), &record.digest)
                    .await?
            }
            None => None,
        };
        let found = manifest.map(|manifest| FoundManifest::new(manifest, Served::Hit));
        found.ok_or_else(|| PullError::ManifestUnknown(Reference::Tag(tag.clone()), None))
    }

    async fn by_mirrored_tag(
        &self,
        mirror: &Mirror,
        tag: &Tag,
    ) -> Result<FoundManifest, PullError> {
        let key = (mirror.name.clone(), tag.clone());
        let record = self
            .parts
            .storage
            .repositories()
            .tag(&mirror.name, tag)
            .await?;
        let held = self.held(mirror, key, record.as_ref()).await?;
        if freshness(self.parts, mirror, &held.key, record.as_ref()) == Freshness::Fresh
            && let Some(manifest) = held.manifest.clone()
        {
            self.parts.metrics.tag_checks.count(TagCheck::Fresh);
            self.note_use(mirror, &held.key, &manifest.digest);
            return Ok(FoundManifest::new(manifest, Served::Hit));
        }
        if let Some(asked) = self.parts.refused_tags.get(&held.key) {
            let error = manifest_error(Reference::Tag(tag.clone()), asked);
            return self.without_upstream(mirror, held, error);
        }
        if held.is_enough() && self.parts.links.is_degraded(mirror.upstream.host()) {
            // Nobody is dialled: the prober finds out when the link is back, and then asks about this tag.
            let error = self.parts.link_error(mirror.upstream.host());
            return self.without_upstream(mirror, held, error);
        }
        self.checked(mirror, held, record).await
    }

    /// What the upstream says of the tag, if it does so in time; else what is held.
    async fn checked(
        &self,
        mirror: &Mirror,
        held: Held,
        record: Option<TagRecord>,
    ) -> Result<FoundManifest, PullError> {
        let tag = held.key.1.clone();
        let (mut check, joined) = Checker {
            parts: self.parts,
            mirror,
        }
        .check(tag.clone(), record);
        let heard = check.heard().clone();
        let cold = (!held.is_enough()).then(|| self.parts.cold.begin(&mirror.name));
        let deadline = self.parts.check_deadline;
        let patience = cold
            .as_ref()
            .map_or_else(|| Patience::check(deadline), |cold| cold.patience);
        let waited = patience.below(mirror.upstream.below());
        match waited.wait(&heard, check.outcome()).await {
            None => {
                // Of a pull that had hardly any time left nobody can say that it met silence.
                if patience.silence >= deadline {
                    self.parts.links.note_silence(mirror.upstream.host());
                }
                self.without_upstream(mirror, held, PullError::StillFetching)
            }
            Some(None) => self.without_upstream(mirror, held, PullError::Interrupted),
            Some(Some(Err(Failed::Unconfirmed(Some(told))))) => {
                self.unconfirmed(mirror, held, *told)
            }
            Some(Some(Err(failed))) => {
                let follow = failed.is_gone()
                    && self.parts.policy.when_gone == WhenGone::Follow
                    && !is_pinned(self.parts, &held.key);
                let error = error_of(Reference::Tag(tag), failed);
                self.without_upstream(mirror, held.unless(follow), error)
            }
            Some(Some(Ok(manifest))) => {
                self.parts.used_tags.note(mirror, &held.key);
                Ok(FoundManifest::checked(manifest, held.manifest, joined))
            }
        }
    }

    async fn held(
        &self,
        mirror: &Mirror,
        key: TagKey,
        record: Option<&TagRecord>,
    ) -> Result<Held, StorageError> {
        let manifest = self.known(mirror, record).await?;
        let is_attachment = match attachments::subject(&key.1) {
            Some(subject) if manifest.is_none() => {
                let repositories = self.parts.storage.repositories();
                let subject = repositories.manifest(&mirror.name, &subject).await?;
                subject.is_some()
            }
            _ => false,
        };
        Ok(Held {
            is_strict: self.parts.policy.is_strict(&key.0, &key.1),
            age: age(self.parts, &key, record),
            key,
            manifest,
            is_attachment,
        })
    }

    async fn known(
        &self,
        mirror: &Mirror,
        record: Option<&TagRecord>,
    ) -> Result<Option<Manifest>, StorageError> {
        match record {
            Some(record) => {
                self.parts
                    .storage
                    .repositories()
                    .manifest(&mirror.name, &record.digest)
                    .await
            }
            None => Ok(None),
        }
    }

    /// The upstream is a cache that could not confirm the tag: what is held wins over what it says, which may be older.
    fn unconfirmed(
        &self,
        mirror: &Mirror,
        held: Held,
        told: Told,
    ) -> Result<FoundManifest, PullError> {
        let known = held.manifest.as_ref().map(|manifest| manifest.digest);
        let is_same = known.is_none_or(|known| known == told.digest);
        let held = Held {
            manifest: held.manifest.or(told.manifest),
            ..held
        };
        let error = PullError::Upstream(Asked::now(unconfirmed_by(mirror.upstream.host())));
        let found = self.without_upstream(mirror, held, error)?;
        Ok(FoundManifest {
            age: told.age.filter(|_| is_same).or(found.age),
            ..found
        })
    }

    /// What is held, marked as stale. Of an attachment that is not held, that there is none; else the error.
    fn without_upstream(
        &self,
        mirror: &Mirror,
        held: Held,
        error: PullError,
    ) -> Result<FoundManifest, PullError> {
        let is_answer = matches!(error, PullError::ManifestUnknown(..));
        let Some(manifest) = held.manifest else {
            let is_none = held.is_attachment && !held.is_strict && !is_answer;
            return Err(if is_none {
                PullError::ManifestUnknown(Reference::Tag(held.key.1), None)
            } else {
                error
            });
        };
        if held.is_strict {
            // That the tag is gone is what the upstream says of it now: that is told.
            return Err(if is_answer {
                error
            } else {
                PullError::Strict(held.key.1, Box::new(error))
            });
        }
        self.parts.metrics.tag_checks.count(TagCheck::Stale);
        let why = why(mirror.upstream.host(), &error);
        self.parts.stale.note(&held.key, manifest.digest, &why);
        self.note_use(mirror, &held.key, &manifest.digest);
        Ok(FoundManifest {
            manifest,
            served: Served::Stale,
            stale: true,
            age: held.age,
        })
    }

    fn note_use(&self, mirror: &Mirror, key: &TagKey, digest: &Digest) {
        self.parts.used_tags.note(mirror, key);
        self.parts.storage.blobs().note_use(digest);
    }
}

/// Why a tag could not be confirmed, in words for an operator.
fn why(host: &str, error: &PullError) -> String {
    match error {
        PullError::Upstream(asked) | PullError::ManifestUnknown(_, Some(asked)) => {
            asked.error.to_string()
        }
        PullError::StillFetching => format!("{host}: no answer in time"),
        PullError::Storage(error) => format!("the store failed: {error}"),
        PullError::NotHeld(down) => down.to_string(),
        PullError::ManifestUnknown(_, None)
        | PullError::BlobUnknown(..)
        | PullError::NameUnknown(..)
        | PullError::RangeNotSatisfiable { .. }
        | PullError::Strict(..)
        | PullError::Interrupted => "the question was interrupted".to_owned(),
    }
}

/// What this cache can say of a tag by itself.
struct Held {
    key: TagKey,
    /// What the tag pointed to when its upstream was last heard.
    manifest: Option<Manifest>,
    /// The tag is not known, and would name what is attached to a manifest that is held. A client that pulls this manifest asks
    /// for its attachments too and takes every answer but "there is none" for the end of the pull.
    is_attachment: bool,
    /// The operator wants it never to be served unconfirmed.
    is_strict: bool,
    /// How long ago it was confirmed, if that is known.
    age: Option<Duration>,
}

impl Held {
    /// Whether a caller can be answered without the upstream.
    fn is_enough(&self) -> bool {
        !self.is_strict && (self.manifest.is_some() || self.is_attachment)
    }

    /// Without its manifest, if that is to be dropped.
    fn unless(self, dropped: bool) -> Self {
        Self {
            manifest: self.manifest.filter(|_| !dropped),
            ..self
        }
    }
}

impl FoundManifest {
    fn new(manifest: Manifest, served: Served) -> Self {
        Self {
            manifest,
            served,
            stale: false,
            age: None,
        }
    }

    /// After a check: a hit when the tag had not moved.
    fn checked(manifest: Manifest, known: Option<Manifest>, joined: bool) -> Self {
        let unchanged = known.is_some_and(|known| known.digest == manifest.digest);
        let served = match (unchanged, joined) {
            (true, _) => Served::Hit,
            (false, true) => Served::Joined,
            (false, false) => Served::Miss,
        };
        Self::new(manifest, served)
    }
}

/// What is said of an answer of a cache above that it could not confirm, where such an answer is not enough.
pub(super) fn unconfirmed_by(host: &str) -> UpstreamError {
    UpstreamError {
        host: host.into(),
        fault: Fault::Invalid("it is a cache that could not confirm this either".to_owned()),
    }
}

fn error_of(reference: Reference, failed: Failed) -> PullError {
    match failed {
        Failed::Upstream(error) => manifest_error(reference, Asked::now(error)),
        Failed::Storage(error) => PullError::Storage(error),
        Failed::Unconfirmed(_) => PullError::StillFetching,
        Failed::Interrupted => PullError::Interrupted,
    }
}

pub(super) fn manifest_error(reference: Reference, asked: Asked) -> PullError {
    match asked.error.fault {
        Fault::NotFound(_) => PullError::ManifestUnknown(reference, Some(asked)),
        _ => PullError::Upstream(asked),
    }
}
