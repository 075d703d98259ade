//! Upstream listings (tags, referrers) kept as small files under `cistern/listings`: they cannot be derived from anything.

use std::time::SystemTime;

use bytes::Bytes;

/// A listing that was kept, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// When it was set.
    pub at: SystemTime,
    /// Its bytes, as they were given.
    pub bytes: Bytes,
}
