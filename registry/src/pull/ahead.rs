//! Fetching an image before anybody asks: what the tag means is asked together with callers, and what is missing comes through the
//! same downloads as theirs, behind them. What is wanted and when, nobody knows here.

use std::sync::Arc;

use cistern_oci::{Digest, Reference};
use cistern_storage::StorageError;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::check::{Checker, Failed};
use super::closure::{Closure, ManifestRole};
use super::download::DownloadFailed;
use super::downloads::Wanted;
use super::{Parts, Platforms, Pull, PullError};
use crate::chain::Asker;
use crate::repositories::{Mirror, Repository};
use crate::upstream::{Fault, UpstreamError};

/// How many manifests of one image are asked for at once.
const MANIFESTS_AT_ONCE: usize = 4;
/// How many of its blobs.
const BLOBS_AT_ONCE: usize = 3;
/// Lists inside lists, and what refers to what they name: an image that goes deeper is given up.
const MOST_ROUNDS: usize = 12;

/// What is known of a tag or digest after its upstream was asked.
#[derive(Clone, Debug)]
pub struct LookedUp {
    /// What it means here now; none if it is not known here.
    pub digest: Option<Digest>,
    /// Why that is not what the upstream says now.
    pub trouble: Option<Trouble>,
}

/// Why something could not be fetched ahead.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble {
    /// The upstream says that there is no such thing.
    #[error("{0}")]
    Gone(UpstreamError),
    /// The link, or the upstream.
    #[error("{0}")]
    Upstream(UpstreamError),
    /// The upstream is a cache, and could not confirm it either.
    #[error("{0} could not confirm it")]
    Unconfirmed(String),
    /// There is no room, or the store takes nothing new.
    #[error("{0}")]
    Store(StorageError),
    /// What was asked for by callers went first.
    #[error("others went first")]
    Yielded,
    /// A manifest that makes no sense, or an image that is larger than is looked at.
    #[error("{0}")]
    Odd(&'static str),
    /// The work ended without a word.
    #[error("it was interrupted")]
    Interrupted,
}

impl Trouble {
    fn of(error: UpstreamError) -> Self {
        match error.fault {
            Fault::NotFound(_) => Self::Gone(error),
            _ => Self::Upstream(error),
        }
    }

    fn of_pull(error: PullError) -> Self {
        match error {
            PullError::Upstream(asked)
            | PullError::ManifestUnknown(_, Some(asked))
            | PullError::BlobUnknown(_, Some(asked))
            | PullError::NameUnknown(_, Some(asked)) => Self::of(asked.error),
            PullError::NotHeld(error) => Self::of(error),
            PullError::Storage(error) => Self::Store(error),
            PullError::Strict(_, error) => Self::of_pull(*error),
            PullError::ManifestUnknown(_, None)
            | PullError::BlobUnknown(_, None)
            | PullError::NameUnknown(_, None)
            | PullError::RangeNotSatisfiable { .. }
            | PullError::StillFetching
            | PullError::Interrupted => Self::Interrupted,
        }
    }

    fn of_check(failed: Failed, host: &str) -> Self {
        match failed {
            Failed::Upstream(error) => Self::of(error),
            Failed::Storage(error) => Self::Store(error),
            Failed::Unconfirmed(_) => Self::Unconfirmed(host.to_owned()),
            Failed::Interrupted => Self::Interrupted,
        }
    }

    /// Whether it was the link that failed: it is tried again when that is back.
    pub fn is_of_the_link(&self) -> bool {
        matches!(self, Self::Upstream(error) if matches!(error.fault, Fault::Unreachable { .. }))
    }
}

impl Pull {
    /// What this means now. A tag's upstream is asked, unless that was done a moment ago.
    pub async fn look_up(&self, mirror: &Mirror, reference: &Reference) -> LookedUp {
        let tag = match reference {
            Reference::Digest(digest) => {
                return LookedUp {
                    digest: Some(*digest),
                    trouble: None,
                };
            }
            Reference::Tag(tag) => tag,
        };
        let repositories = self.parts.storage.repositories();
        let record = repositories.tag(&mirror.name, tag).await.ok().flatten();
        let mirror = &mirror.clone().asked_by(&Asker::default());
        let checker = Checker {
            parts: &self.parts,
            mirror,
        };
        let (mut check, _) = checker.check(tag.clone(), record);
        let trouble = match check.outcome().await {
            None => Some(Trouble::Interrupted),
            Some(Ok(_)) => None,
            Some(Err(failed)) => Some(Trouble::of_check(failed, mirror.upstream.host())),
        };
        LookedUp {
            digest: self.known(mirror, reference).await,
            trouble,
        }
    }

    /// What this means here, without asking anybody.
    pub async fn known(&self, mirror: &Mirror, reference: &Reference) -> Option<Digest> {
        match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(tag) => {
                let repositories = self.parts.storage.repositories();
                let record = repositories.tag(&mirror.name, tag).await.ok().flatten();
                record.map(|record| record.digest)
            }
        }
    }

    /// Fetches what is not here of an image, the lists of what refers to it included; how it is then. What came stays when it
    /// fails half-way.
    pub async fn fetch_ahead(
        &self,
        mirror: &Mirror,
        root: &Digest,
        platforms: &Platforms,
    ) -> Result<Closure, Trouble> {
        let mirror = mirror.clone().asked_by(&Asker::default());
        let ahead = Ahead {
            pull: self,
            repository: Repository::Mirror(mirror.clone()),
            mirror: &mirror,
            root,
            platforms,
        };
        let closure = ahead.manifests().await?;
        ahead.blobs(closure).await
    }
}

