//! Reading, the brain of the cache: what is here is served, what is not is fetched once for all who ask.
//!
//! This room knows `storage` and `upstream`. It must not know axum, status codes or header names: it answers in the words of
//! what was asked for, and `http` translates.

mod ahead;
mod answers;
mod attachments;
mod blobs;
mod body;
mod cached;
mod check;
mod closure;
mod cold;
mod crowd;
mod download;
mod downloads;
mod error;
mod explain;
mod far;
mod flights;
mod freshness;
mod hold;
mod links;
mod manifests;
mod pass_through;
mod patience;
mod platforms;
mod prober;
mod promotion;
mod read_ahead;
mod referrers;
mod remembered;
mod revalidate;
mod slots;
mod sources;
mod stale;
mod status;
mod tags;

use std::sync::Arc;
use std::time::Duration;

use cistern_oci::{Digest, Manifest, Reference, RepositoryName, Tag};
use cistern_storage::{Clock, Storage};
use moka::sync::Cache;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use cistern_storage::{FilePiece, Piece};

pub use self::ahead::{LookedUp, Trouble};
pub use self::answers::{CatalogPage, FoundManifest, OpenedBlob, Served, TagPage, Want};
pub use self::body::{BlobBody, BodyBroke};
pub use self::cached::{CachedTags, TagName};
pub use self::closure::{Closure, ClosureBlob, ClosureManifest, ManifestRole};
pub use self::error::{Asked, PullError};
pub use self::explain::{Explanation, KnownTag, Outlook};
pub use self::freshness::{Freshness, TagPolicy, judge};
pub use self::links::{LinkReport, LinkState, Links};
pub use self::platforms::Platforms;
pub use self::referrers::ReferrerList;
pub use self::stale::StaleTag;
pub use self::status::DownloadReport;
pub use crate::upstream::Referrer;

use self::check::Outcome;
use self::cold::ColdWaits;
use self::download::Suspects;
use self::downloads::Downloads;
use self::flights::Flights;
use self::hold::Hold;
use self::promotion::Promotion;
use self::referrers::{Listed, fresh_lists};
use self::remembered::Remembered;
use self::revalidate::UsedTags;
use self::slots::Slots;
use self::stale::StaleTags;
use crate::metrics::{Metrics, UpstreamKind, UpstreamOutcome};
use crate::repositories::Repository;
use crate::upstream::{Fault, Upstream, UpstreamError};

/// What the pull room is built from.
pub struct PullOptions {
    /// Bytes and links.
    pub storage: Storage,
    /// Where background work runs.
    pub tasks: TaskTracker,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How tags age.
    pub policy: TagPolicy,
    /// How long an upstream may be silent before a caller gets what is known (`proxy.checkdeadline`).
    pub check_deadline: Duration,
    /// How blobs are downloaded.
    pub downloading: Downloading,
    /// The machines for which an image has to be here before a pinned tag moves to it (`warm.holdback`). None: tags move at once.
    pub holdback: Option<Platforms>,
    /// Cancelled when the server begins to stop: what nobody waits for is not gone on with.
    pub stop: CancellationToken,
}

#[cfg(test)]
impl PullOptions {
    /// Over this store, with the defaults of a configuration that says nothing.
    pub(crate) fn of_tests(storage: &Storage, tasks: &TaskTracker) -> Self {
        Self {
            storage: storage.clone(),
            tasks: tasks.clone(),
            clock: Arc::new(cistern_storage::SystemClock),
            metrics: Arc::default(),
            policy: TagPolicy {
                check_every: Duration::from_secs(30),
                check_every_of_cistern: Duration::from_secs(5),
                when_gone: crate::config::WhenGone::Keep,
                strict: Vec::new(),
            },
            check_deadline: Duration::from_secs(3),
            downloading: Downloading {
                at_once: 8,
                hold: Duration::from_secs(240),
                hold_limit: 100,
                read_ahead: false,
            },
            holdback: None,
            stop: CancellationToken::new(),
        }
    }
}

