//! THE TABLE: every error → status, code of the spec, message, headers.
//!
//! Storage and upstream errors are facts, pull errors are what the caller asked for, and this is the only place where they become
//! statuses. docker and edgeAgent print exactly these messages to the person who has to mend something, so each names the host
//! that was asked, its answer or the link's fault, and how long ago. A fault of the link is never a 404: children would take
//! "not now" for "does not exist". Matches are exhaustive and without `_`.
#![deny(clippy::wildcard_enum_match_arm)]

#[cfg(test)]
mod tests;
mod words;
mod writing;

use std::fmt::Display;
use std::time::Duration;

use cistern_oci::{EndpointError, ErrorCode, Tag};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::response::text;
use crate::pull::{Asked, PullError};
use crate::repositories::NotMirrored;
use crate::upstream::{Fault, UpstreamError};

/// When to come back, where an upstream did not say.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// The longest wait that is passed on: a child that heeds a whole day would miss the link coming back.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(5);
/// What a repository that takes no writes allows.
const READING: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// A refusal, ready to be written.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: ErrorCode,
    pub(super) message: String,
    /// For programs: what `message` says for people.
    pub(super) detail: Option<Value>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// For the log, and never for the caller: what failed here.
    pub(super) cause: Option<String>,
}

// === impl ApiError ===

impl ApiError {
    fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            detail: None,
            headers: Vec::new(),
            cause: None,
        }
    }

    /// The message; a fault of ours is named by the request, which the log explains.
    pub(super) fn message_for(&self, request_id: &str) -> String {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            format!(
                "{}; the log of this cache says more about request {request_id}",
                self.message
            )
        } else {
            self.message.clone()
        }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn not_found(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 503: try again. `cause` is one word for programs.
    fn unavailable(message: impl Into<String>, detail: Value, after: Duration) -> Self {
        let seconds = after.min(LONGEST_RETRY_AFTER).as_secs_f64().ceil().max(1.0);
        Self {
            detail: Some(detail),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::Unavailable,
                message,
            )
        }
        .with(
            header::RETRY_AFTER,
            text(&format!("{seconds}")).unwrap_or(HeaderValue::from_static("5")),
        )
    }

    /// A fault of ours: the caller is told the id of the request, the log the cause.
    pub(super) fn internal(cause: &impl Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                ErrorCode::Unknown,
                "this cache failed",
            )
        }
    }

    /// A question that this cache has asked itself.
    pub(super) fn is_a_loop() -> Self {
        let message = "this cache was asked its own question: proxy.remoteurl, here or at a cache above, leads back to it";
        Self {
            detail: Some(json!({ "cause": "loop" })),
            ..Self::new(StatusCode::LOOP_DETECTED, ErrorCode::Unsupported, message)
        }
    }

    /// A path below `/v2/` that is none of the API's.
    pub(super) fn no_such_path() -> Self {
        Self::not_found(ErrorCode::Unsupported, "there is nothing at this path")
    }

    /// A method that the path does not know.
    pub(super) fn method_not_allowed(method: &http::Method) -> Self {
        let message = format!("{method} is not supported here");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::Unsupported,
            message,
        )
        .with(header::ALLOW, READING)
    }

    /// Nobody, or somebody with the wrong password. `challenge` says what to show.
    pub(super) fn unauthorized(why: &str, challenge: HeaderValue) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, why)
            .with(header::WWW_AUTHENTICATE, challenge)
    }

    /// Somebody who may not do this.
    pub(super) fn denied(why: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorCode::Denied, why)
    }

    /// More than one range. Lazy pullers fall back to single ranges on 400, and on no other status.
    pub(super) fn several_ranges(count: usize) -> Self {
        let message =
            format!("{count} ranges in one request are not supported: ask for them one at a time");
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::RangeInvalid, message)
    }

    /// `n` that is no number.
    pub(super) fn bad_page_size(n: &str) -> Self {
        let shown: String = n.chars().take(32).collect();
        let message = format!("n must be a whole number that is not negative, not {shown:?}");
        Self::new(
            StatusCode::BAD_REQUEST,
            ErrorCode::PaginationNumberInvalid,
            message,
        )
    }
}

/// Paths that cannot be read.
impl From<&EndpointError> for ApiError {
    fn from(error: &EndpointError) -> Self {
        let (status, code) = match error {
            EndpointError::Unknown => return Self::no_such_path(),
            EndpointError::Name(_) => (StatusCode::BAD_REQUEST, ErrorCode::NameInvalid),
            EndpointError::Digest(_) => (StatusCode::BAD_REQUEST, ErrorCode::DigestInvalid),
            EndpointError::Reference(error) => {
                (StatusCode::BAD_REQUEST, words::reference_code(error))
            }
            EndpointError::Upload(_) => (StatusCode::NOT_FOUND, ErrorCode::BlobUploadUnknown),
        };
        Self::new(status, code, error.to_string())
    }
}

/// A registry that is not mirrored here: 404, and nobody is dialled.
impl From<NotMirrored> for ApiError {
    fn from(error: NotMirrored) -> Self {
        Self::not_found(ErrorCode::NameUnknown, error.to_string())
    }
}

