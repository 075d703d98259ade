//! `/healthz` and `/readyz`.
//!
//! Health judges this process and its store, never an upstream: whoever restarts what is unhealthy would restart a cache because
//! the link is down, and that is when it is needed. Readiness says the same and tells, as detail, how the upstreams were; with
//! `edge.requirebootstrap` it waits for the bootstrap set.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use cistern_storage::StorageError;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{StatusCode, header};
use parking_lot::Mutex;
use serde_json::json;

use super::super::Http;
use super::images::BootstrapLine;
use crate::pull::{LinkReport, LinkState, StaleTag};
use crate::warm::Bootstrap;

/// How long one look at the store holds: whoever asks often does not make the disk busy.
const LOOK_HOLDS: Duration = Duration::from_secs(1);
/// A store that does not answer in this time is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks how things are.
pub struct Health {
    check: Box<dyn Fn() -> BoxFuture<'static, Result<(), StorageError>> + Send + Sync>,
    tell: Box<dyn Fn() -> Told + Send + Sync>,
    last_look: Mutex<Option<(Instant, Looked)>>,
}

/// What a look at the store showed: well, or what is told about it.
type Looked = Result<(), Arc<str>>;

/// What is told beside the judgement: how the upstreams were, what could not be confirmed, and which bootstrap images are missing. It
/// changes nothing of the judgement, but for a bootstrap set that is required.
#[derive(Clone, Debug)]
pub struct Told {
    /// How the link to each upstream is.
    pub links: Vec<LinkReport>,
    /// What is served although its upstream could not confirm it.
    pub stale_tags: Vec<StaleTag>,
    /// How the bootstrap set is.
    pub bootstrap: Bootstrap,
}

/// The most stale tags that are told one by one; their number is told in full.
const STALE_TAGS_TOLD: usize = 100;

// === impl Told ===

impl Told {
    fn upstreams(&self) -> Vec<serde_json::Value> {
        let upstream = |link: &LinkReport| {
            json!({
                "upstream": link.upstream,
                "state": link.state.as_str(),
                "degraded": link.state != LinkState::Online,
                "since": time(link.since),
                "last_error": link.last_error,
                "credentials_refused": link.credentials_refused,
                "paused_for": link.paused_for.map(|pause| pause.as_secs()),
            })
        };
        self.links.iter().map(upstream).collect()
    }

    fn stale(&self) -> serde_json::Value {
        let stale_tag = |stale: &StaleTag| {
            json!({
                "repository": stale.repository,
                "tag": stale.tag,
                "digest": stale.digest,
                "since": time(stale.since),
                "why": stale.why,
                "last_asked": time(stale.last_asked),
            })
        };
        let tags = self.stale_tags.iter().take(STALE_TAGS_TOLD);
        let tags: Vec<_> = tags.map(stale_tag).collect();
        json!({ "count": self.stale_tags.len(), "tags": tags })
    }
}

/// A time as RFC 3339 writes it, in whole seconds; nothing for one that no calendar has.
fn time(time: SystemTime) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?;
    let seconds = jiff::Timestamp::from_second(time.as_second()).ok()?;
    Some(seconds.to_string())
}

// === impl Health ===

impl Health {
    /// `check` looks at the store ([`Storage::check`](cistern_storage::Storage::check)); `tell` is asked whenever somebody
    /// asks for readiness, and must not wait for anything.
    pub fn new<Look: Future<Output = Result<(), StorageError>> + Send + 'static>(
        check: impl Fn() -> Look + Send + Sync + 'static,
        tell: impl Fn() -> Told + Send + Sync + 'static,
    ) -> Self {
        Self {
            check: Box::new(move || check().boxed()),
            tell: Box::new(tell),
            last_look: Mutex::new(None),
        }
    }

    /// `ok`, or what is told about the store.
    pub(super) async fn told(&self) -> String {
        let store = self.store().await;
        store.map_or_else(|why| why.to_string(), |()| "ok".to_owned())
    }

    /// Whether the store can be read and written. A full one serves what it holds, and a restart would make no room.
    async fn store(&self) -> Looked {
        if let Some((at, look)) = &*self.last_look.lock()
            && at.elapsed() < LOOK_HOLDS
        {
            return look.clone();
        }
        let look = match tokio::time::timeout(PATIENCE, (self.check)()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(StorageError::Full)) => {
                tracing::warn!(
                    "the store is full: what it holds is served, the rest is passed through"
                );
                Ok(())
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the store is not well");
                Err(Arc::from(
                    "the store cannot be read or written; the log says more",
                ))
            }
            Err(_) => {
                tracing::error!("the store does not answer");
                Err(Arc::from("the store does not answer"))
            }
        };
        *self.last_look.lock() = Some((Instant::now(), look.clone()));
        look
    }
}

/// 200 if this process and its store are well, else 503.
pub(crate) async fn healthz(State(http): State<Arc<Http>>) -> Response {
    match http.health.store().await {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// The same, with what is known of the upstreams.
pub(crate) async fn readyz(State(http): State<Arc<Http>>) -> Response {
    let store = http.health.store().await;
    let told = (http.health.tell)();
    let bootstrap = BootstrapLine::of(told.bootstrap.clone());
    let ready = store.is_ok() && (bootstrap.ready || !bootstrap.required);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let store = store.err().unwrap_or_else(|| Arc::from("ok"));
    let report = json!({
        "ready": ready,
        "store": &*store,
        "upstreams": told.upstreams(),
        "stale_tags": told.stale(),
        "bootstrap": bootstrap,
    });
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        report.to_string(),
    )
        .into_response()
}
