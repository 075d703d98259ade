//! Dropping what nobody used for a while (`proxy.ttl`).

/// What one round of [`crate::Storage::expire`] dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Tags whose manifest went.
    pub tags: u64,
    /// Manifest links of repositories.
    pub manifests: u64,
    /// Blobs (layers, configs and manifests' bytes) whose files went.
    pub blobs: u64,
    /// Bytes freed by them.
    pub bytes: u64,
}
