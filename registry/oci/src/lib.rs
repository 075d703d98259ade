//! The words of a registry: digests, names, references, media types, manifests, ranges, paths and
//! error codes.
//!
//! Everything that comes from outside is turned into one of these types at the door, and a value of
//! such a type is valid for as long as it lives. This crate knows no files, no sockets, no clocks
//! and no threads.

#[macro_use]
mod text;

mod algorithm;
mod byte_range;
mod descriptor;
mod digest;
mod endpoint;
mod error_code;
mod hasher;
mod json;
mod manifest;
mod manifest_links;
mod media_type;
mod platform;
mod range_header;
mod range_request;
mod reference;
mod repository_name;
mod tag;
mod upload_id;

pub use algorithm::Algorithm;
pub use byte_range::ByteRange;
pub use descriptor::Descriptor;
pub use digest::{Digest, DigestError};
pub use endpoint::{Endpoint, EndpointError, Resource};
pub use error_code::{ErrorCode, error_body};
pub use hasher::Hasher;
pub use json::nesting;
pub use manifest::{MANIFEST_SIZE_LIMIT, Manifest, WrongDigest};
pub use manifest_links::{ManifestError, ManifestKind, ManifestLinks};
pub use media_type::{MANIFEST_ACCEPT, MediaType};
pub use platform::{NotAPlatform, Platform};
pub use range_header::RangeHeader;
pub use range_request::{NotSatisfiable, RangeRequest};
pub use reference::{Reference, ReferenceError};
pub use repository_name::{NameError, RepositoryName};
pub use tag::{Tag, TagError};
pub use upload_id::{UploadId, UploadIdError};