/// Everything that can become of reading.
impl From<PullError> for ApiError {
    fn from(error: PullError) -> Self {
        match error {
            PullError::BlobUnknown(digest, asked) => {
                unknown(ErrorCode::BlobUnknown, &format!("blob {digest}"), asked)
            }
            PullError::ManifestUnknown(reference, asked) => unknown(
                ErrorCode::ManifestUnknown,
                &format!("manifest {reference}"),
                asked,
            ),
            PullError::NameUnknown(name, asked) => {
                unknown(ErrorCode::NameUnknown, &format!("repository {name}"), asked)
            }
            PullError::RangeNotSatisfiable { size } => {
                let message =
                    format!("the range begins beyond the end of the blob, which has {size} bytes");
                Self::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    ErrorCode::RangeInvalid,
                    message,
                )
                .with(
                    header::CONTENT_RANGE,
                    text(&format!("bytes */{size}"))
                        .unwrap_or(HeaderValue::from_static("bytes */*")),
                )
            }
            PullError::Upstream(asked) => refused(&asked),
            PullError::StillFetching => Self::unavailable(
                "this cache is still fetching it: try again",
                json!({ "cause": "fetching" }),
                RETRY_AFTER,
            ),
            PullError::NotHeld(down) => Self::unavailable(
                format!(
                    "as many callers as this cache holds are waiting for its upstream already: {down}"
                ),
                words::detail(&down),
                RETRY_AFTER,
            ),
            PullError::Strict(tag, why) => unconfirmed(&tag, Self::from(*why)),
            PullError::Storage(error) => Self::internal(&error),
            PullError::Interrupted => Self::unavailable(
                "the work for this request was interrupted: try again",
                json!({ "cause": "interrupted" }),
                RETRY_AFTER,
            ),
        }
    }
}

/// The operator wants a refusal rather than an old version; the setting is named, since it is what stands between the caller and
/// what this cache holds.
fn unconfirmed(tag: &Tag, why: ApiError) -> ApiError {
    let message = format!(
        "tag {tag} is here but could not be confirmed, and proxy.strict forbids to serve it so: {}",
        why.message
    );
    let detail = json!({ "cause": "strict", "setting": "proxy.strict", "why": why.detail });
    let named = why
        .headers
        .into_iter()
        .filter(|(name, _)| *name == header::RETRY_AFTER);
    let mut error = ApiError::unavailable(message, detail, RETRY_AFTER);
    for retry_after in named {
        error.headers = vec![retry_after];
    }
    error.cause = why.cause;
    error
}

/// 404 if nobody was asked, or whoever was asked said so; whatever else was said is not a 404.
fn unknown(code: ErrorCode, what: &str, asked: Option<Asked>) -> ApiError {
    match asked {
        None => ApiError::not_found(code, format!("{what} is not known to this registry")),
        Some(asked) => match &asked.error.fault {
            Fault::NotFound(said) => {
                let host = &asked.error.host;
                let message = format!(
                    "{what} is not known: {host} {}{}",
                    words::said(*said),
                    words::ago(asked.ago)
                );
                ApiError {
                    detail: Some(words::detail(&asked.error)),
                    ..ApiError::not_found(code, message)
                }
            }
            Fault::CredentialsRefused { .. }
            | Fault::RateLimited { .. }
            | Fault::Unavailable { .. }
            | Fault::Status(_)
            | Fault::Unreachable { .. }
            | Fault::Invalid(_) => refused(&asked),
        },
    }
}

/// Nothing cached, and the upstream did not do its part.
fn refused(
    Asked {
        error,
        ago: asked_ago,
    }: &Asked,
) -> ApiError {
    let UpstreamError { host, fault } = error;
    let ago = words::ago(*asked_ago);
    let detail = words::detail(error);
    match fault {
        Fault::NotFound(said) => {
            let message = format!("not known: {host} {}{ago}", words::said(*said));
            ApiError {
                detail: Some(detail),
                ..ApiError::not_found(ErrorCode::NameUnknown, message)
            }
        }
        Fault::CredentialsRefused { status } => {
            let message = format!("{host} refused this cache's credentials ({status}){ago}");
            ApiError {
                detail: Some(detail),
                ..ApiError::new(StatusCode::FORBIDDEN, ErrorCode::Denied, message)
            }
        }
        Fault::RateLimited { retry_after } => {
            let message = format!("{host} answered 429: too many requests from this cache{ago}");
            let left = retry_after.map(|wait| wait.saturating_sub(*asked_ago));
            ApiError::unavailable(message, detail, left.unwrap_or(RETRY_AFTER))
        }
        Fault::Unavailable { retry_after } => {
            let message = format!("{host} answered 503 and when to ask again{ago}");
            ApiError::unavailable(message, detail, retry_after.saturating_sub(*asked_ago))
        }
        Fault::Status(508) => {
            let message = format!(
                "{host} answered 508{ago}: it was asked its own question, because proxy.remoteurl, here or there, leads back to it"
            );
            ApiError::unavailable(message, detail, RETRY_AFTER)
        }
        Fault::Status(status) => ApiError::unavailable(
            format!("{host} answered {status}{ago}"),
            detail,
            RETRY_AFTER,
        ),
        Fault::Unreachable { link, detail: said } => {
            let what = words::link(*link);
            let said = if said == what { "" } else { said };
            let message = format!(
                "{host} could not be reached: {what}{}{ago}",
                words::in_brackets(said)
            );
            ApiError::unavailable(message, detail, RETRY_AFTER)
        }
        Fault::Invalid(what) => ApiError::unavailable(
            format!("{host} sent an answer that cannot be used: {what}{ago}"),
            detail,
            RETRY_AFTER,
        ),
    }
}
