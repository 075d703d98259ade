//! The images that are wanted, and whose turn it is. Pure: the time is an argument, and nothing is fetched here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use cistern_oci::Digest;
use tokio::time::Instant;

use super::Origin;
use super::names::{Key, Meaning};
use crate::metrics::WarmLabel;
use crate::pull::Platforms;

/// After a first failure an image is tried again so soon; then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
/// Where callers' downloads went first.
const YIELDED_PAUSE: Duration = Duration::from_secs(15);
/// How long an image that was asked for by hand is remembered.
const ASKED_FOR: Duration = Duration::from_hours(24);
/// How many such images are remembered.
pub(super) const MOST_ASKED: usize = 1_000;

/// An image that is wanted.
#[derive(Clone)]
pub(super) struct Entry {
    /// Its name as it was first written.
    pub(super) image: String,
    pub(super) meaning: Meaning,
    pub(super) origins: BTreeSet<Origin>,
    /// Platforms that were asked for by hand, beside the usual ones.
    pub(super) platforms: Option<Platforms>,
    /// Since when it is asked for by hand, and whether that is still to be done.
    pub(super) asked: Option<(Instant, bool)>,
    pub(super) is_running: bool,
    /// Whether all of it was here when that was last looked at.
    pub(super) is_whole: bool,
    pub(super) trouble: Option<String>,
    waits_for_link: bool,
    /// What its tag will mean, as far as it is held back.
    pub(super) held: Option<Digest>,
    failures: u32,
    pub(super) due: Instant,
}

/// How a look at an image ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    /// Whether all of it is here.
    pub(super) is_whole: bool,
    pub(super) trouble: Option<String>,
    pub(super) why: Why,
    pub(super) held: Option<Digest>,
}

/// When an image is looked at again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Why {
    /// At the usual time.
    #[default]
    Well,
    /// It failed: with growing patience.
    Failed,
    /// The link failed: when it is back, or so.
    Link,
    /// Others went first: soon.
    Yielded,
}

/// What is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    None,
    Ready,
    FailedFirst,
}

#[derive(Default)]
pub(super) struct Table {
    entries: BTreeMap<Key, Entry>,
}

impl Table {
    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// From now on these are wanted, and what was asked for by hand a while ago is not any more.
    pub(super) fn want(&mut self, wanted: Vec<(String, Meaning, Origin)>, now: Instant) {
        for entry in self.entries.values_mut() {
            entry.origins.clear();
        }
        for (image, meaning, origin) in wanted {
            let entry = self.entry(&image, meaning, now);
            entry.origins.insert(origin);
        }
        self.entries.retain(|_, entry| {
            let is_asked = |(since, _): (Instant, bool)| now.duration_since(since) < ASKED_FOR;
            !entry.origins.is_empty() || entry.is_running || entry.asked.is_some_and(is_asked)
        });
    }

    /// Somebody asks for an image now. `false`: too many are asked for.
    pub(super) fn ask(
        &mut self,
        image: &str,
        meaning: Meaning,
        platforms: Option<Platforms>,
        now: Instant,
    ) -> bool {
        let asked = self
            .entries
            .values()
            .filter(|entry| entry.origins.is_empty());
        if asked.count() >= MOST_ASKED && !self.entries.contains_key(&meaning.key(image)) {
            return false;
        }
        let entry = self.entry(image, meaning, now);
        entry.asked = Some((now, true));
        entry.platforms = both(entry.platforms.take(), platforms);
        (entry.due, entry.failures) = (now, 0);
        true
    }

    /// Gives an image an origin beside those it has.
    pub(super) fn add(&mut self, image: &str, meaning: Meaning, origin: Origin, now: Instant) {
        let entry = self.entry(image, meaning, now);
        entry.origins.insert(origin);
        entry.due = now;
    }

    fn entry(&mut self, image: &str, meaning: Meaning, now: Instant) -> &mut Entry {
        let key = meaning.key(image);
        let trouble = match &meaning {
            Meaning::Image(..) => None,
            Meaning::Nothing(why) => Some(why.clone()),
        };
        self.entries.entry(key).or_insert_with(|| Entry {
            image: image.to_owned(),
            meaning,
            origins: BTreeSet::new(),
            platforms: None,
            asked: None,
            is_running: false,
            is_whole: false,
            trouble,
            waits_for_link: false,
            held: None,
            failures: 0,
            due: now,
        })
    }

