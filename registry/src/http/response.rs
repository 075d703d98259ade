//! Answers: what was found, as a head and a body.

use std::fmt::Write as _;

use axum::body::Body as PageBody;
use bytes::{Bytes, BytesMut};
use cistern_oci::{Digest, Reference, RepositoryName, UploadId, error_body};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use hyper::ext::ReasonPhrase;
use serde::Serialize;

use super::body::AnswerBody;
use super::error::ApiError;
use super::request_id::RequestId;
use crate::chain;
use crate::pull::{FoundManifest, OpenedBlob, Served};

/// The digest of what an answer holds.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Says that this is a registry.
pub(super) const API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");
/// The name of the request.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The `ns` that was accepted.
pub(super) const NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
/// What a pushed manifest says something about: the sign that its referrers are listed here.
pub(super) const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// A tag that a pushed manifest got.
pub(super) const TAG: HeaderName = HeaderName::from_static("oci-tag");
/// The name of a push, beside its address.
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// Tells an nginx in front of us not to spool the body to its disk.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// A digest always names the same bytes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const STALE: HeaderValue = HeaderValue::from_static(chain::STALE);

/// The most of a message that is put into a status line; some programs read no long ones.
const LONGEST_REASON: usize = 400;

/// An answer, and what the log wants to know of it.
pub(super) struct Answer {
    pub(super) response: Response<AnswerBody>,
    pub(super) digest: Option<Digest>,
    pub(super) served: Option<Served>,
}

// === impl Answer ===

impl Answer {
    /// An answer that is neither found in the store nor refused.
    pub(super) fn plain(response: Response<AnswerBody>) -> Self {
        Self {
            response,
            digest: None,
            served: None,
        }
    }

    /// An answer of the pages.
    pub(super) fn page(response: Response<PageBody>) -> Self {
        Self::plain(response.map(AnswerBody::Page))
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.response.headers_mut().insert(name, value);
        self
    }
}

/// What a manifest request found. `Docker-Content-Digest` is the digest as requested, when one was.
pub(super) fn manifest(found: FoundManifest, asked_for: &Reference, method: &Method) -> Answer {
    let by_digest = super::request::digest_of(asked_for);
    let digest = *by_digest.unwrap_or(&found.manifest.digest);
    let bytes = found.manifest.bytes;
    let mut response = Response::new(AnswerBody::Empty);
    let headers = response.headers_mut();
    name(headers, &digest);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    headers.insert(
        header::CONTENT_TYPE,
        text(found.manifest.media_type.as_str()).unwrap_or(OCTETS),
    );
    if by_digest.is_some() {
        headers.insert(header::CACHE_CONTROL, FOR_EVER);
    }
    if found.stale {
        headers.insert(header::WARNING, STALE);
        // Seconds since its upstream was last heard of it (RFC 9111, 5.1).
        let age = found.age.map(|age| HeaderValue::from(age.as_secs()));
        headers.extend(age.map(|age| (header::AGE, age)));
    }
    if *method == Method::GET {
        *response.body_mut() = AnswerBody::Whole(bytes);
    }
    Answer {
        response,
        digest: Some(digest),
        served: Some(found.served),
    }
}

/// A blob, or the part of it that was opened; without a body when only the head was wanted.
pub(super) fn blob(opened: OpenedBlob) -> Answer {
    let mut response = Response::new(AnswerBody::Empty);
    let length = opened.part.map_or(opened.size, |part| part.length());
    if let Some(part) = opened.part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let place = format!("bytes {}-{}/{}", part.first, part.last, opened.size);
        response
            .headers_mut()
            .extend(text(&place).map(|place| (header::CONTENT_RANGE, place)));
    }
    let headers = response.headers_mut();
    name(headers, &opened.digest);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONTENT_TYPE, OCTETS);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, FOR_EVER);
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    if let Some(bytes) = opened.body {
        *response.body_mut() = AnswerBody::blob(bytes, length);
    }
    Answer {
        response,
        digest: Some(opened.digest),
        served: Some(opened.served),
    }
}

/// The caller has it already.
pub(super) fn not_modified(mut answer: Answer) -> Answer {
    *answer.response.status_mut() = StatusCode::NOT_MODIFIED;
    *answer.response.body_mut() = AnswerBody::Empty;
    let headers = answer.response.headers_mut();
    for of_the_body in [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_RANGE,
        header::ACCEPT_RANGES,
    ] {
        headers.remove(of_the_body);
    }
    answer
}

/// A JSON document.
pub(super) fn json(document: &impl Serialize, method: &Method) -> Result<Answer, ApiError> {
    let bytes = serde_json::to_vec(document).map_err(|error| ApiError::internal(&error))?;
    Ok(Answer::plain(with_json(
        StatusCode::OK,
        bytes.into(),
        method,
    )))
}

/// `{}`, which is what `/v2/` answers.
pub(super) fn empty_json(method: &Method) -> Answer {
    Answer::plain(with_json(StatusCode::OK, Bytes::from_static(b"{}"), method))
}

