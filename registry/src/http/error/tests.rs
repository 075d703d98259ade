use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use cistern_oci::{Algorithm, Digest, Reference};
use cistern_storage::StorageError;

use super::ApiError;
use crate::pull::{Asked, PullError};
use crate::upstream::{Fault, LinkFault, Said, UpstreamError};

fn asked(fault: Fault, seconds_ago: u64) -> Asked {
    Asked {
        error: UpstreamError {
            host: Arc::from("mcr.example"),
            fault,
        },
        ago: Duration::from_secs(seconds_ago),
    }
}

fn unreachable(link: LinkFault) -> Fault {
    Fault::Unreachable {
        link,
        detail: String::new(),
    }
}

/// What a caller sees of it, on one line: status, code, message; detail and headers if there are any.
fn seen(error: PullError) -> String {
    let error = ApiError::from(error);
    let mut line = format!(
        "{} {} {}",
        error.status.as_u16(),
        error.code,
        error.message_for("id-1")
    );
    if let Some(detail) = &error.detail {
        write!(line, " | {detail}").unwrap();
    }
    for (name, value) in &error.headers {
        write!(line, " | {name}: {}", value.to_str().unwrap()).unwrap();
    }
    line
}

fn check(cases: impl IntoIterator<Item = (PullError, &'static str)>) {
    for (error, expected) in cases {
        assert_eq!(seen(error), expected);
    }
}

#[test]
fn what_is_not_known_says_who_said_so_and_when() {
    let digest = Digest::of(Algorithm::Sha256, b"");
    let tag: Reference = "1.5".parse().unwrap();
    let not_found = |said, ago| Some(asked(Fault::NotFound(said), ago));
    check([
        (
            PullError::BlobUnknown(digest, None),
            "404 BLOB_UNKNOWN blob sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 is not known to this registry",
        ),
        (
            PullError::ManifestUnknown(tag.clone(), not_found(Said::NotFound, 3)),
            r#"404 MANIFEST_UNKNOWN manifest 1.5 is not known: mcr.example answered 404, 3 s ago | {"cause":"not_found","status":404,"upstream":"mcr.example"}"#,
        ),
        (
            PullError::ManifestUnknown(tag, not_found(Said::RefusedThoughTokenGranted(401), 0)),
            r#"404 MANIFEST_UNKNOWN manifest 1.5 is not known: mcr.example answered 401 although it had granted a token, which is its way to say that it does not exist | {"cause":"not_found","status":401,"upstream":"mcr.example"}"#,
        ),
        (
            PullError::NameUnknown(
                "team/app".to_owned(),
                not_found(Said::TokenRefusedWithoutCredentials(401), 0),
            ),
            r#"404 NAME_UNKNOWN repository team/app is not known: mcr.example answered 401 to this cache, which has no credentials for it: it does not exist, or is private | {"cause":"not_found","status":401,"upstream":"mcr.example"}"#,
        ),
        (
            PullError::RangeNotSatisfiable { size: 2048 },
            "416 RANGE_INVALID the range begins beyond the end of the blob, which has 2048 bytes | content-range: bytes */2048",
        ),
    ]);
}

#[test]
fn what_an_upstream_refused_says_what_it_said_and_when_to_come_back() {
    let upstream = |fault, ago| PullError::Upstream(asked(fault, ago));
    let slow = |retry_after| upstream(Fault::RateLimited { retry_after }, 0);
    check([
        (
            upstream(Fault::CredentialsRefused { status: 401 }, 0),
            r#"403 DENIED mcr.example refused this cache's credentials (401) | {"cause":"credentials","status":401,"upstream":"mcr.example"}"#,
        ),
        (
            slow(None),
            r#"503 UNAVAILABLE mcr.example answered 429: too many requests from this cache | {"cause":"rate_limited","status":429,"upstream":"mcr.example"} | retry-after: 5"#,
        ),
        (
            slow(Some(Duration::from_millis(12_300))),
            r#"503 UNAVAILABLE mcr.example answered 429: too many requests from this cache | {"cause":"rate_limited","status":429,"upstream":"mcr.example"} | retry-after: 13"#,
        ),
        (
            slow(Some(Duration::from_hours(6))),
            r#"503 UNAVAILABLE mcr.example answered 429: too many requests from this cache | {"cause":"rate_limited","status":429,"upstream":"mcr.example"} | retry-after: 300"#,
        ),
        (
            upstream(Fault::Status(502), 4),
            r#"503 UNAVAILABLE mcr.example answered 502, 4 s ago | {"cause":"status","status":502,"upstream":"mcr.example"} | retry-after: 5"#,
        ),
        (
            upstream(
                Fault::Invalid("a digest that its body does not have".to_owned()),
                0,
            ),
            r#"503 UNAVAILABLE mcr.example sent an answer that cannot be used: a digest that its body does not have | {"cause":"invalid","upstream":"mcr.example"} | retry-after: 5"#,
        ),
        (
            upstream(unreachable(LinkFault::Dns), 0),
            r#"503 UNAVAILABLE mcr.example could not be reached: its name cannot be resolved | {"cause":"dns","upstream":"mcr.example"} | retry-after: 5"#,
        ),
    ]);
}

#[test]
fn what_a_cache_above_cannot_give_says_when_to_come_back() {
    let upstream = |fault, ago| PullError::Upstream(asked(fault, ago));
    check([
        (
            upstream(
                Fault::Unavailable {
                    retry_after: Duration::from_secs(40),
                },
                0,
            ),
            r#"503 UNAVAILABLE mcr.example answered 503 and when to ask again | {"cause":"status","status":503,"upstream":"mcr.example"} | retry-after: 40"#,
        ),
        (
            upstream(
                Fault::Unavailable {
                    retry_after: Duration::from_secs(40),
                },
                4,
            ),
            r#"503 UNAVAILABLE mcr.example answered 503 and when to ask again, 4 s ago | {"cause":"status","status":503,"upstream":"mcr.example"} | retry-after: 36"#,
        ),
        (
            upstream(Fault::Status(508), 0),
            r#"503 UNAVAILABLE mcr.example answered 508: it was asked its own question, because proxy.remoteurl, here or there, leads back to it | {"cause":"status","status":508,"upstream":"mcr.example"} | retry-after: 5"#,
        ),
        (
            upstream(
                Fault::Unavailable {
                    retry_after: Duration::from_hours(6),
                },
                4,
            ),
            r#"503 UNAVAILABLE mcr.example answered 503 and when to ask again, 4 s ago | {"cause":"status","status":503,"upstream":"mcr.example"} | retry-after: 300"#,
        ),
    ]);
}

#[test]
fn a_strict_tag_that_could_not_be_confirmed_names_the_setting_and_the_reason() {
    let strict = |why| PullError::Strict("1.5".parse().unwrap(), Box::new(why));
    let upstream = |fault| strict(PullError::Upstream(asked(fault, 0)));
    let limited = Fault::RateLimited {
        retry_after: Some(Duration::from_secs(90)),
    };
    check([
        (
            upstream(limited),
            r#"503 UNAVAILABLE tag 1.5 is here but could not be confirmed, and proxy.strict forbids to serve it so: mcr.example answered 429: too many requests from this cache | {"cause":"strict","setting":"proxy.strict","why":{"cause":"rate_limited","status":429,"upstream":"mcr.example"}} | retry-after: 90"#,
        ),
        (
            upstream(Fault::CredentialsRefused { status: 401 }),
            r#"503 UNAVAILABLE tag 1.5 is here but could not be confirmed, and proxy.strict forbids to serve it so: mcr.example refused this cache's credentials (401) | {"cause":"strict","setting":"proxy.strict","why":{"cause":"credentials","status":401,"upstream":"mcr.example"}} | retry-after: 5"#,
        ),
    ]);
}

#[test]
fn what_failed_here_says_so() {
    let store = StorageError::Index("/var/lib/registry/cistern/index: no such tree".to_owned());
    check([
        (
            PullError::StillFetching,
            r#"503 UNAVAILABLE this cache is still fetching it: try again | {"cause":"fetching"} | retry-after: 5"#,
        ),
        (
            PullError::Interrupted,
            r#"503 UNAVAILABLE the work for this request was interrupted: try again | {"cause":"interrupted"} | retry-after: 5"#,
        ),
        (
            PullError::Storage(store),
            "500 UNKNOWN this cache failed; the log of this cache says more about request id-1",
        ),
    ]);
}

#[test]
fn a_fault_of_the_link_is_never_an_unknown_blob() {
    let digest = Digest::of(Algorithm::Sha256, b"");
    for (link, cause) in [
        (LinkFault::Dns, "dns"),
        (LinkFault::Connect, "connect"),
        (LinkFault::Tls, "tls"),
        (LinkFault::Timeout, "timeout"),
        (LinkFault::Closed, "closed"),
    ] {
        let asked = asked(
            Fault::Unreachable {
                link,
                detail: "said the system".to_owned(),
            },
            0,
        );
        let errors = [
            PullError::BlobUnknown(digest, Some(asked.clone())),
            PullError::Upstream(asked),
        ];
        for error in errors {
            let error = ApiError::from(error);
            assert_eq!(
                (error.status.as_u16(), error.code.as_str()),
                (503, "UNAVAILABLE")
            );
            assert_eq!(error.detail.unwrap()["cause"], cause);
            assert!(
                error.message.ends_with("(said the system)"),
                "{}",
                error.message
            );
        }
    }
}

#[test]
fn a_fault_of_the_store_is_told_to_the_log_and_not_to_the_caller() {
    let error = ApiError::from(PullError::Storage(StorageError::Index(
        "a path of ours".to_owned(),
    )));
    assert!(!error.message_for("id").contains("a path of ours"));
    assert_eq!(error.cause.as_deref(), Some("index: a path of ours"));
}
