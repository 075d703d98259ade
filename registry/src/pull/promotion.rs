//! Holding a tag back (`warm.holdback`): a tag that is kept here and means something new upstream moves only when all of that is
//! here. Until then callers get what it meant, as confirmed: it was asked for, and it is our decision. What is new can be had by its
//! digest meanwhile. Nothing of this is written down: after a restart the next check finds the new digest again.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use cistern_oci::{Digest, Manifest, Reference, Tag};
use cistern_storage::{Checked, TagRecord};
use moka::sync::Cache;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use super::{DigestKey, Parts, Platforms, Pull, PullError, TagKey};
use crate::repositories::{Mirror, Repository};

/// So many manifests are known to have been asked about.
const ASKED: u64 = 20_000;

/// The tags that are held back.
pub(super) struct Promotion {
    /// For which machines an image has to be here. None: no tag is held back.
    platforms: Option<Platforms>,
    held: Mutex<HashMap<TagKey, Held>>,
    /// Pinned tags that their upstream no longer has.
    withdrawn: Mutex<HashSet<TagKey>>,
    /// Taken by whoever decides what a tag means: a check that found something new, or who moves it.
    turn: tokio::sync::Mutex<()>,
    /// Somebody should fetch something.
    news: Notify,
    /// The manifests whose upstream was asked what refers to them, in this run.
    asked: Cache<DigestKey, ()>,
    held_gauge: Gauge,
    withdrawn_gauge: Gauge,
}

/// What a tag will mean.
#[derive(Clone)]
struct Held {
    to: Digest,
    confirmed: Checked,
}

/// What becomes of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It means what was found.
    Move,
    /// It goes on meaning what it did.
    HoldBack,
}

/// What is known of an image that a tag means or would mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) digest: Digest,
    /// Whether all of it is here.
    pub(super) is_whole: bool,
}

/// Decides. `now`: what the tag means, if it means anything. `found`: what it means upstream.
///
/// An image that is not whole itself is no reason to hold its successor back: children would miss as much.
pub(super) fn decide(now: Option<Known>, found: Known) -> Decision {
    match now {
        Some(now) if now.digest != found.digest && now.is_whole && !found.is_whole => {
            Decision::HoldBack
        }
        Some(_) | None => Decision::Move,
    }
}

impl Promotion {
    /// Nothing is held back yet; nothing ever is without `platforms`.
    pub(super) fn new(platforms: Option<Platforms>, held: Gauge, withdrawn: Gauge) -> Self {
        Self {
            platforms,
            held: Mutex::default(),
            withdrawn: Mutex::default(),
            turn: tokio::sync::Mutex::new(()),
            news: Notify::new(),
            asked: Cache::new(ASKED),
            held_gauge: held,
            withdrawn_gauge: withdrawn,
        }
    }

    /// Whether it is known what refers to this manifest.
    pub(super) fn has_asked(&self, key: &DigestKey) -> bool {
        self.asked.contains_key(key)
    }

    pub(super) fn note_asked(&self, key: DigestKey) {
        self.asked.insert(key, ());
    }

    /// The tag is not held back any more; whether it was.
    pub(super) fn release(&self, key: &TagKey) -> bool {
        let mut held = self.held.lock();
        let was_held = held.remove(key).is_some();
        self.held_gauge
            .set(i64::try_from(held.len()).unwrap_or(i64::MAX));
        was_held
    }

    /// Whether that is news.
    fn hold_back(&self, key: TagKey, what: Held) -> bool {
        let mut held = self.held.lock();
        let to = what.to;
        let before = held.insert(key, what);
        self.held_gauge
            .set(i64::try_from(held.len()).unwrap_or(i64::MAX));
        before.is_none_or(|before| before.to != to)
    }

    fn get(&self, key: &TagKey) -> Option<Held> {
        self.held.lock().get(key).cloned()
    }

    /// The upstream no longer has this pinned tag; whether that is news.
    pub(super) fn note_withdrawn(&self, key: &TagKey) -> bool {
        let mut withdrawn = self.withdrawn.lock();
        let is_news = withdrawn.insert(key.clone());
        self.count_withdrawn(withdrawn.len());
        is_news
    }

    /// The upstream has the tag.
    pub(super) fn note_there(&self, key: &TagKey) {
        let mut withdrawn = self.withdrawn.lock();
        withdrawn.remove(key);
        self.count_withdrawn(withdrawn.len());
    }

