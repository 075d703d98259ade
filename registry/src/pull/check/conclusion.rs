//! Writing down what a check of a tag has shown.

use std::sync::Arc;
use std::time::SystemTime;

use cistern_oci::{Digest, Manifest, Tag};
use cistern_storage::{Checked, StorageError, TagRecord};
use tokio::time::Instant;

use super::super::promotion::{Decision, is_pinned};
use super::super::{Pull, PullError, TagKey, attachments};
use super::{Failed, Outcome, Task, Told};
use crate::config::WhenGone;
use crate::metrics::TagCheck;

impl Task {
    /// Writes down what the check has shown; what the tag means here from now on.
    pub(super) async fn concluded(
        &self,
        tag: &Tag,
        record: Option<&TagRecord>,
        outcome: Outcome,
    ) -> Outcome {
        let pull = Pull {
            parts: Arc::clone(&self.parts),
        };
        let found = match outcome {
            Ok(found) => pull.found(&self.mirror, tag, found).await,
            Err(failed) => {
                let outcome = Err(failed);
                self.conclude(tag, record, &outcome).await;
                return outcome;
            }
        };
        let outcome = match found {
            Ok((manifest, Decision::Move)) => Ok(manifest),
            Ok((kept, Decision::HoldBack)) => {
                self.note_held_back(tag);
                return Ok(kept);
            }
            Err(PullError::Storage(error)) => Err(Failed::Storage(error)),
            Err(_) => Err(Failed::Interrupted),
        };
        self.conclude(tag, record, &outcome).await;
        outcome
    }

    /// The tag was confirmed, and has not moved here because we hold it back.
    fn note_held_back(&self, tag: &Tag) {
        let key: TagKey = (self.mirror.name.clone(), tag.clone());
        self.parts.links.note_answer(self.mirror.upstream.host());
        self.parts.metrics.tag_checks.count(TagCheck::HeldBack);
        self.parts.stale.settle(&key);
        self.parts.promotion.note_there(&key);
        self.parts.checked.insert(key, Instant::now());
    }

    async fn conclude(&self, tag: &Tag, record: Option<&TagRecord>, outcome: &Outcome) {
        let key: TagKey = (self.mirror.name.clone(), tag.clone());
        let host = self.mirror.upstream.host();
        match outcome {
            Ok(manifest) => {
                self.parts.links.note_answer(host);
                self.count_found(record, manifest);
                self.tell_move(&key, record, manifest);
                self.parts.promotion.note_there(&key);
                self.point(tag, &manifest.digest, self.parts.clock.now())
                    .await;
                self.parts.checked.insert(key, Instant::now());
            }
            Err(Failed::Unconfirmed(told)) => {
                self.parts.links.note_answer(host);
                self.parts.metrics.tag_checks.count(TagCheck::Failed);
                if let Some(told) = told {
                    self.fill(key, told).await;
                }
            }
            Err(failed) => {
                let checks = &self.parts.metrics.tag_checks;
                if failed.is_gone() {
                    checks.count(TagCheck::Gone);
                    self.parts.promotion.release(&key);
                    self.forget_if_followed(&key).await;
                } else {
                    checks.count(TagCheck::Failed);
                }
                self.remember(key, failed);
            }
        }
    }

    fn remember(&self, key: TagKey, failed: &Failed) {
        if let Failed::Upstream(error) = failed {
            self.parts
                .links
                .note_error(self.mirror.upstream.host(), error);
            if failed.is_gone() {
                tracing::info!(repository = %key.0, tag = %key.1, upstream = %error.host, %error, "the upstream does not have this tag");
            } else {
                tracing::warn!(repository = %key.0, tag = %key.1, upstream = %error.host, %error, "tag could not be checked");
            }
            let refused = &self.parts.refused_tags;
            match attachments::subject(&key.1) {
                Some(_) => refused.note_missing_for(attachments::MISSING, key, error),
                None => refused.note(key, error),
            }
        }
    }

    /// Writes down what a cache above has told of a tag that nobody here knows, as long unconfirmed as makes it stale.
    async fn fill(&self, key: TagKey, told: &Told) {
        let repositories = self.parts.storage.repositories();
        if told.manifest.is_none() || !matches!(repositories.tag(&key.0, &key.1).await, Ok(None)) {
            return;
        }
        let age = told.age.unwrap_or_default();
        let age = age.max(self.parts.policy.check_every);
        let now = self.parts.clock.now();
        self.parts.checked.invalidate(&key);
        let at = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        self.point(&key.1, &told.digest, at).await;
    }

    async fn point(&self, tag: &Tag, digest: &Digest, at: SystemTime) {
        let checked = Checked {
            at,
            source: self.mirror.source().into(),
        };
        let set = self
            .parts
            .storage
            .repositories()
            .set_tag(&self.mirror.name, tag, digest, checked)
            .await;
        match set {
            Ok(()) | Err(StorageError::ReadOnly | StorageError::Full) => {}
            Err(error) => {
                tracing::warn!(repository = %self.mirror.name, %tag, %error, "tag is not written down");
            }
        }
    }

    async fn forget_if_followed(&self, key: &TagKey) {
        if is_pinned(&self.parts, key) {
            if self.parts.promotion.note_withdrawn(key) {
                tracing::warn!(repository = %key.0, tag = %key.1, "the upstream has no such tag any more; it is pinned, and goes on being served");
            }
            return;
        }
        if self.parts.policy.when_gone != WhenGone::Follow {
            return;
        }
        self.parts.stale.settle(key);
        let repositories = self.parts.storage.repositories();
        if let Err(error) = repositories.remove_tag(&key.0, &key.1).await {
            tracing::warn!(repository = %key.0, tag = %key.1, %error, "tag is gone upstream and could not be removed");
        }
    }

    fn count_found(&self, record: Option<&TagRecord>, manifest: &Manifest) {
        let found = match record {
            None => TagCheck::New,
            Some(record) if record.digest == manifest.digest => TagCheck::Unchanged,
            Some(_) => TagCheck::Moved,
        };
        self.parts.metrics.tag_checks.count(found);
    }

    fn tell_move(&self, key: &TagKey, record: Option<&TagRecord>, manifest: &Manifest) {
        let moved = record.is_some_and(|record| record.digest != manifest.digest);
        let was_stale = self.parts.stale.settle(key);
        if moved && was_stale {
            tracing::warn!(repository = %key.0, tag = %key.1, digest = %manifest.digest, "tag was served stale and has moved");
            self.parts.metrics.stale_tags_moved.inc();
        }
    }
}
