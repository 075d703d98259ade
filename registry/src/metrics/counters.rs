//! Counters split by labels: arrays for closed sets, families for upstream hosts.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::{
    Action, Label, StatusLabel, UpstreamKind, UpstreamOutcome, WriteOutcome, Written,
};
use crate::pull::Served;

/// One counter per value of a closed set.
#[derive(Debug)]
pub struct Counters<L> {
    label: &'static str,
    each: Arc<[Counter]>,
    values: PhantomData<L>,
}

impl<L: Label> Counters<L> {
    /// All at zero; `label` is the name of the label in the text format.
    pub fn new(label: &'static str) -> Self {
        let each = L::ALL.iter().map(|_| Counter::default()).collect();
        Self {
            label,
            each,
            values: PhantomData,
        }
    }

    /// Counts one.
    pub fn count(&self, value: L) {
        self.add(value, 1);
    }

    /// Counts `amount`.
    pub fn add(&self, value: L, amount: u64) {
        if let Some(counter) = self.each.get(value.index()) {
            counter.inc_by(amount);
        }
    }

    /// How many were counted so far.
    pub fn total(&self, value: L) -> u64 {
        self.each.get(value.index()).map_or(0, Counter::get)
    }
}

impl<L> Clone for Counters<L> {
    fn clone(&self) -> Self {
        Self {
            label: self.label,
            each: Arc::clone(&self.each),
            values: PhantomData,
        }
    }
}