/// How blobs are downloaded, and what becomes of callers while the link is down.
#[derive(Clone, Copy, Debug)]
pub struct Downloading {
    /// How many at once (`proxy.downloads`).
    pub at_once: usize,
    /// How long callers are held after the last byte came (`proxy.hold`).
    pub hold: Duration,
    /// How many callers are held at once (`proxy.holdlimit`).
    pub hold_limit: usize,
    /// Whether the missing blobs of a served image are downloaded before they are asked for (`proxy.readahead`).
    pub read_ahead: bool,
}

type TagKey = (RepositoryName, Tag);
type DigestKey = (RepositoryName, Digest);

/// Tags whose last check within this run is remembered; others are judged by the wall clock.
const CHECKED_TAGS: u64 = 100_000;
/// Tag lists kept in memory while they are fresh.
const FRESH_LISTINGS: u64 = 100;

/// The parts every piece of pull work shares.
pub(crate) struct Parts {
    storage: Storage,
    tasks: TaskTracker,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    policy: TagPolicy,
    check_deadline: Duration,
    downloads: Downloads,
    slots: Slots,
    hold: Hold,
    hold_for: Duration,
    reads_ahead: bool,
    stop: CancellationToken,
    suspects: Suspects,
    links: Links,
    checks: Flights<TagKey, Outcome>,
    fetches: Flights<DigestKey, Outcome>,
    listings: Flights<RepositoryName, Result<Arc<[Tag]>, UpstreamError>>,
    referrers: Flights<DigestKey, Listed>,
    checked: Cache<TagKey, Instant>,
    stale: StaleTags,
    used_tags: UsedTags,
    cold: ColdWaits,
    promotion: Promotion,
    fresh_listings: Cache<RepositoryName, Arc<[Tag]>>,
    fresh_referrers: Cache<DigestKey, Arc<[Referrer]>>,
    refused_tags: Remembered<TagKey>,
    refused_manifests: Remembered<DigestKey>,
    refused_blobs: Remembered<DigestKey>,
    refused_listings: Remembered<RepositoryName>,
    refused_referrers: Remembered<DigestKey>,
}

impl Parts {
    /// Why nobody is asked at an upstream whose link is not online.
    fn link_error(&self, upstream: &str) -> PullError {
        let last = self.links.last_error(upstream);
        last.map_or(PullError::StillFetching, PullError::Upstream)
    }

    /// Counts one question to an upstream, and hands its answer on.
    fn counted<T>(
        &self,
        kind: UpstreamKind,
        upstream: &str,
        answer: Result<T, UpstreamError>,
    ) -> Result<T, UpstreamError> {
        let outcome = answer
            .as_ref()
            .map_or_else(outcome_of, |_| UpstreamOutcome::Ok);
        self.metrics
            .upstream_requests
            .count(upstream, kind, outcome);
        if outcome == UpstreamOutcome::Refused {
            self.metrics.credentials_refused.of(upstream).inc();
        }
        answer
    }
}

fn outcome_of(error: &UpstreamError) -> UpstreamOutcome {
    match error.fault {
        Fault::NotFound(_) => UpstreamOutcome::NotFound,
        Fault::CredentialsRefused { .. } => UpstreamOutcome::Refused,
        Fault::RateLimited { .. } => UpstreamOutcome::RateLimited,
        Fault::Unavailable { .. } | Fault::Status(_) | Fault::Invalid(_) => UpstreamOutcome::Broken,
        Fault::Unreachable { .. } => UpstreamOutcome::Unreachable,
    }
}

/// Reading from the cache.
#[derive(Clone)]
pub struct Pull {
    parts: Arc<Parts>,
}

