//! How the link to each upstream is: online, degraded or offline. Where it is not online, callers with something cached do not
//! wait for it, and nobody is dialled for them; a probe finds out when it is back.
//!
//! Only links that are watched (by a prober, see `pull::prober`) can be anything but online: of the storage hosts and token servers
//! that an upstream sends us to nobody would ever find out that they are back.

mod breaker;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cistern_storage::Clock;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

use self::breaker::Breaker;
use super::Asked;
use crate::metrics::{Metrics, ProbeOutcome};
use crate::upstream::{Fault, LinkFault, Upstream, UpstreamError};

/// How a link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// The last that was heard was an answer, or nothing was asked yet.
    #[default]
    Online,
    /// The last question failed on its way or met silence.
    Degraded,
    /// It is lost: three questions in a row failed over five seconds or more, or one did and the probe after it too.
    Offline,
}

/// How a link was when it was last used. Told, never judged.
#[derive(Clone, Debug)]
pub struct LinkReport {
    /// The upstream's host.
    pub upstream: String,
    /// How the link is.
    pub state: LinkState,
    /// Since when, by the wall clock of now: a clock that was wrong at that moment does no harm.
    pub since: SystemTime,
    /// What went wrong last; nothing when all was well after it.
    pub last_error: Option<String>,
    /// Whether it refused our credentials when it was last asked.
    pub credentials_refused: bool,
    /// How long it is left alone because it had too many requests; `None` if it is not.
    pub paused_for: Option<Duration>,
}

/// The links, by upstream host. Cheap to clone; clones share all of it.
#[derive(Clone)]
pub struct Links {
    shared: Arc<Shared>,
}

struct Shared {
    links: RwLock<HashMap<Box<str>, Arc<Link>>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

struct Link {
    breaker: Mutex<Breaker>,
    /// The breaker's state, for those who wait for a change.
    state: watch::Sender<LinkState>,
    /// Whether somebody probes it while it is not online. Of others only refused credentials are told.
    watched: bool,
    paused_for: PausedFor,
}

/// Asks an upstream how long it is left alone because it had too many requests.
type PausedFor = Box<dyn Fn() -> Option<Duration> + Send + Sync>;

// === impl LinkState ===

impl LinkState {
    /// One lower-case word, for labels, logs and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Degraded => "degraded",
            Self::Offline => "offline",
        }
    }
}

// === impl Links ===

