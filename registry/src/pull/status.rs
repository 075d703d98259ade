//! What is being done just now, as facts for whoever runs this cache. Asking changes nothing and fetches nothing.

use cistern_oci::{Digest, RepositoryName};
use cistern_storage::Storage;

use super::Pull;
use super::downloads::Running;

/// A download that runs.
#[derive(Clone, Debug)]
pub struct DownloadReport {
    /// The blob.
    pub digest: Digest,
    /// The repositories that want it, as they are named in the store.
    pub repositories: Vec<RepositoryName>,
    /// Its size in bytes, if that is known yet.
    pub size: Option<u64>,
    /// How many bytes of it callers can read.
    pub written: u64,
    /// How many callers it has.
    pub callers: usize,
    /// What it waits for; `None` if it does not.
    pub waits: Option<String>,
}

impl DownloadReport {
    pub(super) fn of(digest: Digest, running: &Running) -> Self {
        Self {
            digest,
            repositories: running.sources.holders(),
            size: running.blob.size(),
            written: running.blob.readable(),
            callers: running.crowd.present(),
            waits: running.crowd.waits().map(|why| why.to_string()),
        }
    }
}

impl Pull {
    /// The downloads that run, those with most callers first.
    pub fn running_downloads(&self) -> Vec<DownloadReport> {
        let mut reports: Vec<_> = self
            .parts
            .downloads
            .all()
            .iter()
            .map(|(digest, running)| DownloadReport::of(*digest, running))
            .collect();
        reports.sort_by_key(|report| (std::cmp::Reverse(report.callers), report.digest));
        reports
    }

    /// The store, for whoever wants to know how it is.
    pub fn storage(&self) -> &Storage {
        &self.parts.storage
    }
}
