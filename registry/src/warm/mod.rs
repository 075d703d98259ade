//! What is wanted before anybody asks: the images of `edge.bootstrap`, `warm.images`, `warm.manifests` and `warm.artifact`, and those
//! that were pinned or asked for by hand. This room knows what is wanted and when it is its turn; how it is fetched, `pull` knows. It
//! must not know axum, status codes or paths below the store.

mod content;
mod lists;
mod names;
mod report;
mod schedule;
mod table;
mod wishes;
mod words;
mod work;

use std::collections::HashSet;
use std::sync::Arc;

use cistern_oci::Digest;
use cistern_storage::{Clock, Storage};
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::lists::{List, Read};
use self::names::{Key, Meaning};
use self::table::Table;
pub use self::words::{
    Bootstrap, Origin, Purged, Unpinned, WarmImage, WarmList, WarmRefused, WarmState,
};
use crate::config;
use crate::metrics::Metrics;
use crate::pull::{Platforms, Pull};
use crate::repositories::Repositories;

/// What this room is built from.
pub struct WarmOptions {
    /// How images are fetched.
    pub pull: Pull,
    /// What a name means.
    pub repositories: Repositories,
    /// Where pins are kept.
    pub storage: Storage,
    /// Where the work runs.
    pub tasks: TaskTracker,
    /// The wall clock, for windows.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Ends all of it.
    pub stop: CancellationToken,
    /// `edge`.
    pub edge: config::Edge,
    /// `warm`.
    pub warm: config::Warm,
    /// `proxy.timezone`: that of the windows.
    pub time_zone: TimeZone,
}

#[cfg(test)]
impl WarmOptions {
    /// Nothing is wanted.
    pub(crate) fn of_tests(pull: &Pull, repositories: &Repositories, tasks: &TaskTracker) -> Self {
        Self {
            pull: pull.clone(),
            repositories: repositories.clone(),
            storage: pull.storage().clone(),
            tasks: tasks.clone(),
            clock: Arc::new(cistern_storage::SystemClock),
            metrics: Arc::default(),
            stop: CancellationToken::new(),
            edge: config::Edge::default(),
            warm: config::Warm::default(),
            time_zone: TimeZone::UTC,
        }
    }
}

/// The images that are wanted. Cheap to clone; clones share all of it.
#[derive(Clone)]
pub struct Warm {
    parts: Arc<Parts>,
}

struct Parts {
    options: WarmOptions,
    platforms: Platforms,
    table: Mutex<Table>,
    lists: Mutex<Vec<List>>,
    /// The schedule should look whose turn it is.
    wake: Notify,
}

impl Warm {
    /// Reads what is wanted, looks at what of the bootstrap set is here, and begins to fetch the rest in the background. From then on
    /// what is wanted is protected from expiry.
    pub async fn start(options: WarmOptions) -> Self {
        let files = options.warm.manifests.iter().cloned().map(List::file);
        let artifact = options.warm.artifact.clone().map(List::artifact);
        let mut lists: Vec<List> = files.chain(artifact).collect();
        for list in &mut lists {
            list.restore(&options.storage).await;
        }
        let parts = Arc::new(Parts {
            platforms: platforms_of(&options.warm),
            table: Mutex::default(),
            lists: Mutex::new(lists),
            wake: Notify::new(),
            options,
        });
        parts.renew();
        parts.read_files().await;
        parts.look_at_bootstrap().await;
        let (running, stop) = (Arc::clone(&parts), parts.options.stop.clone());
        parts.options.tasks.spawn(async move {
            stop.run_until_cancelled(schedule::run(running)).await;
        });
        Self { parts }
    }
}

