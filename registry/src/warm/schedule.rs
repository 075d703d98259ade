//! When it is whose turn: a few images at once, none while its link is not online, and outside of the windows only what devices need
//! to start at all, or what somebody asked for by hand.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cistern_oci::Reference;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Parts;
use super::names::Meaning;
use super::table::Entry;
use super::work::Look;
use crate::pull::LinkState;
use crate::repositories::Repository;
use crate::upstream::{Upstream, is_any_open};

/// How many images are fetched at once.
const AT_ONCE: usize = 3;
/// How often files are looked at, and whether a window has opened.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Fetches what is wanted, until it is told to stop.
pub(super) async fn run(parts: Arc<Parts>) {
    for upstream in parts.options.repositories.upstreams() {
        watch_link(&parts, &upstream);
    }
    parts.look_at_all().await;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        parts.start_due();
        let next = parts.table.lock().next_due(Instant::now());
        tokio::select! {
            () = parts.wake.notified() => {}
            () = parts.options.pull.held_something_back() => parts.note_held(),
            _ = looks.tick() => parts.read_files().await,
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
}

/// Wakes the schedule when the link is online again.
fn watch_link(parts: &Arc<Parts>, upstream: &Upstream) {
    let host = upstream.host().to_owned();
    let Some(mut changes) = parts.options.pull.links().changes(&host) else {
        return;
    };
    let (parts, stop) = (Arc::clone(parts), parts.options.stop.clone());
    let tasks = parts.options.tasks.clone();
    tasks.spawn(async move {
        let watching = async {
            while changes.changed().await.is_ok() {
                if *changes.borrow_and_update() == LinkState::Online {
                    let of = |entry: &Entry| upstream_of(entry).is_some_and(|it| it == host);
                    parts.table.lock().link_is_back(of, Instant::now());
                    parts.wake.notify_one();
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    });
}

fn upstream_of(entry: &Entry) -> Option<&str> {
    match &entry.meaning {
        Meaning::Image(Repository::Mirror(mirror), _) => Some(mirror.upstream.host()),
        Meaning::Image(Repository::Hosted(_), _) | Meaning::Nothing(_) => None,
    }
}

impl Parts {
    /// Starts whatever may be started now.
    fn start_due(self: &Arc<Self>) {
        let is_open = self.is_open();
        let links = self.options.pull.links();
        let may = |entry: &Entry| {
            (is_open || entry.is_pressing())
                && upstream_of(entry).is_none_or(|host| links.state(host) == LinkState::Online)
        };
        loop {
            let key = {
                let mut table = self.table.lock();
                if table.running() >= AT_ONCE {
                    return;
                }
                table.begin(Instant::now(), may)
            };
            let Some(key) = key else {
                return;
            };
            let (parts, stop) = (Arc::clone(self), self.options.stop.clone());
            self.options.tasks.spawn(async move {
                let look = Look::begin(&parts, key);
                stop.run_until_cancelled(look.run()).await;
            });
        }
    }

    /// Whether it is time for fetching ahead.
    fn is_open(&self) -> bool {
        let windows = &self.options.warm.windows;
        let now = self.options.clock.now();
        windows.is_empty() || is_any_open(windows, &self.options.time_zone, now)
    }

    /// Some tags are held back: it is their turn.
    pub(super) fn note_held(&self) {
        let mut table = self.table.lock();
        let mut held = HashMap::new();
        for (key, entry) in table.all() {
            if let Meaning::Image(Repository::Mirror(mirror), Reference::Tag(tag)) = &entry.meaning
                && let Some(to) = self.options.pull.held_back(mirror, tag)
            {
                held.insert(key.clone(), to);
            }
        }
        table.note_held(&held, Instant::now());
        drop(table);
        self.count();
    }
}