impl<L: Label> EncodeMetric for Counters<L> {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        for (value, counter) in L::ALL.iter().zip(self.each.iter()) {
            counter.encode(encoder.encode_family(&[(self.label, value.text())])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// One gauge per value of a closed set.
#[derive(Debug)]
pub struct Gauges<L> {
    label: &'static str,
    each: Arc<[Gauge]>,
    values: PhantomData<L>,
}

impl<L: Label> Gauges<L> {
    /// All at zero; `label` is the name of the label in the text format.
    pub fn new(label: &'static str) -> Self {
        let each = L::ALL.iter().map(|_| Gauge::default()).collect();
        Self {
            label,
            each,
            values: PhantomData,
        }
    }

    /// Sets all: how many of `values` are of each.
    pub fn set(&self, values: impl IntoIterator<Item = L>) {
        let mut counts = vec![0_i64; self.each.len()];
        for value in values {
            if let Some(count) = counts.get_mut(value.index()) {
                *count += 1;
            }
        }
        for (gauge, count) in self.each.iter().zip(counts) {
            gauge.set(count);
        }
    }

    /// What was last set.
    pub fn of(&self, value: L) -> i64 {
        self.each.get(value.index()).map_or(0, Gauge::get)
    }
}

impl<L> Clone for Gauges<L> {
    fn clone(&self) -> Self {
        Self {
            label: self.label,
            each: Arc::clone(&self.each),
            values: PhantomData,
        }
    }
}

impl<L: Label> EncodeMetric for Gauges<L> {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        for (value, gauge) in L::ALL.iter().zip(self.each.iter()) {
            gauge.encode(encoder.encode_family(&[(self.label, value.text())])?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// Requests by action, status and how the answer came about: one array, indexed; combinations never seen are not written.
#[derive(Clone, Debug)]
pub struct RequestCounters {
    counters: Arc<[AtomicU64]>,
}

/// How many values the `served` label has here: those of [`Served`] and `none`.
const SERVED_VALUES: usize = Served::ALL.len() + 1;

impl RequestCounters {
    /// Counts one answered request. `served` is `None` where nothing of the store or an upstream was asked for.
    pub fn count(&self, action: Action, status: StatusLabel, served: Option<Served>) {
        if let Some(counter) = self.counters.get(Self::place(action, status, served)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were counted so far.
    pub fn total(&self, action: Action, status: StatusLabel, served: Option<Served>) -> u64 {
        self.counters
            .get(Self::place(action, status, served))
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn place(action: Action, status: StatusLabel, served: Option<Served>) -> usize {
        let served = served.map_or(Served::ALL.len(), Label::index);
        (action.index() * StatusLabel::ALL.len() + status.index()) * SERVED_VALUES + served
    }
}

impl Default for RequestCounters {
    fn default() -> Self {
        let places = Action::ALL.len() * StatusLabel::ALL.len() * SERVED_VALUES;
        Self {
            counters: (0..places).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl EncodeMetric for RequestCounters {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        for &action in Action::ALL {
            for &status in StatusLabel::ALL {
                for served in Served::ALL.iter().copied().map(Some).chain([None]) {
                    let total = self.total(action, status, served);
                    if total > 0 {
                        let served = served.map_or("none", Label::text);
                        let labels = [
                            ("action", action.text()),
                            ("status", status.text()),
                            ("served", served),
                        ];
                        ConstCounter::new(total).encode(encoder.encode_family(&labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// Writes to hosted repositories by what was to be written and what became of it.
#[derive(Clone, Debug)]
pub struct WriteCounters {
    counters: Arc<[Counter]>,
}

impl WriteCounters {
    /// Counts one.
    pub fn count(&self, kind: Written, outcome: WriteOutcome) {
        if let Some(counter) = self.counters.get(Self::place(kind, outcome)) {
            counter.inc();
        }
    }

    /// How many were counted so far.
    pub fn total(&self, kind: Written, outcome: WriteOutcome) -> u64 {
        self.counters
            .get(Self::place(kind, outcome))
            .map_or(0, Counter::get)
    }

    fn place(kind: Written, outcome: WriteOutcome) -> usize {
        kind.index() * WriteOutcome::ALL.len() + outcome.index()
    }
}

impl Default for WriteCounters {
    fn default() -> Self {
        let places = Written::ALL.len() * WriteOutcome::ALL.len();
        Self {
            counters: (0..places).map(|_| Counter::default()).collect(),
        }
    }
}

impl EncodeMetric for WriteCounters {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        for &kind in Written::ALL {
            for &outcome in WriteOutcome::ALL {
                let labels = [("kind", kind.text()), ("outcome", outcome.text())];
                let total = self.total(kind, outcome);
                ConstCounter::new(total).encode(encoder.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// The label of everything that is split by upstream host only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HostLabels {
    upstream: String,
}

/// The labels of [`HostOutcomes`] and [`UpstreamRequests`].
type Pairs = Vec<(&'static str, String)>;

/// One counter per upstream host.
#[derive(Clone, Debug, Default)]
pub struct HostCounters(Family<HostLabels, Counter>);

impl HostCounters {
    /// The counter of `host`. Whoever counts often keeps it.
    pub fn of(&self, host: &str) -> Counter {
        self.0.get_or_create_owned(&HostLabels {
            upstream: host.to_owned(),
        })
    }
}

/// One gauge per upstream host.
#[derive(Clone, Debug, Default)]
pub struct HostGauges(Family<HostLabels, Gauge>);

impl HostGauges {
    /// The gauge of `host`.
    pub fn of(&self, host: &str) -> Gauge {
        self.0.get_or_create_owned(&HostLabels {
            upstream: host.to_owned(),
        })
    }
}

/// One counter per upstream host and value of a closed set.
#[derive(Debug)]
pub struct HostOutcomes<L> {
    label: &'static str,
    counters: Family<Pairs, Counter>,
    values: PhantomData<L>,
}

impl<L: Label> HostOutcomes<L> {
    /// Empty; `label` is the name of the closed set's label in the text format.
    pub fn new(label: &'static str) -> Self {
        Self {
            label,
            counters: Family::default(),
            values: PhantomData,
        }
    }

    /// Counts one.
    pub fn count(&self, host: &str, value: L) {
        let labels = vec![
            ("upstream", host.to_owned()),
            (self.label, value.text().to_owned()),
        ];
        self.counters.get_or_create_owned(&labels).inc();
    }
}

impl<L> Clone for HostOutcomes<L> {
    fn clone(&self) -> Self {
        Self {
            label: self.label,
            counters: self.counters.clone(),
            values: PhantomData,
        }
    }
}

/// Requests to upstreams by host, kind and outcome.
#[derive(Clone, Debug, Default)]
pub struct UpstreamRequests(Family<Pairs, Counter>);

impl UpstreamRequests {
    /// Counts one.
    pub fn count(&self, host: &str, kind: UpstreamKind, outcome: UpstreamOutcome) {
        let labels = vec![
            ("upstream", host.to_owned()),
            ("kind", kind.text().to_owned()),
            ("outcome", outcome.text().to_owned()),
        ];
        self.0.get_or_create_owned(&labels).inc();
    }
}

/// Metrics that are a family underneath are written as that family.
macro_rules! written_as_family {
    ($($metric:ty => $family:tt, [$($generic:tt)*];)+) => {$(
        impl $($generic)* EncodeMetric for $metric {
            fn encode(&self, encoder: MetricEncoder) -> fmt::Result {
                self.$family.encode(encoder)
            }

            fn metric_type(&self) -> MetricType {
                EncodeMetric::metric_type(&self.$family)
            }
        }
    )+};
}

written_as_family! {
    HostCounters => 0, [];
    HostGauges => 0, [];
    UpstreamRequests => 0, [];
    HostOutcomes<L> => counters, [<L: Label>];
}
