//! Every metric of one running Cistern, in one struct.
//!
//! The doc comment of a field is its help text; its name in the text format stands beside it. Storage and auth never see this
//! file: they return facts, and the registry counts them. There are no globals: a test makes its own [`Metrics`]. Labels are
//! closed enums wherever the set is closed; such a counter is an array, so that counting costs one addition and no look-up.

mod counters;
mod labels;
#[cfg(test)]
mod tests;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use counters::{
    Counters, Gauges, HostCounters, HostGauges, HostOutcomes, RequestCounters, UpstreamRequests,
    WriteCounters,
};
pub use labels::{
    Action, DownloadOutcome, Label, PassedThrough, ProbeOutcome, ResumedAfter, StatusLabel,
    TagCheck, Unfinished, UpstreamKind, UpstreamOutcome, WarmLabel, WriteOutcome, Written,
};

use crate::pull::{LinkState, Served};
use crate::upstream::Priority;

/// The Content-Type of what [`Metrics::render`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every name in the text format begins with.
const PREFIX: &str = "cistern";

/// Declares the struct and its constructor; the doc comment of each field becomes the help text.
macro_rules! metrics {
    ($(#[doc = $about:literal])+ pub struct $owner:ident { $($(#[doc = $help:literal])+ $field:ident: $kind:ty = $name:literal, $new:expr;)+ }) => {
        $(#[doc = $about])+
        #[derive(Debug)]
        pub struct $owner {
            registry: Registry,
            $($(#[doc = $help])+ pub $field: $kind,)+
        }

        impl $owner {
            /// All metrics at zero.
            pub fn new() -> Self {
                let mut registry = Registry::with_prefix(PREFIX);
                registry.register("build", "What is running", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
                $(
                    let $field: $kind = $new;
                    registry.register($name, concat!($($help),+).trim().trim_end_matches('.'), $field.clone());
                )+
                Self { registry, $($field),+ }
            }
        }
    };
}

metrics! {
    /// The metrics. Every field is cheap to clone and to count with; a clone counts into the same metric.
    pub struct Metrics {
        /// Requests answered, by what was asked for, the status and how the answer came about.
        requests: RequestCounters = "requests", RequestCounters::default();
        /// Seconds from the head of a request to the head of its answer.
        request_seconds: Histogram = "request_seconds", Histogram::new(SECONDS);
        /// Seconds from the head of a blob's answer to the end of its body.
        body_seconds: Histogram = "body_seconds", Histogram::new(SECONDS);
        /// Bytes of bodies handed to the network, by how the answer came about.
        body_bytes: Counters<Served> = "body_bytes", Counters::new("served");
        /// Bodies that did not reach their end, by why.
        bodies_unfinished: Counters<Unfinished> = "bodies_unfinished", Counters::new("why");
        /// Connections open now.
        connections: Gauge = "connections", Gauge::default();
        /// Downloads from an upstream running now.
        downloads_running: Gauge = "downloads_running", Gauge::default();
        /// Downloads from an upstream that ended, by host and outcome.
        downloads: HostOutcomes<DownloadOutcome> = "downloads", HostOutcomes::new("outcome");
        /// Times a download went on from where it stood, by host and what it had stopped for.
        download_resumes: HostOutcomes<ResumedAfter> = "download_resumes", HostOutcomes::new("after");
        /// Bytes of blobs that were not fetched again when a download went on.
        partial_bytes_saved: Counter = "partial_bytes_saved", Counter::default();
        /// Bytes received from an upstream in bodies of blobs and manifests.
        download_bytes: HostCounters = "download_bytes", HostCounters::default();
        /// Bytes of bodies from upstreams that passed the link's budget, by who waits for them.
        link_bytes: Counters<Priority> = "link_bytes", Counters::new("priority");
        /// Bytes per second that bodies from upstreams may take now (proxy.rate and its windows); 0 where there is no limit.
        link_rate_limit: Gauge = "link_rate_limit", Gauge::default();
        /// Bodies from upstreams that wait for the link's budget now.
        link_waiting: Gauge = "link_waiting", Gauge::default();
        /// Callers that are held now because a link is down.
        held_callers: Gauge = "held_callers", Gauge::default();
        /// Callers served by one download.
        readers_per_download: Histogram = "readers_per_download", Histogram::new(READERS);
        /// Blobs streamed to callers and not kept, by why.
        passed_through: Counters<PassedThrough> = "passed_through", Counters::new("why");
        /// Requests to an upstream that were answered or failed, by host, kind and outcome.
        upstream_requests: UpstreamRequests = "upstream_requests", UpstreamRequests::default();
        /// Answers in which an upstream refused the credentials configured for it.
        credentials_refused: HostCounters = "credentials_refused", HostCounters::default();
        /// How the link to an upstream is: 0 online, 1 degraded, 2 offline.
        link_state: HostGauges = "link_state", HostGauges::default();
        /// Changes of a link, by host and the state it came into.
        link_changes: HostOutcomes<LinkState> = "link_changes", HostOutcomes::new("state");
        /// Signs of life asked for while a link was not online, by host and outcome.
        probes: HostOutcomes<ProbeOutcome> = "probes", HostOutcomes::new("outcome");
        /// Tags judged, by outcome.
        tag_checks: Counters<TagCheck> = "tag_checks", Counters::new("outcome");
        /// Tags that were served unconfirmed and have not been confirmed since.
        stale_tags: Gauge = "stale_tags", Gauge::default();
        /// Tags that were served stale and proved to have moved.
        stale_tags_moved: Counter = "stale_tags_moved", Counter::default();
        /// Tags that mean something new upstream and move when all of that is here (warm.holdback).
        held_back_tags: Gauge = "held_back_tags", Gauge::default();
        /// Pinned tags that are served although their upstream no longer has them.
        withdrawn_tags: Gauge = "withdrawn_tags", Gauge::default();
        /// Images that are wanted ahead, by how far they are.
        warm_images: Gauges<WarmLabel> = "warm_images", Gauges::new("state");
        /// Images that are kept whatever happens.
        pinned_images: Gauge = "pinned_images", Gauge::default();
        /// Lists of images (deployment manifests, the artifact) that could not be read when they were last tried.
        warm_lists_broken: Gauge = "warm_lists_broken", Gauge::default();
        /// Writes to hosted repositories, by what was to be written and what became of it.
        writes: WriteCounters = "writes", WriteCounters::default();
        /// Bytes of blobs received in pushes.
        pushed_bytes: Counter = "pushed_bytes", Counter::default();
        /// Requests that bring bytes of a blob now.
        uploads_open: Gauge = "uploads_open", Gauge::default();
        /// Bytes dropped from the store because they were not used or space was needed.
        evicted_bytes: Counter = "evicted_bytes", Counter::default();
    }
}

/// Bounds for times: a hit takes microseconds, a layer over a bad link hours.
const SECONDS: [f64; 12] = [
    0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 300.0, 1800.0,
];

/// Bounds for the callers of one download.
const READERS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

// === impl Metrics ===

impl Metrics {
    /// The OpenMetrics text of everything, ending with its `# EOF`.
    pub fn render(&self) -> String {
        let mut page = String::with_capacity(16 * 1024);
        // Writing to a String cannot fail; a metric that refuses to be written ends the page without `# EOF`, which scrapers reject.
        if text::encode(&mut page, &self.registry).is_err() {
            tracing::error!("a metric could not be written");
        }
        page
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
