//! Asking an upstream about a tag, and fetching manifests, once for all who want to know.

mod conclusion;

use std::sync::Arc;
use std::time::Duration;

use cistern_oci::{Digest, Manifest, Reference, Tag};
use cistern_storage::{StorageError, TagRecord};

use super::flights::Flight;
use super::freshness::{Freshness, confirmed_ago, judge};
use super::{Parts, TagKey};
use crate::metrics::UpstreamKind;
use crate::repositories::Mirror;
use crate::upstream::{Fault, FetchedManifest, Heard, ManifestHead, Unconfirmed, UpstreamError};

/// Why a check or a fetch gave no manifest.
#[derive(Clone, Debug)]
pub(super) enum Failed {
    Upstream(UpstreamError),
    Storage(StorageError),
    /// The upstream is a cache, and could not confirm this either. What it says of a tag; of a list it is written down.
    Unconfirmed(Option<Box<Told>>),
    Interrupted,
}

/// What a cache above says of a tag that it could not confirm.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// What the tag meant when that cache last heard of it.
    pub(super) digest: Digest,
    /// How long ago that was, if it tells.
    pub(super) age: Option<Duration>,
    /// The manifest, if it is needed: what is known here already is not given up for it.
    pub(super) manifest: Option<Manifest>,
}

impl Failed {
    /// Whether the upstream says that there is no such thing.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Upstream(error) if matches!(error.fault, Fault::NotFound(_)))
    }
}

impl Told {
    /// Why a check confirms nothing.
    fn failed(digest: Digest, said: Unconfirmed, manifest: Option<Manifest>) -> Failed {
        let age = said.age;
        Failed::Unconfirmed(Some(Box::new(Self {
            digest,
            age,
            manifest,
        })))
    }
}

/// What a check or a fetch gives.
pub(super) type Outcome = Result<Manifest, Failed>;

/// Asks one mirror's upstream.
pub(super) struct Checker<'a> {
    pub(super) parts: &'a Arc<Parts>,
    pub(super) mirror: &'a Mirror,
}

impl Checker<'_> {
    /// The running check of this tag, or a new one. `record` is what is known of it.
    pub(super) fn check(&self, tag: Tag, record: Option<TagRecord>) -> (Flight<Outcome>, bool) {
        let key = (self.mirror.name.clone(), tag.clone());
        let (parts, mirror) = (Arc::clone(self.parts), self.mirror.clone());
        self.parts
            .checks
            .join_or_start(key, move |heard| async move {
                let task = Task {
                    parts,
                    mirror,
                    heard,
                };
                if let Some(manifest) = task.checked_meanwhile(&tag).await {
                    return Ok(manifest);
                }
                let ask = || task.resolve(&tag, record.as_ref());
                let outcome = task.over_a_link(ask).await;
                task.concluded(&tag, record.as_ref(), outcome).await
            })
    }

    /// The running fetch of this manifest, or a new one.
    pub(super) fn fetch(&self, digest: Digest) -> (Flight<Outcome>, bool) {
        let key = (self.mirror.name.clone(), digest);
        let (parts, mirror) = (Arc::clone(self.parts), self.mirror.clone());
        self.parts
            .fetches
            .join_or_start(key.clone(), move |heard| async move {
                let task = Task {
                    parts,
                    mirror,
                    heard,
                };
                if let Some(manifest) = task.stored(&digest).await? {
                    return Ok(manifest);
                }
                let ask = || async {
                    let fetched = task.get(&Reference::Digest(digest)).await;
                    fetched.map(|fetched| fetched.manifest)
                };
                let outcome = task.over_a_link(ask).await;
                let links = &task.parts.links;
                let host = task.mirror.upstream.host();
                match &outcome {
                    Ok(_) => links.note_answer(host),
                    Err(Failed::Upstream(error)) => {
                        links.note_error(host, error);
                        task.parts.refused_manifests.note(key, error);
                    }
                    Err(Failed::Storage(_) | Failed::Unconfirmed(_) | Failed::Interrupted) => {}
                }
                outcome
            })
    }
}

struct Task {
    parts: Arc<Parts>,
    mirror: Mirror,
    heard: Heard,
}

/// How long ago a tag was confirmed, if that is known.
pub(super) fn age(parts: &Parts, key: &TagKey, record: Option<&TagRecord>) -> Option<Duration> {
    let since_check = parts.checked.get(key).map(|at| at.elapsed());
    confirmed_ago(record?, since_check, parts.clock.now())
}

/// How fresh what is known of a tag is now.
pub(super) fn freshness(
    parts: &Parts,
    mirror: &Mirror,
    key: &TagKey,
    record: Option<&TagRecord>,
) -> Freshness {
    let since_check = parts.checked.get(key).map(|at| at.elapsed());
    let every = parts.policy.check_every_of(&mirror.upstream);
    let now = parts.clock.now();
    judge(record, &mirror.source(), since_check, every, now)
}

