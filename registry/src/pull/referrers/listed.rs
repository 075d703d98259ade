//! What is listed, one after the other. What the upstream said is in memory as it is; what is held here is read only when its
//! turn has come, and let go of before the next: each may be as long as a manifest, and there may be any number.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use cistern_oci::{Digest, RepositoryName};
use cistern_storage::StorageError;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::super::{Parts, PullError, Served};
use crate::upstream::Referrer;

/// How many lists are read from manifests at once; each takes some ten times the longest manifest while it is.
const READ_AT_ONCE: usize = 4;

/// One for all repositories: it is the memory of the process that is bounded.
static READERS: Semaphore = Semaphore::const_new(READ_AT_ONCE);

/// What refers to a manifest, sorted by digest.
pub struct ReferrerList {
    entries: Entries,
    /// How many of those that were told have had their turn.
    passed: usize,
    /// The turn among those that read manifests, from the first one on.
    turn: Option<SemaphorePermit<'static>>,
    /// The list could not be confirmed: say so.
    pub stale: bool,
    /// How it came.
    pub served: Served,
}

/// Where the entries of a list come from.
pub(super) enum Entries {
    /// An upstream told them.
    Told(Arc<[Referrer]>),
    /// They are in the store.
    Held(Held),
}

/// The manifests in the store that refer to one.
pub(super) struct Held {
    parts: Arc<Parts>,
    of: RepositoryName,
    subject: Digest,
    left: VecDeque<Digest>,
}

// === impl ReferrerList ===

impl ReferrerList {
    pub(super) fn new(entries: Entries, served: Served) -> Self {
        Self {
            entries,
            passed: 0,
            turn: None,
            stale: served == Served::Stale,
            served,
        }
    }

    /// A list that an upstream told.
    pub(crate) fn told(list: Arc<[Referrer]>, served: Served) -> Self {
        Self::new(Entries::Told(list), served)
    }

    /// Passes over all up to this digest, which need not be one. They are not read.
    pub fn pass(&mut self, up_to: &str) {
        let is_passed = |digest: &Digest| digest.to_string().as_str() <= up_to;
        match &mut self.entries {
            Entries::Told(list) => {
                self.passed = list.partition_point(|referrer| is_passed(&referrer.digest));
            }
            Entries::Held(held) => {
                let passed = held.left.partition_point(is_passed);
                held.left.drain(..passed);
            }
        }
    }

    /// The next of them.
    pub async fn next(&mut self) -> Result<Option<Cow<'_, Referrer>>, PullError> {
        match &mut self.entries {
            Entries::Told(list) => {
                let next = list.get(self.passed);
                self.passed += 1;
                Ok(next.map(Cow::Borrowed))
            }
            Entries::Held(held) => {
                if self.turn.is_none() && !held.left.is_empty() {
                    self.turn = Some(turn().await?);
                }
                Ok(held.next().await?.map(Cow::Owned))
            }
        }
    }
}

// === impl Entries ===

impl Entries {
    /// Whether nothing is listed.
    pub(super) fn are_none(&self) -> bool {
        match self {
            Self::Told(list) => list.is_empty(),
            Self::Held(held) => held.left.is_empty(),
        }
    }

    /// What is listed, and how long each is where that was told.
    pub(super) fn digests(&self) -> Vec<(Digest, Option<u64>)> {
        match self {
            Self::Told(list) => list
                .iter()
                .map(|referrer| (referrer.digest, Some(referrer.size)))
                .collect(),
            Self::Held(held) => held.left.iter().map(|digest| (*digest, None)).collect(),
        }
    }
}

// === impl Held ===

impl Held {
    pub(super) async fn find(
        parts: &Arc<Parts>,
        of: &RepositoryName,
        subject: Digest,
    ) -> Result<Self, StorageError> {
        let repositories = parts.storage.repositories();
        let left = repositories.referrers(of, &subject).await?;
        Ok(Self {
            parts: Arc::clone(parts),
            of: of.clone(),
            subject,
            left: left.into(),
        })
    }

    /// Whether one of them can be read; those before it, which cannot, are left out from now on.
    pub(super) async fn is_any_there(&mut self) -> Result<bool, PullError> {
        if self.left.is_empty() {
            return Ok(false);
        }
        let _turn = turn().await?;
        while let Some(first) = self.left.front().copied() {
            if self.read(&first).await?.is_some() {
                return Ok(true);
            }
            self.left.pop_front();
        }
        Ok(false)
    }

    async fn next(&mut self) -> Result<Option<Referrer>, StorageError> {
        while let Some(digest) = self.left.pop_front() {
            if let Some(found) = self.read(&digest).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn read(&self, digest: &Digest) -> Result<Option<Referrer>, StorageError> {
        let repositories = self.parts.storage.repositories();
        let held = repositories
            .referrer(&self.of, &self.subject, digest)
            .await?;
        Ok(held.map(|held| Referrer {
            media_type: held.media_type,
            digest: held.digest,
            size: held.size,
            artifact_type: held.artifact_type,
            annotations: held.annotations,
        }))
    }
}

async fn turn() -> Result<SemaphorePermit<'static>, PullError> {
    let turn = READERS.acquire().await;
    turn.map_err(|_| PullError::Interrupted)
}
