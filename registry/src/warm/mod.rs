//! What is wanted before anybody asks: the images of `edge.bootstrap`, `warm.images`, `warm.manifests` and `warm.artifact`, and those
//! that were pinned or asked for by hand. This room knows what is wanted and when it is its turn; how it is fetched, `pull` knows. It
//! must not know axum, status codes or paths below the store.

mod words;

use std::sync::Arc;

use cistern_storage::{Clock, Storage};
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    options: Arc<WarmOptions>,
}

impl Warm {
    /// Reads what is wanted, looks at what of it is here, and begins to fetch the rest in the background.
    pub async fn start(options: WarmOptions) -> Self {
        Self {
            options: Arc::new(options),
        }
    }

    /// The images that are wanted, and how far they are.
    pub async fn images(&self) -> Vec<WarmImage> {
        Vec::new()
    }

    /// The lists of images that are read, and what is wrong with them.
    pub fn lists(&self) -> Vec<WarmList> {
        Vec::new()
    }

    /// Asks for an image now, whatever the windows say, without anybody waiting for it. `platforms` are wanted beside those that
    /// are wanted anyway. How far it is, [`Warm::images`] tells.
    pub async fn fetch(
        &self,
        image: &str,
        platforms: Option<Platforms>,
    ) -> Result<(), WarmRefused> {
        let _ = (image, platforms, &self.options);
        Ok(())
    }

    /// Keeps an image until it is unpinned: fetches it, refreshes it, and never drops it.
    pub async fn pin(&self, image: &str) -> Result<(), WarmRefused> {
        let _ = image;
        Ok(())
    }

    /// Takes a pin back.
    pub async fn unpin(&self, image: &str) -> Result<Unpinned, WarmRefused> {
        let _ = image;
        Ok(Unpinned {
            was_pinned: false,
            still_wanted: Vec::new(),
        })
    }

    /// Removes an image from the store, with all that nothing else needs. Refuses what is pinned and what is hosted.
    pub async fn purge(&self, image: &str) -> Result<Purged, WarmRefused> {
        Err(WarmRefused::Unknown(image.to_owned()))
    }

    /// How the bootstrap set is.
    pub fn bootstrap(&self) -> Bootstrap {
        Bootstrap {
            is_required: self.options.edge.require_bootstrap,
            missing: Vec::new(),
        }
    }

    /// Whether the bootstrap set is all here.
    pub fn is_ready(&self) -> bool {
        self.bootstrap().is_ready()
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
