//! The part of the table that is about writing: what a push may not be, and everything that can become of one.

use std::fmt::Display;

use cistern_oci::{ErrorCode, Resource};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::{ApiError, READING, RETRY_AFTER};
use crate::push::PushError;

// === impl ApiError ===

impl ApiError {
    /// A write to a mirror of a repository at `host`.
    pub(in crate::http) fn no_writes(host: &str, method: &http::Method) -> Self {
        let instead = if *method == http::Method::DELETE {
            "nothing is deleted from it here"
        } else {
            "push there, or to a repository that hosted.repositories names"
        };
        let why = format!("this repository mirrors {host}: {instead}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported, why)
            .with(header::ALLOW, READING)
    }

    /// A method that is none of those of this part of a hosted repository.
    pub(in crate::http) fn not_this_method(method: &http::Method, resource: &Resource) -> Self {
        let allowed = match resource {
            Resource::Blob(_) => "GET, HEAD, DELETE",
            Resource::Manifest(_) => "GET, HEAD, PUT, DELETE",
            Resource::Uploads => "POST",
            Resource::Upload(_) => "GET, PATCH, PUT, DELETE",
            Resource::Tags | Resource::Referrers(_) => "GET, HEAD",
        };
        let message = format!("{method} is not supported here");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::Unsupported,
            message,
        )
        .with(header::ALLOW, HeaderValue::from_static(allowed))
    }

    /// Pushing is not possible here, so no push can be known.
    pub(in crate::http) fn no_uploads() -> Self {
        Self::not_found(ErrorCode::BlobUploadUnknown, "no push is known here")
    }

    fn bad_request(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A digest in the query that is not one, or of an algorithm that is not known here.
    pub(in crate::http) fn bad_digest(error: &impl Display) -> Self {
        Self::bad_request(ErrorCode::DigestInvalid, error.to_string())
    }

    /// A push ends with `?digest=`, or nobody knows what it was to be.
    pub(in crate::http) fn digest_missing() -> Self {
        let message = "the last request of a push names the digest of the blob: ?digest=sha256:…";
        Self::bad_request(ErrorCode::DigestInvalid, message)
    }

    /// A repository in the query that cannot be one.
    pub(in crate::http) fn bad_name(error: &impl Display) -> Self {
        Self::bad_request(ErrorCode::NameInvalid, error.to_string())
    }

    /// A tag in the query that is not one.
    pub(in crate::http) fn bad_tag(error: &impl Display) -> Self {
        Self::bad_request(ErrorCode::TagInvalid, error.to_string())
    }

    /// More tags than one request may give.
    pub(in crate::http) fn too_many_tags(count: usize, most: usize) -> Self {
        let message = format!("{count} tags in one request: at most {most} are taken");
        Self::bad_request(ErrorCode::TagInvalid, message)
    }

    /// A `Content-Range` that cannot be read.
    pub(in crate::http) fn bad_chunk_place(text: &str) -> Self {
        let shown: String = text.chars().take(64).collect();
        let message = format!("Content-Range is written <first>-<last>, not {shown:?}");
        Self::bad_request(ErrorCode::BlobUploadInvalid, message)
    }

    /// A `Content-Range` of another length than the body.
    pub(in crate::http) fn chunk_length_differs(place: &str, length: u64) -> Self {
        let message = format!(
            "Content-Range is {place}, which is another length than the {length} of Content-Length"
        );
        Self::bad_request(ErrorCode::SizeInvalid, message)
    }
}

/// Everything that can become of writing.
impl From<PushError> for ApiError {
    fn from(error: PushError) -> Self {
        let message = error.to_string();
        let refused = |status, code| Self::new(status, code, message.clone());
        match error {
            PushError::UploadUnknown(_) => {
                refused(StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown)
            }
            PushError::UploadTaken => refused(StatusCode::CONFLICT, ErrorCode::BlobUploadInvalid)
                .with(
                    header::RETRY_AFTER,
                    HeaderValue::from(RETRY_AFTER.as_secs()),
                ),
            PushError::OutOfOrder { .. } => refused(
                StatusCode::RANGE_NOT_SATISFIABLE,
                ErrorCode::BlobUploadInvalid,
            ),
            PushError::WrongDigest { .. } => {
                refused(StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid)
            }
            PushError::WrongLength { .. } => {
                refused(StatusCode::BAD_REQUEST, ErrorCode::SizeInvalid)
            }
            PushError::BodyBroke(_) => {
                refused(StatusCode::BAD_REQUEST, ErrorCode::BlobUploadInvalid)
            }
            PushError::ManifestInvalid(_) => {
                refused(StatusCode::BAD_REQUEST, ErrorCode::ManifestInvalid)
            }
            PushError::ManifestTooLarge { .. } => {
                refused(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::ManifestInvalid)
            }
            PushError::BlobsMissing(missing) => Self {
                detail: Some(json!(missing)),
                ..refused(StatusCode::BAD_REQUEST, ErrorCode::ManifestBlobUnknown)
            },
            PushError::ManifestUnknown(_) => {
                refused(StatusCode::NOT_FOUND, ErrorCode::ManifestUnknown)
            }
            PushError::BlobUnknown(_) => refused(StatusCode::NOT_FOUND, ErrorCode::BlobUnknown),
            PushError::NoDeletes | PushError::ReadOnly => {
                refused(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::Unsupported)
                    .with(header::ALLOW, READING)
            }
            PushError::Full => refused(StatusCode::INSUFFICIENT_STORAGE, ErrorCode::Unavailable),
            PushError::Storage(error) => Self::internal(&error),
        }
    }
}