    /// The image whose turn it is of those that `may` be fetched now, which is running from now on.
    pub(super) fn begin(&mut self, now: Instant, may: impl Fn(&Entry) -> bool) -> Option<Key> {
        let is_due = |entry: &Entry| {
            let is_image = matches!(entry.meaning, Meaning::Image(..));
            is_image && !entry.is_running && entry.due <= now && may(entry)
        };
        let next = self
            .entries
            .iter()
            .filter(|(_, entry)| is_due(entry))
            .min_by_key(|(_, entry)| (entry.rank(), entry.due));
        let key = next.map(|(key, _)| key.clone())?;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.is_running = true;
        }
        Some(key)
    }

    /// How many are running.
    pub(super) fn running(&self) -> usize {
        self.entries
            .values()
            .filter(|entry| entry.is_running)
            .count()
    }

    /// When the next one is due that is not yet.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let waiting = self.entries.values().filter(|entry| !entry.is_running);
        waiting
            .map(|entry| entry.due)
            .filter(|due| *due > now)
            .min()
    }

    /// A look at an image was broken off.
    pub(super) fn broken_off(&mut self, key: &Key) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_running = false;
        }
    }

    /// A look at an image has ended.
    pub(super) fn end(&mut self, key: &Key, ended: Ended, every: Duration, now: Instant) -> News {
        let Some(entry) = self.entries.get_mut(key) else {
            return News::None;
        };
        entry.is_running = false;
        if let Some((_, is_to_do)) = &mut entry.asked {
            *is_to_do &= matches!(ended.why, Why::Yielded);
        }
        let was_whole = std::mem::replace(&mut entry.is_whole, ended.is_whole);
        (entry.trouble, entry.held) = (ended.trouble, ended.held);
        entry.waits_for_link = ended.why == Why::Link;
        entry.due = now
            + match ended.why {
                Why::Well => {
                    entry.failures = 0;
                    every
                }
                Why::Yielded => YIELDED_PAUSE.min(every),
                Why::Failed | Why::Link => {
                    entry.failures = entry.failures.saturating_add(1);
                    pause(entry.failures, every)
                }
            };
        if ended.is_whole && !was_whole {
            News::Ready
        } else if matches!(ended.why, Why::Failed | Why::Link) && entry.failures == 1 {
            News::FailedFirst
        } else {
            News::None
        }
    }

    /// An image that was asked for by hand is not wanted any more.
    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(entry) = self.entries.get_mut(key) {
            (entry.asked, entry.is_whole) = (None, false);
        }
        self.entries
            .retain(|other, entry| other != key || !entry.origins.is_empty() || entry.is_running);
    }

    /// What is here of an image was looked at.
    pub(super) fn note_whole(&mut self, key: &Key, is_whole: bool) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_whole = is_whole;
        }
    }

    /// The tags that are held back, and what they will mean: it is their turn.
    pub(super) fn note_held(&mut self, held: &HashMap<Key, Digest>, now: Instant) {
        for (key, to) in held {
            if let Some(entry) = self.entries.get_mut(key)
                && entry.held != Some(*to)
            {
                entry.held = Some(*to);
                entry.due = now;
            }
        }
    }

    /// A link is back: what failed for want of it is due. `of`: whether an image comes over it.
    pub(super) fn link_is_back(&mut self, of: impl Fn(&Entry) -> bool, now: Instant) {
        for entry in self.entries.values_mut() {
            if entry.waits_for_link && of(entry) {
                (entry.due, entry.failures, entry.waits_for_link) = (now, 0, false);
            }
        }
    }
}

impl Entry {
    /// Whether devices need it to start at all.
    pub(super) fn is_bootstrap(&self) -> bool {
        self.origins.contains(&Origin::Bootstrap)
    }

    /// Whether it does not have to wait for a window.
    pub(super) fn is_pressing(&self) -> bool {
        (self.is_bootstrap() && !self.is_whole) || self.is_asked()
    }

    fn is_asked(&self) -> bool {
        self.asked.is_some_and(|(_, is_to_do)| is_to_do)
    }

    fn rank(&self) -> u8 {
        match (self.is_bootstrap() && !self.is_whole, self.is_asked()) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) if !self.is_whole => 2,
            (false, false) if self.held.is_some() => 3,
            (false, false) => 4,
        }
    }

    /// Whether the last look failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// How far it is.
    pub(super) fn label(&self) -> WarmLabel {
        match &self.meaning {
            Meaning::Nothing(_) => WarmLabel::NotMirrored,
            Meaning::Image(..) if self.is_whole && self.held.is_some() => WarmLabel::HeldBack,
            Meaning::Image(..) if self.is_whole => WarmLabel::Ready,
            Meaning::Image(..) if self.is_running => WarmLabel::Fetching,
            Meaning::Image(..) if self.failures > 0 => WarmLabel::Failed,
            Meaning::Image(..) => WarmLabel::Waiting,
        }
    }
}

/// The pause after so many failures in a row.
fn pause(failures: u32, every: Duration) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(20));
    FIRST_PAUSE.saturating_mul(doubled).min(every)
}

fn both(one: Option<Platforms>, other: Option<Platforms>) -> Option<Platforms> {
    match (one, other) {
        (Some(Platforms::All), _) | (_, Some(Platforms::All)) => Some(Platforms::All),
        (Some(Platforms::These(mut one)), Some(Platforms::These(other))) => {
            for platform in other {
                if !one.contains(&platform) {
                    one.push(platform);
                }
            }
            Some(Platforms::These(one))
        }
        (one, None) => one,
        (None, other) => other,
    }
}

#[cfg(test)]
mod tests;
