//! How far everything is, for operators and scrapers.

use std::collections::HashSet;

use tokio::time::Instant;

use super::names::Meaning;
use super::table::Entry;
use super::{Bootstrap, Origin, Parts, Warm, WarmImage, WarmList, WarmState};
use crate::pull::Closure;

impl Warm {
    /// The images that are wanted, and how far they are. Reads the manifests of all of them.
    pub async fn images(&self) -> Vec<WarmImage> {
        let entries: Vec<Entry> = {
            let table = self.parts.table.lock();
            table.all().map(|(_, entry)| entry.clone()).collect()
        };
        let mut images = Vec::with_capacity(entries.len());
        for entry in entries {
            images.push(self.parts.report(entry).await);
        }
        images
    }

    /// The lists of images that are read, and what is wrong with them.
    pub fn lists(&self) -> Vec<WarmList> {
        let lists = self.parts.lists.lock();
        lists.iter().map(super::List::report).collect()
    }

    /// How the bootstrap set is.
    pub fn bootstrap(&self) -> Bootstrap {
        let table = self.parts.table.lock();
        let is_missing = |entry: &&Entry| entry.is_bootstrap() && !entry.is_whole;
        let missing = table.all().map(|(_, entry)| entry).filter(is_missing);
        Bootstrap {
            is_required: self.parts.options.edge.require_bootstrap,
            missing: missing.map(|entry| entry.image.clone()).collect(),
        }
    }

    /// Whether the bootstrap set is all here.
    pub fn is_ready(&self) -> bool {
        self.bootstrap().is_ready()
    }
}

impl Parts {
    async fn report(&self, entry: Entry) -> WarmImage {
        let digest = self.digest_of(&entry).await;
        let closure = self.look_at(&entry).await;
        let (repository, reference) = match &entry.meaning {
            Meaning::Image(repository, reference) => {
                (Some(repository.name().clone()), Some(reference.clone()))
            }
            Meaning::Nothing(_) => (None, None),
        };
        let pins = self.options.storage.pins();
        let is_pinned = match (&repository, &reference) {
            (Some(of), Some(reference)) => pins.is_pinned(of, reference),
            _ => false,
        };
        let last_used = match digest {
            Some(digest) => self.options.storage.blobs().last_used(digest).await,
            None => None,
        };
        let state = state(&entry, closure.as_ref());
        let until = entry.due.saturating_duration_since(Instant::now());
        let is_waiting = !entry.is_running && state != WarmState::NotMirrored;
        WarmImage {
            image: entry.image,
            repository,
            reference,
            origins: entry.origins.into_iter().collect(),
            is_pinned,
            digest,
            closure,
            last_used,
            state,
            trouble: entry.trouble,
            next_try: is_waiting.then_some(until),
        }
    }

    /// Counts what is told by gauges.
    pub(super) fn count(&self) {
        let metrics = &self.options.metrics;
        {
            let table = self.table.lock();
            metrics
                .warm_images
                .set(table.all().map(|(_, entry)| entry.label()));
            let is_kept = |entry: &&Entry| {
                !entry.origins.is_empty() && matches!(entry.meaning, Meaning::Image(..))
            };
            let kept = table.all().map(|(_, entry)| entry).filter(is_kept).count();
            metrics.pinned_images.set(number(kept));
        }
        let broken = self
            .lists
            .lock()
            .iter()
            .filter(|list| list.is_broken())
            .count();
        metrics.warm_lists_broken.set(number(broken));
    }

    /// Who still wants an image, pins not counted.
    pub(super) fn wanted_by(&self, key: &super::Key) -> Vec<Origin> {
        let table = self.table.lock();
        let origins = table.get(key).map(|entry| entry.origins.clone());
        let origins: HashSet<Origin> = origins.unwrap_or_default().into_iter().collect();
        let mut origins: Vec<Origin> = origins
            .into_iter()
            .filter(|origin| *origin != Origin::Pinned)
            .collect();
        origins.sort();
        origins
    }
}

/// How far it is, by what is here now and by how the last look ended.
fn state(entry: &Entry, closure: Option<&Closure>) -> WarmState {
    if matches!(entry.meaning, Meaning::Nothing(_)) {
        return WarmState::NotMirrored;
    }
    let is_whole = closure.is_some_and(Closure::is_complete);
    match entry.held {
        Some(to) if is_whole => return WarmState::HeldBack { to },
        _ if is_whole => return WarmState::Ready,
        _ => {}
    }
    if entry.is_running {
        let of = closure.and_then(Closure::total_bytes);
        let missing = closure.and_then(Closure::missing_bytes);
        let fetched = match (of, missing) {
            (Some(of), Some(missing)) => of.saturating_sub(missing),
            _ => 0,
        };
        return WarmState::Fetching { fetched, of };
    }
    if entry.has_failed() {
        WarmState::Failed
    } else {
        WarmState::Waiting
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