/// An error in the words of the spec; of a HEAD only its head.
pub(super) fn error(error: &ApiError, method: &Method, request_id: &RequestId) -> Answer {
    let message = error.message_for(request_id.text());
    let body = error_body(error.code, &message, error.detail.clone());
    let mut response = with_json(error.status, body, method);
    if error.status.is_server_error()
        && let Some(reason) = reason(error.status, &message)
    {
        response.extensions_mut().insert(reason);
    }
    let headers = response.headers_mut();
    for (name, value) in &error.headers {
        headers.insert(name.clone(), value.clone());
    }
    Answer {
        response,
        digest: None,
        served: Some(Served::Refused),
    }
}

/// The message once more, in the status line: docker's older image store shows of a 5xx answer nothing else.
fn reason(status: StatusCode, message: &str) -> Option<ReasonPhrase> {
    let canonical = status.canonical_reason()?;
    let printable = |byte: &char| matches!(byte, ' '..='~');
    let message: String = message
        .chars()
        .filter(printable)
        .take(LONGEST_REASON)
        .collect();
    ReasonPhrase::try_from(format!("{canonical}: {message}").into_bytes()).ok()
}

fn with_json(status: StatusCode, bytes: Bytes, method: &Method) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Empty);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    headers.insert(header::CONTENT_TYPE, JSON);
    if *method != Method::HEAD {
        *response.body_mut() = AnswerBody::Whole(bytes);
    }
    response
}

/// A push that is under way: where it goes on, and how much of it is here. `Range` names the last byte, inclusive; of nothing, `0-0`,
/// as Distribution says it.
pub(super) fn upload(
    status: StatusCode,
    to: &RepositoryName,
    id: &UploadId,
    received: u64,
) -> Answer {
    let mut response = Response::new(AnswerBody::Empty);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.extend(upload_headers(to, id, received));
    if status != StatusCode::NO_CONTENT {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    }
    headers.extend(text(id.as_str()).map(|id| (UPLOAD_ID, id)));
    Answer::plain(response)
}

/// Where a push goes on, and how much of it is here.
pub(super) fn upload_headers(
    to: &RepositoryName,
    id: &UploadId,
    received: u64,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let location = text(&format!("/v2/{to}/blobs/uploads/{id}"));
    let range = text(&format!("0-{}", received.saturating_sub(1)));
    let location = location.map(|location| (header::LOCATION, location));
    location
        .into_iter()
        .chain(range.map(|range| (header::RANGE, range)))
}

/// Something was written; here it is.
pub(super) fn created(path: &str, digest: &Digest) -> Answer {
    let mut response = Response::new(AnswerBody::Empty);
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.extend(text(path).map(|path| (header::LOCATION, path)));
    headers.extend(text(&digest.to_string()).map(|digest| (CONTENT_DIGEST, digest)));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    Answer {
        response,
        digest: Some(*digest),
        served: Some(Served::Pushed),
    }
}

/// A push was given up.
pub(super) fn cancelled() -> Answer {
    let mut response = Response::new(AnswerBody::Empty);
    *response.status_mut() = StatusCode::NO_CONTENT;
    Answer {
        response,
        digest: None,
        served: Some(Served::Deleted),
    }
}

/// Something was removed.
pub(super) fn deleted() -> Answer {
    let mut response = Response::new(AnswerBody::Empty);
    *response.status_mut() = StatusCode::ACCEPTED;
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    Answer {
        response,
        digest: None,
        served: Some(Served::Deleted),
    }
}

/// Says that a list is what the cache holds, when the upstream could not be asked.
pub(super) fn stale_list(answer: Answer, stale: bool) -> Answer {
    if stale {
        answer.with(header::WARNING, STALE)
    } else {
        answer
    }
}

/// `Docker-Content-Digest` and `ETag`: one text, once without and once with quotes.
fn name(headers: &mut HeaderMap, digest: &Digest) {
    let mut quoted = BytesMut::with_capacity(160);
    // Writing to a growing buffer cannot fail.
    let _ = write!(quoted, "\"{digest}\"");
    let quoted = quoted.freeze();
    let bare = quoted.slice(1..quoted.len() - 1);
    headers.extend(HeaderValue::from_maybe_shared(quoted).map(|tag| (header::ETAG, tag)));
    headers.extend(HeaderValue::from_maybe_shared(bare).map(|digest| (CONTENT_DIGEST, digest)));
}

/// A header value, unless the text cannot be one.
pub(super) fn text(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_says_what_is_wrong_in_one_line_of_plain_characters() {
        let said = |message: &str| {
            let reason = reason(StatusCode::SERVICE_UNAVAILABLE, message).unwrap();
            String::from_utf8(reason.as_bytes().to_vec()).unwrap()
        };
        assert_eq!(
            said("example.com answered 502"),
            "Service Unavailable: example.com answered 502"
        );
        assert_eq!(
            said("a\r\nSet-Cookie: \u{e9}b"),
            "Service Unavailable: aSet-Cookie: b"
        );
        assert!(said(&"x".repeat(10_000)).len() < 500);
    }
}
