//! The error codes of the distribution API and the body that carries one. Must not know statuses or
//! which error gets which code.

use std::fmt;

use bytes::Bytes;
use serde_json::{Value, json};

/// What kind of error an answer is about; clients decide by it whether to try again or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The repository has no such blob.
    BlobUnknown,
    /// A push of a blob went wrong and cannot go on.
    BlobUploadInvalid,
    /// There is no such push of a blob.
    BlobUploadUnknown,
    /// A digest is malformed, or the content does not hash to it.
    DigestInvalid,
    /// A pushed manifest points to something that is not there.
    ManifestBlobUnknown,
    /// A manifest is not one.
    ManifestInvalid,
    /// The repository has no such manifest.
    ManifestUnknown,
    /// The name of a repository is malformed.
    NameInvalid,
    /// There is no such repository.
    NameUnknown,
    /// A length is missing or wrong.
    SizeInvalid,
    /// The caller has to say who they are.
    Unauthorized,
    /// The caller may not do this.
    Denied,
    /// This registry does not do that.
    Unsupported,
    /// The caller asks too often.
    TooManyRequests,
    /// The answer cannot be had at the moment; not in the specification, but in Distribution.
    Unavailable,
    /// A tag is malformed; not in the specification, but in Distribution.
    TagInvalid,
    /// A range cannot be satisfied; not in the specification, but in Distribution.
    RangeInvalid,
    /// The number of entries asked for is not one; not in the specification, but in Distribution.
    PaginationNumberInvalid,
    /// Anything else; not in the specification, but in Distribution.
    Unknown,
}

impl ErrorCode {
    /// The code as it is written in an error body.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
            Self::TagInvalid => "TAG_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The JSON body of an error answer, with one error in it. No detail, no `detail` member.
pub fn error_body(code: ErrorCode, message: &str, detail: Option<Value>) -> Bytes {
    let mut error = json!({ "code": code.as_str(), "message": message });
    if let (Some(members), Some(detail)) = (error.as_object_mut(), detail) {
        members.insert("detail".to_owned(), detail);
    }
    Bytes::from(json!({ "errors": [error] }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_body_is_the_one_clients_parse() {
        let body = error_body(ErrorCode::BlobUnknown, "says \"no\"", None);
        assert_eq!(
            &body[..],
            br#"{"errors":[{"code":"BLOB_UNKNOWN","message":"says \"no\""}]}"#
        );
    }

    #[test]
    fn an_error_body_carries_its_detail_as_json() {
        let body = error_body(
            ErrorCode::Unavailable,
            "later",
            Some(json!({ "cause": "dns" })),
        );
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["errors"][0]["detail"]["cause"], "dns");
    }
}
