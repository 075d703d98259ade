//! Bytes on disk in CNCF Distribution's own layout, and the index derived from them.
//!
//! The files are the truth: Distribution started on the same directory finds its store intact. What Distribution does
//! not know lives beside it in `<root>/cistern/`. This crate knows digests, names and manifests; it must not know HTTP,
//! upstreams or who is asking.

mod begun;
mod blob_bytes;
mod blob_writer;
mod blobs;
mod buffers;
mod clock;
mod core;
mod disk;
mod durable;
mod error;
mod expire;
mod files;
mod growing;
mod hashing;
mod held;
mod index;
mod layout;
mod leases;
mod listings;
mod memory;
mod new_file;
mod open;
mod options;
mod partial;
mod piece;
mod pins;
mod promise;
mod pump;
mod purge;
mod reading;
mod rebuild;
mod recovery;
mod repositories;
mod room;
mod storage;
mod stored_blob;
mod uploads;
mod uses;
mod verify;

#[cfg(test)]
mod testing;

#[cfg(any(test, feature = "faults"))]
pub use crate::disk::faults;
pub use crate::{
    blob_bytes::{BlobBytes, ReadError},
    blob_writer::{BlobWriter, CommitError},
    blobs::{Blobs, StartRefused},
    clock::{Clock, SystemClock},
    disk::{Disk, DiskFile, FileFacts, RealDisk, Space},
    error::{OpenError, StorageError},
    expire::Expired,
    growing::{Growing, GrowingBlob, Ready, growing},
    leases::{Lease, Leases},
    listings::Listing,
    options::{Options, Reserve},
    partial::{Dropped, Partial, PartialBounds},
    piece::{FilePiece, Piece},
    pins::{ImageKey, Pin, Pins},
    purge::Purged,
    repositories::{Checked, Referrer, Repositories, TagRecord},
    room::Room,
    storage::Storage,
    stored_blob::StoredBlob,
    uploads::{Turn, Upload, Uploads},
};
