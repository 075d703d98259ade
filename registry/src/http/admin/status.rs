//! The page of `cistern status`: how the links are, what is served unconfirmed, what is being downloaded, and the room left.
//!
//! Its document is read by programs too; members are added, never renamed. Times are RFC 3339, lengths of time in seconds.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::Http;
use super::about::written;
use super::document;
use crate::pull::{DownloadReport, LinkReport, StaleTag};
use crate::warm::{WarmImage, WarmState};

/// Where the page is.
pub(in crate::http) const PATH: &str = "/cistern/status";

/// So many stale tags are listed, those that are so for longest first.
const MOST_STALE_TAGS: usize = 200;

/// How a running server is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusPage {
    /// The version of the server.
    pub version: String,
    /// When this page was written.
    pub now: String,
    /// When the server started.
    pub started: String,
    /// How long it has run.
    pub up_seconds: u64,
    /// Its upstreams, and the links to them.
    pub upstreams: Vec<UpstreamLine>,
    /// How fast the links may be used.
    pub link: LinkUse,
    /// Tags that were served unconfirmed and have not been confirmed since; not all of them if there are very many.
    pub stale_tags: Vec<StaleTagLine>,
    /// How many there are.
    pub stale_tags_count: usize,
    /// What is wanted before anybody asks.
    pub warm: WarmCount,
    /// What is being downloaded.
    pub downloads: Vec<DownloadLine>,
    /// Callers whose connections are held while a link is down.
    pub held_callers: u64,
    /// The folder of the store.
    pub store: String,
    /// `ok`, or what is wrong with the store.
    pub store_state: String,
    /// The room on the store's file system, if it can be told.
    pub room: Option<StoreRoom>,
}

/// An upstream.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamLine {
    /// Its host.
    pub upstream: String,
    /// What is mirrored from it, where there are routes (`proxy.routes`): `azureiotedge-*`, `the rest`.
    pub names: Vec<String>,
    /// `online`, `degraded` or `offline`.
    pub state: String,
    /// Since when.
    pub since: String,
    /// For how long.
    pub for_seconds: u64,
    /// What went wrong last; nothing when all was well after it.
    pub last_error: Option<String>,
    /// It refused the credentials that are configured for it.
    pub credentials_refused: bool,
    /// It is left alone for so long, because it had too many requests.
    pub paused_for_seconds: Option<u64>,
}

/// How fast the links may be used, all together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkUse {
    /// Bytes per second; null for no limit.
    pub bytes_per_second: Option<u64>,
    /// The window of `proxy.ratewindows` that holds now; null outside of them.
    pub window: Option<String>,
    /// Bodies that wait for their share and that somebody waits for.
    pub interactive_waiting: usize,
    /// Bodies that wait for their share and that are fetched ahead.
    pub warm_waiting: usize,
}

/// The images that are wanted before anybody asks, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WarmCount {
    /// All of them.
    pub images: usize,
    /// Those that can be pulled while their upstream is away.
    pub ready: usize,
    /// Those whose last try failed, or whose registry is not mirrored here.
    pub failed: usize,
    /// Those whose tag means something new upstream that is not all here yet.
    pub held_back: usize,
    /// Those that are kept whatever happens.
    pub pinned: usize,
}

/// A tag that is served unconfirmed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StaleTagLine {
    /// Its repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// What is served for it.
    pub digest: String,
    /// When it was first served so.
    pub since: String,
    /// For how long.
    pub for_seconds: u64,
    /// Why.
    pub why: String,
    /// When it was asked for last.
    pub asked_seconds_ago: u64,
}

/// A running download.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DownloadLine {
    /// The blob.
    pub digest: String,
    /// The repositories that want it.
    pub repositories: Vec<String>,
    /// Its size, if that is known.
    pub size: Option<u64>,
    /// How much of it is here.
    pub written: u64,
    /// Callers that read it now.
    pub callers: usize,
    /// `running`, or what it waits for.
    pub state: String,
}

/// The room on the store's file system, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreRoom {
    /// All of it.
    pub total: u64,
    /// What is free.
    pub free: u64,
    /// What stays free (`storage.cache.reserve`).
    pub reserve: u64,
    /// How many unfinished downloads there are, those that run included.
    pub partials: usize,
    /// What came of them.
    pub partial_bytes: u64,
}

/// The page.
pub(in crate::http) async fn page(State(http): State<Arc<Http>>) -> Response {
    let about = &http.about;
    let storage = http.pull.storage();
    let stale = http.pull.stale_tags();
    let room = storage.room().await.ok().map(|room| StoreRoom {
        total: room.total,
        free: room.free,
        reserve: room.reserve,
        partials: room.partials,
        partial_bytes: room.partial_bytes,
    });
    let links = http.pull.links().reports();
    let downloads = http.pull.running_downloads();
    let page = StatusPage {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: written(about.now()),
        started: about.before(about.up()),
        up_seconds: about.up().as_secs(),
        upstreams: links
            .iter()
            .map(|link| UpstreamLine::of(link, &http))
            .collect(),
        link: about.link_use(),
        stale_tags_count: stale.len(),
        stale_tags: stale
            .iter()
            .take(MOST_STALE_TAGS)
            .map(|tag| StaleTagLine::of(tag, &http))
            .collect(),
        warm: WarmCount::of(&http.warm.images().await),
        downloads: downloads.iter().map(DownloadLine::of).collect(),
        held_callers: u64::try_from(http.metrics.held_callers.get()).unwrap_or_default(),
        store: about.store.clone(),
        store_state: http.health.told().await,
        room,
    };
    document(StatusCode::OK, &page)
}

impl WarmCount {
    fn of(images: &[WarmImage]) -> Self {
        let count = |is_counted: fn(&WarmImage) -> bool| {
            images.iter().filter(|image| is_counted(image)).count()
        };
        Self {
            images: images.len(),
            ready: count(|image| {
                matches!(image.state, WarmState::Ready | WarmState::HeldBack { .. })
            }),
            failed: count(|image| {
                matches!(image.state, WarmState::Failed | WarmState::NotMirrored)
            }),
            held_back: count(|image| matches!(image.state, WarmState::HeldBack { .. })),
            pinned: count(|image| image.is_pinned),
        }
    }
}

impl UpstreamLine {
    pub(super) fn of(link: &LinkReport, http: &Http) -> Self {
        Self {
            upstream: link.upstream.clone(),
            names: http.repositories.mirrored_from(&link.upstream),
            state: link.state.as_str().to_owned(),
            since: written(link.since),
            for_seconds: http.about.since(link.since).as_secs(),
            last_error: link.last_error.clone(),
            credentials_refused: link.credentials_refused,
            paused_for_seconds: link.paused_for.map(|pause| pause.as_secs()),
        }
    }
}

impl StaleTagLine {
    fn of(stale: &StaleTag, http: &Http) -> Self {
        Self {
            repository: stale.repository.to_string(),
            tag: stale.tag.to_string(),
            digest: stale.digest.to_string(),
            since: written(stale.since),
            for_seconds: http.about.since(stale.since).as_secs(),
            why: stale.why.clone(),
            asked_seconds_ago: http.about.since(stale.last_asked).as_secs(),
        }
    }
}

impl DownloadLine {
    fn of(download: &DownloadReport) -> Self {
        let repositories = download.repositories.iter();
        Self {
            digest: download.digest.to_string(),
            repositories: repositories.map(ToString::to_string).collect(),
            size: download.size,
            written: download.written,
            callers: download.callers,
            state: match &download.waits {
                None => "running".to_owned(),
                Some(why) => why.clone(),
            },
        }
    }
}