    fn count_withdrawn(&self, count: usize) {
        self.withdrawn_gauge
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Whether what this tag means is kept whatever happens.
pub(super) fn is_pinned(parts: &Parts, key: &TagKey) -> bool {
    let reference = Reference::Tag(key.1.clone());
    parts.storage.pins().is_pinned(&key.0, &reference)
}

impl Pull {
    /// What a check that found this makes of the tag: what was found, or what the tag goes on meaning.
    pub(super) async fn found(
        &self,
        mirror: &Mirror,
        tag: &Tag,
        found: Manifest,
    ) -> Result<(Manifest, Decision), PullError> {
        let promotion = &self.parts.promotion;
        let key: TagKey = (mirror.name.clone(), tag.clone());
        let Some(platforms) = &promotion.platforms else {
            return Ok((found, Decision::Move));
        };
        let _turn = promotion.turn.lock().await;
        let repositories = self.parts.storage.repositories();
        let record = repositories.tag(&mirror.name, tag).await?;
        let now = match record {
            Some(record) if record.digest != found.digest && is_pinned(&self.parts, &key) => record,
            Some(_) | None => {
                promotion.release(&key);
                return Ok((found, Decision::Move));
            }
        };
        let repository = Repository::Mirror(mirror.clone());
        let known = async |digest: &Digest| -> Result<Known, PullError> {
            let closure = self.closure(&repository, digest, platforms).await?;
            Ok(Known {
                digest: *digest,
                is_whole: closure.is_complete(),
            })
        };
        let old = known(&now.digest).await?;
        let mut new = known(&found.digest).await?;
        // Nobody has asked yet what refers to it.
        new.is_whole &= promotion.has_asked(&(mirror.name.clone(), found.digest));
        let kept = repositories.manifest(&mirror.name, &now.digest).await?;
        match (decide(Some(old), new), kept) {
            (Decision::HoldBack, Some(kept)) => {
                self.hold_back(mirror, key, &now, found.digest).await?;
                Ok((kept, Decision::HoldBack))
            }
            (Decision::Move, _) | (_, None) => {
                promotion.release(&key);
                Ok((found, Decision::Move))
            }
        }
    }

    async fn hold_back(
        &self,
        mirror: &Mirror,
        key: TagKey,
        now: &TagRecord,
        to: Digest,
    ) -> Result<(), PullError> {
        let promotion = &self.parts.promotion;
        let confirmed = self.confirmed(mirror);
        let what = Held {
            to,
            confirmed: confirmed.clone(),
        };
        let (of, tag) = (&key.0, &key.1);
        let repositories = self.parts.storage.repositories();
        repositories
            .set_tag(of, tag, &now.digest, confirmed)
            .await?;
        if promotion.hold_back(key.clone(), what) {
            tracing::info!(repository = %of, %tag, digest = %now.digest, %to, "tag has moved upstream; it is held back until all of the new image is here");
            self.protect_held();
        }
        promotion.news.notify_one();
        Ok(())
    }

    fn confirmed(&self, mirror: &Mirror) -> Checked {
        Checked {
            at: self.parts.clock.now(),
            source: mirror.upstream.host().into(),
        }
    }

    /// What tags will mean must not be dropped while it is fetched.
    fn protect_held(&self) {
        let held = self.parts.promotion.held.lock();
        let expected = held.values().map(|held| held.to).collect();
        self.parts.storage.pins().set_expected(expected);
    }

    /// What this tag will mean, if it is held back.
    pub fn held_back(&self, mirror: &Mirror, tag: &Tag) -> Option<Digest> {
        let held = self
            .parts
            .promotion
            .get(&(mirror.name.clone(), tag.clone()))?;
        Some(held.to)
    }

    /// Moves a tag that is held back to this digest, if that is still what it will mean and all of it is here. Whether it moved.
    pub async fn promote(
        &self,
        mirror: &Mirror,
        tag: &Tag,
        to: &Digest,
    ) -> Result<bool, PullError> {
        let promotion = &self.parts.promotion;
        let key: TagKey = (mirror.name.clone(), tag.clone());
        let Some(platforms) = &promotion.platforms else {
            return Ok(false);
        };
        let _turn = promotion.turn.lock().await;
        let Some(held) = promotion.get(&key).filter(|held| held.to == *to) else {
            return Ok(false);
        };
        let repository = Repository::Mirror(mirror.clone());
        let closure = self.closure(&repository, to, platforms).await?;
        if !closure.is_complete() {
            return Ok(false);
        }
        let repositories = self.parts.storage.repositories();
        repositories
            .set_tag(&key.0, &key.1, to, held.confirmed)
            .await?;
        promotion.release(&key);
        self.protect_held();
        tracing::info!(repository = %key.0, tag = %key.1, digest = %to, "tag moves: all of the new image is here");
        Ok(true)
    }

    /// Resolves when a tag was held back since this was last asked.
    pub async fn held_something_back(&self) {
        self.parts.promotion.news.notified().await;
    }

    /// Whether the upstream said, when it was last asked, that it has no such tag, and the tag is kept because it is pinned.
    pub fn is_withdrawn(&self, mirror: &Mirror, tag: &Tag) -> bool {
        let key = (mirror.name.clone(), tag.clone());
        self.parts.promotion.withdrawn.lock().contains(&key)
    }

    /// The wall clock of this room.
    pub fn now(&self) -> SystemTime {
        self.parts.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use cistern_oci::Algorithm;

    use super::*;

    fn known(text: &str, is_whole: bool) -> Known {
        Known {
            digest: Digest::of(Algorithm::Sha256, text.as_bytes()),
            is_whole,
        }
    }

    #[test]
    fn a_tag_is_held_back_while_the_old_image_is_here_and_the_new_one_is_not() {
        let decided = |now: Option<Known>, found| decide(now, found);
        let (old, new) = (|whole| known("old", whole), |whole| known("new", whole));
        assert_eq!(decided(Some(old(true)), new(false)), Decision::HoldBack);
        assert_eq!(decided(Some(old(true)), new(true)), Decision::Move);
        assert_eq!(decided(Some(old(false)), new(false)), Decision::Move);
        assert_eq!(decided(Some(old(true)), old(false)), Decision::Move);
        assert_eq!(decided(None, new(false)), Decision::Move);
    }
}