impl Task {
    /// What another check has found out that ended after this one was thought necessary and before it began.
    async fn checked_meanwhile(&self, tag: &Tag) -> Option<Manifest> {
        let key: TagKey = (self.mirror.name.clone(), tag.clone());
        let repositories = self.parts.storage.repositories();
        let record = repositories.tag(&key.0, tag).await.ok()??;
        let is_fresh =
            freshness(&self.parts, &self.mirror, &key, Some(&record)) == Freshness::Fresh;
        if !is_fresh {
            return None;
        }
        self.stored(&record.digest).await.ok()?
    }

    async fn stored(&self, digest: &Digest) -> Result<Option<Manifest>, Failed> {
        let repositories = self.parts.storage.repositories();
        let stored = repositories.manifest(&self.mirror.name, digest).await;
        stored.map_err(Failed::Storage)
    }

    /// Asks, and once more if the link was lost meanwhile and is back: the connection the first question waits on is from before.
    async fn over_a_link<A: Future<Output = Outcome>>(&self, ask: impl Fn() -> A) -> Outcome {
        let host = self.mirror.upstream.host();
        let first = tokio::select! {
            biased;
            outcome = ask() => Some(outcome),
            () = self.parts.links.returned(host) => None,
        };
        match first {
            Some(outcome) => outcome,
            None => ask().await,
        }
    }

    /// The manifest the tag means at the upstream now: one HEAD, and a GET only when it names something new. Of a cache above that
    /// could not confirm it, nothing more than what is not known here.
    async fn resolve(&self, tag: &Tag, record: Option<&TagRecord>) -> Outcome {
        let reference = Reference::Tag(tag.clone());
        let upstream = &self.mirror.upstream;
        let head = upstream.head_manifest(&self.mirror.name_there, &reference, &self.heard);
        let head = self.counted(UpstreamKind::ManifestHead, head.await)?;
        let said = head.unconfirmed;
        if let (Some(said), Some(digest), Some(record)) = (said, head.digest, record)
            && self.stored(&record.digest).await?.is_some()
        {
            return Err(Told::failed(digest, said, None));
        }
        let fetched = self.named(&reference, head).await?;
        match said.or(fetched.unconfirmed) {
            None => Ok(fetched.manifest),
            Some(said) => Err(Told::failed(
                fetched.manifest.digest,
                said,
                Some(fetched.manifest),
            )),
        }
    }

    /// What a HEAD has named.
    async fn named(
        &self,
        reference: &Reference,
        head: ManifestHead,
    ) -> Result<FetchedManifest, Failed> {
        let confirmed = |manifest| FetchedManifest {
            manifest,
            unconfirmed: None,
        };
        if let Some(manifest) = head.manifest {
            return self.keep(manifest).await.map(confirmed);
        }
        let Some(digest) = head.digest else {
            return self.get(reference).await;
        };
        if let Some(manifest) = self.stored(&digest).await? {
            return Ok(confirmed(manifest));
        }
        match self.fetch_named(digest).await {
            // Some upstreams know a manifest by its tag alone, and digest headers have been wrong: the tag decides.
            Err(Failed::Upstream(error))
                if matches!(error.fault, Fault::NotFound(_) | Fault::Invalid(_)) =>
            {
                self.get(reference).await
            }
            outcome => outcome.map(confirmed),
        }
    }

    /// By digest, together with whoever asks for that digest by itself.
    async fn fetch_named(&self, digest: Digest) -> Outcome {
        let checker = Checker {
            parts: &self.parts,
            mirror: &self.mirror,
        };
        let (mut fetch, _) = checker.fetch(digest);
        let heard = fetch.heard().clone();
        let mut outcome = std::pin::pin!(fetch.outcome());
        loop {
            tokio::select! {
                value = &mut outcome => return value.unwrap_or(Err(Failed::Interrupted)),
                () = heard.next() => self.heard.answer(),
            }
        }
    }

    async fn get(&self, reference: &Reference) -> Result<FetchedManifest, Failed> {
        let upstream = &self.mirror.upstream;
        let fetched = upstream.get_manifest(&self.mirror.name_there, reference, &self.heard);
        let fetched = self.counted(UpstreamKind::ManifestGet, fetched.await)?;
        Ok(FetchedManifest {
            manifest: self.keep(fetched.manifest).await?,
            unconfirmed: fetched.unconfirmed,
        })
    }

    fn counted<T>(
        &self,
        kind: UpstreamKind,
        answer: Result<T, UpstreamError>,
    ) -> Result<T, Failed> {
        let host = self.mirror.upstream.host();
        self.parts
            .counted(kind, host, answer)
            .map_err(Failed::Upstream)
    }

    /// A manifest that cannot be kept (no space, a read-only store) is served all the same.
    async fn keep(&self, manifest: Manifest) -> Outcome {
        match self
            .parts
            .storage
            .repositories()
            .put_manifest(&self.mirror.name, &manifest)
            .await
        {
            Ok(()) => {}
            Err(error @ (StorageError::Full | StorageError::ReadOnly)) => {
                tracing::warn!(repository = %self.mirror.name, digest = %manifest.digest, reason = %error, "manifest is passed through and not kept");
            }
            Err(error) => return Err(Failed::Storage(error)),
        }
        Ok(manifest)
    }
}
