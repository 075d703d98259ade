//! What the index says about one thing. Written as JSON, so that a person can look.

use std::time::{Duration, SystemTime};

use cistern_oci::{Digest, ManifestLinks};
use serde::{Deserialize, Serialize};

use crate::FileFacts;

/// What a file looked like when its bytes were last known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub(crate) modified: u64,
    pub(crate) inode: u64,
}

impl Stamp {
    pub(crate) fn of(facts: &FileFacts) -> Self {
        Self {
            size: facts.size,
            modified: nanoseconds(facts.modified),
            inode: facts.inode,
        }
    }
}

/// What is known about a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlobRecord {
    pub(crate) size: u64,
    /// `None`: it is there, but nobody has verified it yet.
    pub(crate) stamp: Option<Stamp>,
}

/// What is known about a tag beside its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredTag {
    pub(crate) digest: Digest,
    /// Nanoseconds since 1970.
    pub(crate) checked_at: u64,
    pub(crate) source: String,
}

/// One pointer of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedBlob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// What a manifest names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestRecord {
    pub(crate) size: u64,
    /// Its config and layers.
    pub(crate) blobs: Vec<NamedBlob>,
    /// The manifests of an index.
    pub(crate) children: Vec<NamedBlob>,
    /// What it says something about.
    pub(crate) subject: Option<Digest>,
}

impl ManifestRecord {
    /// Reads what a manifest names; one that cannot be read names nothing.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let size = bytes.len() as u64;
        let Ok(links) = ManifestLinks::read(bytes) else {
            return Self {
                size,
                ..Self::default()
            };
        };
        let named = |descriptor: &cistern_oci::Descriptor| NamedBlob {
            digest: descriptor.digest,
            size: descriptor.size,
        };
        Self {
            size,
            blobs: links.blobs().map(named).collect(),
            children: links.children.iter().map(named).collect(),
            subject: links.subject.map(|subject| subject.digest),
        }
    }

    /// Everything it names with a size.
    pub(crate) fn named(&self) -> impl Iterator<Item = &NamedBlob> {
        self.blobs.iter().chain(&self.children)
    }
}

/// A time as the index writes it; before 1970 counts as 1970.
pub(crate) fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}

/// The time that [`nanoseconds`] wrote.
pub(crate) fn time(nanoseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}
