//! How long certificates in use still hold: a set that is replaced as a whole, since certificates come and go.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// One certificate's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// What it is used for.
    pub used_for: &'static str,
    /// Its file, or who issued it to us.
    pub from: String,
    /// Whose it is.
    pub subject: String,
    /// How long it still holds; below zero when it is over.
    pub seconds: i64,
}

/// One gauge per certificate.
#[derive(Clone, Debug, Default)]
pub struct CertificateGauges(Arc<Mutex<Vec<Expiry>>>);

impl CertificateGauges {
    /// These are all there are; of several with the same labels the first counts.
    pub fn replace(&self, mut all: Vec<Expiry>) {
        let mut seen = std::collections::HashSet::new();
        all.retain(|one| seen.insert((one.used_for, one.from.clone(), one.subject.clone())));
        *self.0.lock() = all;
    }
}

impl EncodeMetric for CertificateGauges {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        for one in self.0.lock().iter() {
            let labels = [
                ("use", one.used_for),
                ("from", one.from.as_str()),
                ("subject", one.subject.as_str()),
            ];
            ConstGauge::new(one.seconds).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
