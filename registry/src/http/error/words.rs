//! The words of the error table: faults of upstreams and links, for people and for programs.

use std::time::Duration;

use cistern_oci::{ErrorCode, ReferenceError};
use serde_json::{Value, json};

use crate::upstream::{Fault, LinkFault, Said, UpstreamError};

/// How an upstream said "not found".
pub(super) fn said(said: Said) -> String {
    match said {
        Said::NotFound => "answered 404".to_owned(),
        Said::RefusedThoughTokenGranted(status) => {
            format!(
                "answered {status} although it had granted a token, which is its way to say that it does not exist"
            )
        }
        Said::TokenRefusedWithoutCredentials(status) => {
            format!(
                "answered {status} to this cache, which has no credentials for it: it does not exist, or is private"
            )
        }
    }
}

/// What a fault of the link is called.
pub(super) fn link(fault: LinkFault) -> &'static str {
    match fault {
        LinkFault::Dns => "its name cannot be resolved",
        LinkFault::Connect => "no connection",
        LinkFault::Tls => "TLS failed",
        LinkFault::Timeout => "no answer in time",
        LinkFault::Closed => "the connection was lost",
    }
}

/// The same for programs: who, and one word.
pub(super) fn detail(error: &UpstreamError) -> Value {
    let upstream = &*error.host;
    match &error.fault {
        Fault::NotFound(Said::NotFound) => {
            json!({ "upstream": upstream, "cause": "not_found", "status": 404 })
        }
        Fault::NotFound(
            Said::RefusedThoughTokenGranted(status) | Said::TokenRefusedWithoutCredentials(status),
        ) => {
            json!({ "upstream": upstream, "cause": "not_found", "status": status })
        }
        Fault::CredentialsRefused { status } => {
            json!({ "upstream": upstream, "cause": "credentials", "status": status })
        }
        Fault::RateLimited { .. } => {
            json!({ "upstream": upstream, "cause": "rate_limited", "status": 429 })
        }
        Fault::Unavailable { .. } => {
            json!({ "upstream": upstream, "cause": "status", "status": 503 })
        }
        Fault::Status(status) => {
            json!({ "upstream": upstream, "cause": "status", "status": status })
        }
        Fault::Unreachable { link, .. } => json!({ "upstream": upstream, "cause": link.as_str() }),
        Fault::Invalid(_) => json!({ "upstream": upstream, "cause": "invalid" }),
    }
}

/// `, 3 s ago`, or nothing for an answer of this moment.
pub(super) fn ago(ago: Duration) -> String {
    match ago.as_secs() {
        0 => String::new(),
        seconds => format!(", {seconds} s ago"),
    }
}

/// ` (what was said)`, or nothing.
pub(super) fn in_brackets(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}

/// A manifest is named by a tag or a digest, and each has a code.
pub(super) fn reference_code(error: &ReferenceError) -> ErrorCode {
    match error {
        ReferenceError::Digest(_) => ErrorCode::DigestInvalid,
        ReferenceError::Tag(_) => ErrorCode::TagInvalid,
    }
}