impl Pull {
    /// Builds the room.
    pub fn new(options: PullOptions) -> Self {
        let PullOptions {
            storage,
            tasks,
            clock,
            metrics,
            policy,
            check_deadline,
            downloading,
            holdback,
            stop,
        } = options;
        let fresh_listings = Cache::builder()
            .max_capacity(FRESH_LISTINGS)
            .time_to_live(policy.check_every)
            .build();
        let fresh_referrers = fresh_lists(policy.check_every);
        let parts = Parts {
            storage,
            links: Links::new(Arc::clone(&clock), Arc::clone(&metrics)),
            stale: StaleTags::new(Arc::clone(&clock), metrics.stale_tags.clone()),
            clock,
            policy,
            check_deadline,
            downloads: Downloads::new(),
            slots: Slots::new(downloading.at_once),
            hold: Hold::new(downloading.hold_limit, metrics.held_callers.clone()),
            hold_for: downloading.hold,
            reads_ahead: downloading.read_ahead,
            stop,
            suspects: Suspects::new(),
            checks: Flights::new(tasks.clone()),
            fetches: Flights::new(tasks.clone()),
            listings: Flights::new(tasks.clone()),
            referrers: Flights::new(tasks.clone()),
            checked: Cache::new(CHECKED_TAGS),
            used_tags: UsedTags::new(),
            cold: ColdWaits::default(),
            promotion: Promotion::new(
                holdback,
                metrics.held_back_tags.clone(),
                metrics.withdrawn_tags.clone(),
            ),
            fresh_listings,
            fresh_referrers,
            refused_tags: Remembered::new(),
            refused_manifests: Remembered::new(),
            refused_blobs: Remembered::new(),
            refused_listings: Remembered::new(),
            refused_referrers: Remembered::new(),
            metrics,
            tasks,
        };
        Self {
            parts: Arc::new(parts),
        }
    }

    /// Opens a blob of this repository.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: Digest,
        want: Want,
    ) -> Result<OpenedBlob, PullError> {
        blobs::Blobs { parts: &self.parts }
            .open(repository, digest, want)
            .await
    }

    /// The manifest that a tag or a digest means in this repository.
    pub async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<FoundManifest, PullError> {
        manifests::Manifests { parts: &self.parts }
            .find(repository, reference)
            .await
    }

    /// Takes note that a manifest was handed to a caller, who will hardly stop at that: its missing blobs may be sent for.
    pub fn note_served(&self, repository: &Repository, manifest: &Manifest) {
        read_ahead::begin(&self.parts, repository, manifest);
    }

    /// A page of this repository's tags: those after `after` (exclusive), at most `at_most`.
    pub async fn tags(
        &self,
        repository: &Repository,
        after: Option<&str>,
        at_most: Option<usize>,
    ) -> Result<TagPage, PullError> {
        tags::Tags { parts: &self.parts }
            .list(repository, after, at_most)
            .await
    }

    /// What refers to this manifest in this repository. Nothing does if nobody knows the manifest, or the repository.
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<ReferrerList, PullError> {
        referrers::Referrers { parts: &self.parts }
            .list(repository, subject)
            .await
    }

    /// A page of the repositories in the store.
    pub async fn catalog(
        &self,
        after: Option<&str>,
        at_most: Option<usize>,
    ) -> Result<CatalogPage, PullError> {
        tags::Tags { parts: &self.parts }
            .catalog(after, at_most)
            .await
    }

    /// Watches the link to this upstream until `stop`: probes it while it is not online, and asks about the tags that were used
    /// when it is back.
    pub fn watch_link(&self, upstream: &Upstream, stop: CancellationToken) {
        prober::watch(&self.parts, upstream, stop);
    }

    /// The tags that were served unconfirmed and have not been confirmed since, the longest first.
    pub fn stale_tags(&self) -> Vec<StaleTag> {
        self.parts.stale.all()
    }

    /// How the links to upstreams are.
    pub fn links(&self) -> &Links {
        &self.parts.links
    }
}
