//! Beginning a blob: with the partial that is there, or with nothing.

use std::sync::Arc;

use cistern_oci::Digest;

use crate::{
    StorageError,
    core::Core,
    growing::Growth,
    partial::{Found, Making, claims::Claim},
    promise::Promise,
    pump::Target,
};

/// A file in the making, and the room it may fill.
pub(crate) struct Begun {
    pub(crate) digest: Digest,
    pub(crate) target: Target,
    pub(crate) promise: Arc<Promise>,
    pub(crate) size: Option<u64>,
    /// How many bytes are there already, and how many of them on the device.
    pub(crate) there: u64,
    pub(crate) durable: u64,
}

impl Begun {
    /// Opens or creates the file for a blob, if the store may be written to and has room. Without a claim it is a file beside
    /// that of another. May wait for the disk.
    pub(crate) fn begin(
        core: &Arc<Core>,
        digest: Digest,
        claim: Option<Claim>,
        size: Option<u64>,
    ) -> Result<Self, StorageError> {
        core.writable()?;
        let found = claim.as_ref().and_then(|_| usable(core, &digest, size));
        let size = size.or(found.as_ref().and_then(|found| found.partial().size));
        let there = found.as_ref().map_or(0, |found| found.length);
        let promise = Promise::make(core, size.unwrap_or(0), there)?;
        let durable = found.as_ref().map_or(0, Found::durable);
        let (making, open) = match (claim, found) {
            (Some(claim), Some(found)) => Making::go_on(core, digest, claim, &found, size)?,
            (claim, _) => Making::begin(core, digest, claim, size)?,
        };
        let growth = Arc::new(Growth {
            core: Arc::clone(core),
            file: Arc::new(open),
        });
        Ok(Self {
            digest,
            target: Target {
                growth,
                making: Arc::new(making),
            },
            promise,
            size,
            there,
            durable,
        })
    }
}

/// The partial that is there, unless it is longer than the blob. One that cannot be read is no reason not to begin anew.
fn usable(core: &Core, digest: &Digest, size: Option<u64>) -> Option<Found> {
    match core.find_partial(digest) {
        Ok(found) => found.filter(|found| size.is_none_or(|size| found.length <= size)),
        Err(error) => {
            tracing::warn!(%digest, %error, "the partial of a blob cannot be used");
            None
        }
    }
}