impl Parts {
    /// Wants what the configuration, the lists and the pins name now.
    fn renew(&self) {
        let mut wanted: Vec<(String, Origin)> = Vec::new();
        let options = &self.options;
        let named = |images: &[String], origin: &Origin| -> Vec<(String, Origin)> {
            let with = |image: &String| (image.clone(), origin.clone());
            images.iter().map(with).collect()
        };
        wanted.extend(named(&options.edge.bootstrap, &Origin::Bootstrap));
        wanted.extend(named(&options.warm.images, &Origin::Configured));
        if let Some(image) = options.warm.artifact.clone() {
            wanted.push((image.clone(), Origin::Artifact { image }));
        }
        for list in self.lists.lock().iter() {
            wanted.extend(named(&list.images, &list.origin));
        }
        let wanted: Vec<_> = wanted
            .into_iter()
            .map(|(image, origin)| {
                let meaning = Meaning::of(&options.repositories, &image);
                (image, meaning, origin)
            })
            .collect();
        let of = |(_, meaning, _): &(String, Meaning, Origin)| match meaning {
            Meaning::Image(repository, reference) => {
                Some((repository.name().clone(), reference.clone()))
            }
            Meaning::Nothing(_) => None,
        };
        let must_stay: HashSet<_> = wanted.iter().filter_map(of).collect();
        options.storage.pins().set_named(must_stay);
        let pins = options.storage.pins().all();
        let pinned = pins.into_iter().map(|pin| {
            let meaning = Meaning::of(&options.repositories, &pin.image);
            (pin.image, meaning, Origin::Pinned)
        });
        let wanted = wanted.into_iter().chain(pinned).collect();
        self.table.lock().want(wanted, Instant::now());
        self.count();
        self.wake.notify_one();
    }

    /// Reads the files that have changed.
    async fn read_files(&self) {
        let files: Vec<_> = {
            let lists = self.lists.lock();
            let to_read = |(place, list): (usize, &List)| Some((place, list.to_read()?));
            lists.iter().enumerate().filter_map(to_read).collect()
        };
        let mut has_changed = false;
        for (place, file) in files {
            if let Some(read) = file.read().await {
                has_changed |= self.take(place, read).await;
            }
        }
        if has_changed {
            self.renew();
        }
    }

    /// Takes over what was read of a list; whether it has changed.
    async fn take(&self, place: usize, read: Read) -> bool {
        let changed = {
            let mut lists = self.lists.lock();
            lists.get_mut(place).and_then(|list| list.take(read))
        };
        self.count();
        let Some((name, images)) = changed else {
            return false;
        };
        if let Err(error) = self.options.storage.pins().set_list(&name, &images).await {
            tracing::warn!(list = %name, %error, "what this list names is not kept over a restart");
        }
        true
    }

    /// Takes over what the artifact lists, or why that is not known.
    async fn take_artifact(&self, read: Option<Read>, trouble: Option<String>) {
        let place = {
            let mut lists = self.lists.lock();
            let is_artifact = |list: &List| matches!(list.origin, Origin::Artifact { .. });
            let Some(place) = lists.iter().position(is_artifact) else {
                return;
            };
            if read.is_none()
                && let Some(list) = lists.get_mut(place)
            {
                list.fail(
                    trouble
                        .clone()
                        .unwrap_or_else(|| "it is not here".to_owned()),
                );
            }
            place
        };
        let Some(read) = read else {
            return self.count();
        };
        let has_changed = self.take(place, read).await;
        if let Some(trouble) = trouble
            && let Some(list) = self.lists.lock().get_mut(place)
            && !list.is_broken()
        {
            list.fail(trouble);
        }
        if has_changed {
            self.renew();
        }
        self.count();
    }

    /// Whether this state of the artifact was read already.
    fn has_read(&self, digest: &Digest) -> bool {
        self.lists.lock().iter().any(|list| list.has_read(digest))
    }

    /// Whether this text means that image.
    fn is_it(&self, text: &str, key: &Key) -> bool {
        Meaning::of(&self.options.repositories, text).key(text) == *key
    }

    /// What is here of the bootstrap set, before anybody asks whether it is ready.
    async fn look_at_bootstrap(&self) {
        self.look_at_those(true).await;
    }

    /// What is here of the others.
    async fn look_at_all(&self) {
        self.look_at_those(false).await;
    }

    async fn look_at_those(&self, of_bootstrap: bool) {
        let entries: Vec<_> = {
            let table = self.table.lock();
            let all = table.all();
            all.filter(|(_, entry)| entry.is_bootstrap() == of_bootstrap)
                .map(|(key, entry)| (key.clone(), entry.clone()))
                .collect()
        };
        for (key, entry) in entries {
            let closure = self.look_at(&entry).await;
            let is_whole = closure.is_some_and(|closure| closure.is_complete());
            self.table.lock().note_whole(&key, is_whole);
        }
        self.count();
    }
}

/// For which machines images are wanted.
pub fn platforms_of(config: &config::Warm) -> Platforms {
    match &config.platforms {
        config::WarmPlatforms::ThisMachine => Platforms::of_this_machine(),
        config::WarmPlatforms::All => Platforms::All,
        config::WarmPlatforms::These(these) => Platforms::These(these.clone()),
    }
}
