//! Certificates in use and TLS towards callers, as the pages tell them.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::tls::{CertificateReport, Serving, written};

/// A certificate in use.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CertificateLine {
    /// `server`, `client-authority`, `upstream-authority`, `upstream-client` or `trust-bundle`.
    #[serde(rename = "use")]
    pub used_for: String,
    /// Its file, or `workload API`.
    pub from: String,
    /// Whose it is.
    pub subject: String,
    /// The host names and addresses it is for.
    pub names: Vec<String>,
    /// When it ends.
    pub until: String,
    /// How long it still holds; null when it is over.
    pub left_seconds: Option<u64>,
}

/// TLS towards callers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsLine {
    /// There is a certificate, so it is spoken.
    pub serving: bool,
    /// Why there is none, or why the next one could not be had.
    pub trouble: Option<String>,
}

impl CertificateLine {
    pub(super) fn of(report: &CertificateReport, now: SystemTime) -> Self {
        Self {
            used_for: report.used_for.as_str().to_owned(),
            from: report.from.clone(),
            subject: report.says.subject.clone(),
            names: report.says.names.clone(),
            until: written(report.says.not_after),
            left_seconds: report.says.left(now).map(|left| left.as_secs()),
        }
    }
}

impl TlsLine {
    pub(super) fn of(serving: &Serving) -> Self {
        Self {
            serving: serving.has_certificate,
            trouble: serving.trouble.clone(),
        }
    }
}
