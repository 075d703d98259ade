//! The roots of the hierarchy, from the workload API: believed where the parent is the upstream. Kept in memory only.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::workload::WorkloadApi;
use crate::tls::{CertificatesInUse, Described, Kept, Use};

/// How often it is asked for again although nothing went wrong.
const EVERY: Duration = Duration::from_hours(1);
/// Doubts and failures make it be asked for again, but not more often than this.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// So long the first questions to a parent wait for the first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(3);
/// Trouble that goes on is told again after so long.
const TELL_AGAIN: Duration = Duration::from_mins(10);

/// The trust bundle. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct TrustBundle {
    inner: Arc<Inner>,
}

struct Inner {
    parent: String,
    pem: ArcSwapOption<Vec<u8>>,
    doubted: Notify,
    was_asked_for: watch::Sender<bool>,
}

// === impl TrustBundle ===

impl TrustBundle {
    /// Nothing is known yet. `parent` is the host it is for.
    pub fn new(parent: &str) -> Self {
        Self {
            inner: Arc::new(Inner {
                parent: parent.trim_matches(['[', ']']).to_lowercase(),
                pem: ArcSwapOption::empty(),
                doubted: Notify::new(),
                was_asked_for: watch::Sender::new(false),
            }),
        }
    }

    /// Whether it is for this host (an IPv6 address with or without brackets).
    pub fn is_for(&self, host: &str) -> bool {
        host.trim_matches(['[', ']'])
            .eq_ignore_ascii_case(&self.inner.parent)
    }

    /// The bundle, in PEM. The same one comes back while it has not changed.
    pub fn pem(&self) -> Option<Arc<Vec<u8>>> {
        self.inner.pem.load_full()
    }

    /// Waits until it has been asked for once, whatever came of it, but not long.
    pub async fn asked_for(&self) {
        let mut was = self.inner.was_asked_for.subscribe();
        let asked = was.wait_for(|was| *was);
        if tokio::time::timeout(FIRST_ANSWER, asked).await.is_err() {
            // Nobody waits for it a second time.
            self.inner.was_asked_for.send_replace(true);
        }
    }

    /// A certificate was refused although the bundle was looked at: perhaps there is a newer one.
    pub fn doubt(&self) {
        self.inner.doubted.notify_one();
    }

    /// Asks for it now, every hour, and when it is doubted, until `stop`.
    pub async fn watch(self, api: WorkloadApi, in_use: CertificatesInUse, stop: CancellationToken) {
        let mut told: Option<Instant> = None;
        loop {
            let asked = Instant::now();
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                answer = api.trust_bundle() => answer,
            };
            let next = match answer {
                Ok(bundle) => {
                    told = None;
                    self.take(bundle.unwrap_or_default(), &in_use);
                    EVERY
                }
                Err(why) => {
                    if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
                        told = Some(asked);
                        tracing::warn!(%why, "the trust bundle could not be read; what was read before stays in use");
                    }
                    AT_MOST_EVERY
                }
            };
            self.inner.was_asked_for.send_replace(true);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(asked + next) => {}
                () = self.inner.doubted.notified() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(asked + AT_MOST_EVERY) => {}
            }
        }
    }

    /// Keeps the bundle if it is another one than before.
    fn take(&self, bundle: String, in_use: &CertificatesInUse) {
        let before = self.pem();
        if before
            .as_ref()
            .is_some_and(|before| before.as_slice() == bundle.as_bytes())
        {
            return;
        }
        let roots = Described::all_of(bundle.as_bytes());
        if roots.is_empty() {
            let words = if before.is_some() {
                "the trust bundle holds no certificate any more; the one before stays in use"
            } else {
                "the trust bundle holds no certificate"
            };
            tracing::warn!("{words}");
            return;
        }
        let names: Vec<&str> = roots.iter().map(|root| root.subject.as_str()).collect();
        tracing::info!(
            parent = self.inner.parent,
            roots = names.join(", "),
            "trust bundle received from the workload API"
        );
        self.inner.pem.store(Some(Arc::new(bundle.into_bytes())));
        in_use.note(Use::TrustBundle, "workload API", Kept::ByOperator, roots);
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TrustBundle")
            .field(&self.inner.parent)
            .finish()
    }
}