/// One image that is fetched.
struct Ahead<'a> {
    pull: &'a Pull,
    repository: Repository,
    mirror: &'a Mirror,
    root: &'a Digest,
    platforms: &'a Platforms,
}

impl Ahead<'_> {
    fn parts(&self) -> &Arc<Parts> {
        &self.pull.parts
    }

    async fn closure(&self) -> Result<Closure, Trouble> {
        let closure = self
            .pull
            .closure(&self.repository, self.root, self.platforms);
        closure.await.map_err(Trouble::of_pull)
    }

    /// All manifests, and the lists of what refers to them.
    async fn manifests(&self) -> Result<Closure, Trouble> {
        for _ in 0..MOST_ROUNDS {
            let closure = self.closure().await?;
            if closure.is_cut {
                return Err(Trouble::Odd("it consists of more than is looked at"));
            }
            let missing: Vec<Digest> = closure
                .missing_manifests()
                .map(|manifest| manifest.digest)
                .collect();
            if missing.is_empty() {
                if !self.ask_for_referrers(&closure).await? {
                    return Ok(closure);
                }
                continue;
            }
            let mut fetched = stream::iter(missing)
                .map(|digest| self.manifest(digest))
                .buffer_unordered(MANIFESTS_AT_ONCE);
            while let Some(one) = fetched.next().await {
                one?;
            }
        }
        Err(Trouble::Odd("its lists are nested too deep"))
    }

    async fn manifest(&self, digest: Digest) -> Result<(), Trouble> {
        let checker = Checker {
            parts: self.parts(),
            mirror: self.mirror,
        };
        let (mut fetch, _) = checker.fetch(digest);
        match fetch.outcome().await {
            None => Err(Trouble::Interrupted),
            Some(Ok(_)) => Ok(()),
            Some(Err(failed)) => Err(Trouble::of_check(failed, self.mirror.upstream.host())),
        }
    }

    /// Asks what refers to the image and to those of its platforms, of each once in a run; whether anything new may be known. An
    /// upstream that cannot say is no reason to do without the image, a link that is away is.
    async fn ask_for_referrers(&self, closure: &Closure) -> Result<bool, Trouble> {
        let mut has_asked = false;
        let is_subject = |role| matches!(role, ManifestRole::Index | ManifestRole::Image);
        for manifest in &closure.manifests {
            let key = (self.mirror.name.clone(), manifest.digest);
            if !is_subject(manifest.role) || self.parts().promotion.has_asked(&key) {
                continue;
            }
            match self
                .pull
                .referrers(&self.repository, &manifest.digest)
                .await
            {
                Ok(list) if !list.stale => {
                    self.parts().promotion.note_asked(key);
                    has_asked = true;
                }
                Ok(_) | Err(_) if self.parts().links.is_degraded(self.mirror.upstream.host()) => {
                    let error = self.parts().link_error(self.mirror.upstream.host());
                    return Err(Trouble::of_pull(error));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(repository = %self.mirror.name, digest = %manifest.digest, ?error, "nobody knows what refers to it");
                }
            }
        }
        Ok(has_asked)
    }

    /// All blobs; what fails does not keep the others from coming.
    async fn blobs(&self, closure: Closure) -> Result<Closure, Trouble> {
        let missing: Vec<(Digest, u64, u64)> = closure
            .missing_blobs()
            .map(|blob| (blob.digest, blob.size, blob.partial))
            .collect();
        if missing.is_empty() {
            return Ok(closure);
        }
        let mut trouble = None;
        let mut fetched = stream::iter(missing)
            .map(|(digest, size, here)| self.blob(digest, size, here))
            .buffer_unordered(BLOBS_AT_ONCE);
        while let Some(one) = fetched.next().await {
            if let Err(why) = one {
                let ends = why.is_of_the_link();
                trouble.get_or_insert(why);
                if ends {
                    break;
                }
            }
        }
        match trouble {
            Some(trouble) => Err(trouble),
            None => self.closure().await,
        }
    }

    async fn blob(&self, digest: Digest, size: u64, here: u64) -> Result<(), Trouble> {
        let (parts, blobs) = (self.parts(), self.parts().storage.blobs());
        // A download of somebody else that fails may have had other sources: the second one is our own.
        for attempt in 0..2 {
            if matches!(blobs.size(&digest).await, Ok(Some(_))) {
                return Ok(());
            }
            // Without room for it there would be nothing to join.
            blobs
                .has_room(Some(size.saturating_sub(here)))
                .await
                .map_err(Trouble::Store)?;
            let wanted = Wanted {
                mirror: self.mirror,
                digest,
                size: Some(size),
            };
            parts.downloads.start_ahead(parts, wanted);
            let Some(running) = parts.downloads.running(&digest) else {
                continue;
            };
            // Its bytes are verified before they have their place in the store.
            let ended = running.blob.wait_end().await;
            running.over.cancelled().await;
            if let Err(failed) = ended
                && (attempt > 0 || running.sources.include(&self.mirror.name))
            {
                return Err(self.trouble_of(&failed));
            }
        }
        match blobs.size(&digest).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Trouble::Interrupted),
            Err(error) => Err(Trouble::Store(error)),
        }
    }

    fn trouble_of(&self, failed: &DownloadFailed) -> Trouble {
        match failed {
            DownloadFailed::Upstreams(errors) => {
                let error = DownloadFailed::words_for(errors, &self.mirror.name);
                error.map_or(Trouble::Yielded, Trouble::of)
            }
            DownloadFailed::NotKept => Trouble::Store(StorageError::Full),
            DownloadFailed::Storage(error) => Trouble::Store(error.clone()),
            DownloadFailed::Interrupted => Trouble::Yielded,
        }
    }
}
