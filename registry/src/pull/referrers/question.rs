//! Asking an upstream what refers to a manifest, once for all who want to know, and writing down what it says.

use std::sync::Arc;

use bytes::Bytes;
use cistern_oci::Digest;
use cistern_storage::Listing;

use super::super::check::{Checker, Failed};
use super::super::{DigestKey, Parts, attachments};
use super::{Listed, is_held, kind, sorted, tag_of};
use crate::config::WhenGone;
use crate::metrics::{UpstreamKind, UpstreamOutcome};
use crate::repositories::Mirror;
use crate::upstream::{
    Fault, Heard, Referrer, ReferrersAnswer, Said, UpstreamError, read_referrers,
};

/// One question to an upstream, and what is to be remembered of its answer.
pub(super) struct Question {
    pub(super) parts: Arc<Parts>,
    pub(super) mirror: Mirror,
    pub(super) subject: Digest,
    pub(super) heard: Heard,
}

// === impl Question ===

impl Question {
    pub(super) async fn answered(&self) -> Listed {
        let key = (self.mirror.name.clone(), self.subject);
        // Another question may have ended after this one was thought necessary and before it began.
        if let Some(list) = self.parts.fresh_referrers.get(&key) {
            return Ok(list);
        }
        if let Some(asked) = self.parts.refused_referrers.get(&key) {
            return Err(Failed::Upstream(asked.error));
        }
        let listed = match self.by_name().await {
            Ok(ReferrersAnswer::Listed(list)) => Ok(list.into()),
            Ok(ReferrersAnswer::Unconfirmed(list)) => {
                if self.kept_before().await.is_none() {
                    self.keep(&list).await;
                }
                Err(Failed::Unconfirmed(None))
            }
            Ok(ReferrersAnswer::NotServed) => self.by_tag().await,
            Err(error) => Err(Failed::Upstream(error)),
        };
        self.conclude(key, &listed).await;
        listed
    }

    /// By the referrers API.
    async fn by_name(&self) -> Result<ReferrersAnswer, UpstreamError> {
        let (upstream, name) = (&self.mirror.upstream, &self.mirror.name_there);
        let answer = upstream.referrers(name, &self.subject, &self.heard).await;
        if matches!(answer, Ok(ReferrersAnswer::NotServed)) {
            let requests = &self.parts.metrics.upstream_requests;
            requests.count(
                upstream.host(),
                UpstreamKind::Referrers,
                UpstreamOutcome::NotFound,
            );
            return answer;
        }
        self.parts
            .counted(UpstreamKind::Referrers, upstream.host(), answer)
    }

    /// By the tag that the list has where there is no such API, like any other tag.
    async fn by_tag(&self) -> Listed {
        let Some(tag) = tag_of(&self.subject) else {
            return Ok(Arc::default());
        };
        let key = (self.mirror.name.clone(), tag.clone());
        if let Some(asked) = self.parts.refused_tags.get(&key) {
            return Err(Failed::Upstream(asked.error));
        }
        let repositories = self.parts.storage.repositories();
        let record = repositories
            .tag(&key.0, &tag)
            .await
            .map_err(Failed::Storage)?;
        let checker = Checker {
            parts: &self.parts,
            mirror: &self.mirror,
        };
        let (mut check, _) = checker.check(tag, record);
        let heard = check.heard().clone();
        let mut outcome = std::pin::pin!(check.outcome());
        let manifest = loop {
            tokio::select! {
                value = &mut outcome => break value.unwrap_or(Err(Failed::Interrupted))?,
                () = heard.next() => self.heard.answer(),
            }
        };
        let list = read_referrers(manifest.bytes).await;
        Ok(sorted(list.unwrap_or_default()))
    }

    async fn conclude(&self, key: DigestKey, listed: &Listed) {
        let links = &self.parts.links;
        let host = self.mirror.upstream.host();
        match listed {
            Ok(list) => {
                links.note_answer(host);
                self.keep(list).await;
                // An interval of zero means that the upstream is asked every time, unless it has said that there is nothing.
                if list.is_empty() || !self.parts.policy.check_every.is_zero() {
                    self.parts.fresh_referrers.insert(key, Arc::clone(list));
                }
            }
            Err(Failed::Upstream(error)) => {
                links.note_error(host, error);
                if matches!(error.fault, Fault::NotFound(Said::NotFound)) {
                    self.keep_absence().await;
                } else {
                    tracing::debug!(repository = %key.0, subject = %key.1, %error, "referrers could not be asked for");
                }
                let refused = &self.parts.refused_referrers;
                refused.note_missing_for(attachments::MISSING, key, error);
            }
            Err(Failed::Unconfirmed(_)) => links.note_answer(host),
            Err(Failed::Storage(_) | Failed::Interrupted) => {}
        }
    }

    /// Keeps a list for the time without an upstream. That there is nothing is kept only where it takes the place of another
    /// list or speaks of a manifest that is held: callers may name any digest, and each would cost a file.
    async fn keep(&self, list: &[Referrer]) {
        let is_worth_it = !list.is_empty()
            || self.kept_before().await.is_some()
            || is_held(&self.parts, &self.mirror.name, &self.subject)
                .await
                .is_ok_and(|held| held);
        if is_worth_it {
            self.write(list).await;
        }
    }

    /// Keeps that the upstream knows neither the list nor its tag. Of what is gone the last list stays, unless the operator
    /// wants it otherwise.
    async fn keep_absence(&self) {
        let follows = self.parts.policy.when_gone == WhenGone::Follow;
        if follows || (self.kept_before().await.is_none() && !self.has_tag().await) {
            self.keep(&[]).await;
        }
    }

    async fn kept_before(&self) -> Option<Listing> {
        let storage = &self.parts.storage;
        let kind = kind(&self.subject);
        let listing = storage.listing(&self.mirror.name, &kind).await;
        listing.ok().flatten()
    }

    async fn has_tag(&self) -> bool {
        let Some(tag) = tag_of(&self.subject) else {
            return false;
        };
        let repositories = self.parts.storage.repositories();
        let record = repositories.tag(&self.mirror.name, &tag).await;
        record.is_ok_and(|record| record.is_some())
    }

    async fn write(&self, list: &[Referrer]) {
        let lines: Vec<String> = list
            .iter()
            .filter_map(|referrer| serde_json::to_string(referrer).ok())
            .collect();
        let name = &self.mirror.name;
        let storage = &self.parts.storage;
        let kind = kind(&self.subject);
        let lines = Bytes::from(lines.join("\n"));
        if let Err(error) = storage.set_listing(name, &kind, lines).await {
            tracing::debug!(repository = %name, subject = %self.subject, %error, "list of referrers is not kept");
        }
    }
}
