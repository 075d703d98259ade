//! Reading a blob while it is being written: one writer's end, any number of readers.

use std::marker::PhantomData;

use cistern_oci::ByteRange;

use crate::{BlobBytes, StoredBlob};

/// Begins a blob that may be waited for and read while it arrives. `interrupted` is what readers are told when the writer
/// vanishes without a word.
pub fn growing<F: Clone + Send + Sync + 'static>(interrupted: F) -> (Growing<F>, GrowingBlob<F>) {
    let _ = interrupted;
    unimplemented!()
}

/// The one writer's end. Dropped without an end, it tells every reader `interrupted`.
pub struct Growing<F: Clone + Send + Sync + 'static> {
    _failure: PhantomData<F>,
}

impl<F: Clone + Send + Sync + 'static> Growing<F> {
    /// The upstream has answered, with this size if it named one.
    pub fn answered(&self, size: Option<u64>) {
        let _ = size;
        unimplemented!()
    }

    /// Ends it: every reader is told why.
    pub fn fail(self, why: F) {
        drop(why);
        unimplemented!()
    }

    /// Ends it: the blob was in the store after all.
    pub fn complete(self, blob: StoredBlob) {
        drop(blob);
        unimplemented!()
    }

    /// How many bodies are being read or waited for just now.
    pub fn readers(&self) -> usize {
        unimplemented!()
    }
}

/// What is known once [`GrowingBlob::wait_for`] resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The blob's size, if the upstream named it or all bytes have come.
    pub size: Option<u64>,
}

/// The readers' end of a growing blob.
#[derive(Clone)]
pub struct GrowingBlob<F: Clone + Send + Sync + 'static> {
    _failure: PhantomData<F>,
}

impl<F: Clone + Send + Sync + 'static> GrowingBlob<F> {
    /// Resolves when bytes from `offset` on are readable, or the upstream has answered at all; or with why it failed.
    pub async fn wait_for(&self, offset: u64) -> Result<Ready, F> {
        let _ = offset;
        unimplemented!()
    }

    /// Resolves when the size is known: the upstream named it, or all bytes have come.
    pub async fn wait_size(&self) -> Result<u64, F> {
        unimplemented!()
    }

    /// How many bytes readers may have now (see [`crate::BlobWriter`] for the last 64 KiB).
    pub fn readable(&self) -> u64 {
        unimplemented!()
    }

    /// The size, if it is known.
    pub fn size(&self) -> Option<u64> {
        unimplemented!()
    }

    /// The bytes of a range, waiting for those that are not there yet.
    pub fn read(&self, range: ByteRange) -> BlobBytes {
        let _ = range;
        unimplemented!()
    }
}