impl Links {
    /// No links yet.
    pub fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let shared = Shared {
            links: RwLock::default(),
            clock,
            metrics,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How the link is; online if it is not watched.
    pub fn state(&self, upstream: &str) -> LinkState {
        self.link(upstream)
            .map_or(LinkState::Online, |link| *link.state.borrow())
    }

    /// Whether it is anything but online.
    pub fn is_degraded(&self, upstream: &str) -> bool {
        self.state(upstream) != LinkState::Online
    }

    /// Whether the upstream refused our credentials when it was last asked.
    pub fn refuses_credentials(&self, upstream: &str) -> bool {
        self.link(upstream)
            .is_some_and(|link| link.breaker.lock().refuses_credentials())
    }

    /// Tells every change of a link that is watched.
    pub fn changes(&self, upstream: &str) -> Option<watch::Receiver<LinkState>> {
        let link = self.link(upstream)?;
        link.watched.then(|| link.state.subscribe())
    }

    /// Resolves when the link is not offline (any more): at once if it is not now.
    pub async fn back(&self, upstream: &str) {
        if let Some(link) = self.link(upstream) {
            let mut state = link.state.subscribe();
            // An error would mean that the sender is gone, and `link` holds it.
            let _ = state.wait_for(|state| *state != LinkState::Offline).await;
        }
    }

    /// Resolves when the link was offline and is online again, both after now. Who waits for an answer over it may have been
    /// waiting in vain: the connection is from before.
    pub(super) async fn returned(&self, upstream: &str) {
        let Some(link) = self.link(upstream) else {
            return std::future::pending().await;
        };
        let mut state = link.state.subscribe();
        let _ = state.wait_for(|state| *state == LinkState::Offline).await;
        let _ = state.wait_for(|state| *state == LinkState::Online).await;
    }

    /// How each watched link was, by host.
    pub fn reports(&self) -> Vec<LinkReport> {
        let links = self.shared.links.read();
        let mut reports: Vec<_> = links
            .iter()
            .filter(|(_, link)| link.watched)
            .map(|(host, link)| self.report(host, link))
            .collect();
        reports.sort_by(|one, other| one.upstream.cmp(&other.upstream));
        reports
    }

    fn report(&self, host: &str, link: &Link) -> LinkReport {
        let breaker = link.breaker.lock();
        let now = self.shared.clock.now();
        LinkReport {
            upstream: host.to_owned(),
            state: breaker.state(),
            since: now.checked_sub(breaker.since().elapsed()).unwrap_or(now),
            last_error: breaker.last().map(|(error, _)| error.to_string()),
            credentials_refused: breaker.refuses_credentials(),
            paused_for: (link.paused_for)(),
        }
    }

    /// What went wrong last on this link, and how long ago; nothing when all was well after it.
    pub(super) fn last_error(&self, upstream: &str) -> Option<Asked> {
        let link = self.link(upstream)?;
        let breaker = link.breaker.lock();
        let (error, at) = breaker.last()?;
        Some(Asked {
            error: error.clone(),
            ago: at.elapsed(),
        })
    }

    /// Begins to watch the link to this upstream: whoever does must probe it while it is not online.
    pub(super) fn watch(&self, upstream: &Upstream) -> watch::Receiver<LinkState> {
        let pauses = upstream.clone();
        self.add(upstream.host(), Box::new(move || pauses.paused_for()), true)
    }

    /// The same, of a host without an upstream behind it.
    #[cfg(test)]
    pub(super) fn watch_host(&self, host: &str) -> watch::Receiver<LinkState> {
        self.add(host, Box::new(|| None), true)
    }

    /// It did not answer in time.
    pub(super) fn note_silence(&self, upstream: &str) {
        let fault = Fault::Unreachable {
            link: LinkFault::Timeout,
            detail: "no answer in time".to_owned(),
        };
        let error = UpstreamError {
            host: upstream.into(),
            fault,
        };
        self.note_error(upstream, &error);
    }

    /// It answered with what was asked for.
    pub(super) fn note_answer(&self, upstream: &str) {
        self.change(upstream, Breaker::answered);
    }

    /// It answered otherwise, or the link broke.
    pub(super) fn note_error(&self, upstream: &str, error: &UpstreamError) {
        if matches!(error.fault, Fault::CredentialsRefused { .. }) && self.link(upstream).is_none()
        {
            self.add(upstream, Box::new(|| None), false);
        }
        self.change(upstream, |breaker, now| breaker.failed(error, now));
    }

    /// A probe got an answer, or none.
    pub(super) fn note_probe(&self, upstream: &str, probed: &Result<(), UpstreamError>) {
        let is_lost =
            matches!(probed, Err(error) if matches!(error.fault, Fault::Unreachable { .. }));
        let outcome = if is_lost {
            ProbeOutcome::Failed
        } else {
            ProbeOutcome::Answered
        };
        self.shared.metrics.probes.count(upstream, outcome);
        self.change(upstream, |breaker, now| match probed {
            Ok(()) => breaker.probe_answered(now),
            Err(error) if is_lost => breaker.probe_failed(error, now),
            Err(error) => breaker.failed(error, now),
        });
    }

    fn link(&self, upstream: &str) -> Option<Arc<Link>> {
        self.shared.links.read().get(upstream).cloned()
    }

    fn add(&self, host: &str, paused_for: PausedFor, watched: bool) -> watch::Receiver<LinkState> {
        let (state, changes) = watch::channel(LinkState::Online);
        let link = Link {
            breaker: Mutex::new(Breaker::new(Instant::now())),
            state,
            watched,
            paused_for,
        };
        if watched {
            self.shared.metrics.link_state.of(host).set(0);
        }
        self.shared
            .links
            .write()
            .insert(host.into(), Arc::new(link));
        changes
    }

    /// News are told in the log, once.
    fn change(&self, host: &str, change: impl FnOnce(&mut Breaker, Instant)) {
        let Some(link) = self.link(host) else {
            return;
        };
        let (before, after) = {
            let mut breaker = link.breaker.lock();
            let before = breaker.clone();
            change(&mut breaker, Instant::now());
            if link.watched && before.state() != breaker.state() {
                // While the breaker is held, so that two changes are told in their order.
                link.state.send_replace(breaker.state());
            }
            (before, breaker.clone())
        };
        if after.refuses_credentials() && !before.refuses_credentials() {
            tracing::error!(
                upstream = host,
                "refuses this cache's credentials: see username and password, of proxy or of its route"
            );
        }
        if link.watched && before.state() != after.state() {
            self.tell(host, &before, &after);
        }
    }

    fn tell(&self, upstream: &str, before: &Breaker, after: &Breaker) {
        let metrics = &self.shared.metrics;
        metrics.link_changes.count(upstream, after.state());
        let gauge = metrics.link_state.of(upstream);
        let why = after.last().map(|(error, _)| error.to_string());
        let why = why.as_deref().unwrap_or("no reason given");
        match after.state() {
            LinkState::Online => {
                gauge.set(0);
                let away = before.since().elapsed().as_secs_f64();
                tracing::info!(
                    upstream,
                    was = before.state().as_str(),
                    away,
                    "link answers again"
                );
            }
            LinkState::Degraded => {
                gauge.set(1);
                tracing::warn!(
                    upstream,
                    why,
                    "link degraded: cached tags are served without waiting for it"
                );
            }
            LinkState::Offline => {
                gauge.set(2);
                tracing::warn!(
                    upstream,
                    why,
                    "link is down: what is cached is served at once, and the upstream is asked for a sign of life from time to time"
                );
            }
        }
    }
}
