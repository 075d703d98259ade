//! The requests that failed of late, so that the person who is told "not found" finds which request that was and why. Bounded:
//! callers choose what they ask for.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cistern_oci::{Digest, Endpoint, Reference, RepositoryName, Resource};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use tokio::time::Instant;

/// So many are kept; the oldest goes first.
const MOST: usize = 1_000;
/// Among so many of the last ones the same failure is looked for.
const LOOK_BACK: usize = 50;
/// The most that is kept of a message.
const LONGEST_MESSAGE: usize = 600;

/// The ledger. Cheap while nothing fails: nobody touches it then.
#[derive(Clone, Default)]
pub struct Failures {
    kept: Arc<Mutex<VecDeque<Failure>>>,
}

/// A request that failed, and how often it did so in a row.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) what: Failed,
    pub(super) caller: Option<IpAddr>,
    /// The id of the last such request.
    pub(super) request_id: String,
    at: Instant,
    pub(super) times: u32,
}

/// What failed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) method: Method,
    pub(super) endpoint: Endpoint,
    /// The status that was sent. A success: the body ended short.
    pub(super) status: StatusCode,
    pub(super) message: String,
}

// === impl Failures ===

impl Failures {
    /// Writes down a failure. One that has just happened with the same words only counts, under its new request's id.
    pub(super) fn note(&self, mut what: Failed, caller: Option<IpAddr>, request_id: &str) {
        if what.message.chars().count() > LONGEST_MESSAGE {
            what.message = what.message.chars().take(LONGEST_MESSAGE).collect();
        }
        let mut failure = Failure {
            what,
            caller,
            request_id: request_id.to_owned(),
            at: Instant::now(),
            times: 1,
        };
        let mut kept = self.kept.lock();
        let mut last = kept.iter().rev().take(LOOK_BACK);
        if let Some(back) = last.position(|other| other.what == failure.what) {
            let place = kept.len() - 1 - back;
            if let Some(before) = kept.remove(place) {
                failure.times = before.times.saturating_add(1);
            }
        }
        if kept.len() >= MOST {
            kept.pop_front();
        }
        kept.push_back(failure);
    }

    /// The failures that concern an image, the newest first: requests of its repository for this reference, or for one of these
    /// digests, or for lists of it.
    pub(super) fn of(
        &self,
        repositories: &[&RepositoryName],
        reference: &Reference,
        digests: &[Digest],
    ) -> Vec<Failure> {
        let concerns = |endpoint: &Endpoint| {
            let is_meant = match &endpoint.resource {
                Resource::Manifest(asked) => {
                    asked == reference
                        || matches!(asked, Reference::Digest(digest) if digests.contains(digest))
                }
                Resource::Blob(digest) => digests.contains(digest),
                Resource::Tags
                | Resource::Referrers(_)
                | Resource::Uploads
                | Resource::Upload(_) => false,
            };
            is_meant && repositories.contains(&&endpoint.repository)
        };
        let kept = self.kept.lock();
        let found = kept.iter().rev();
        found
            .filter(|failure| concerns(&failure.what.endpoint))
            .cloned()
            .collect()
    }
}

// === impl Failure ===

impl Failure {
    /// How long ago the last one was.
    pub(super) fn ago(&self) -> Duration {
        self.at.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(path: &str, message: &str) -> Failed {
        Failed {
            method: Method::GET,
            endpoint: Endpoint::parse(path).unwrap(),
            status: StatusCode::NOT_FOUND,
            message: message.to_owned(),
        }
    }

    fn of(failures: &Failures, tag: &str) -> Vec<(String, u32)> {
        let repository: RepositoryName = "plant/app".parse().unwrap();
        let found = failures.of(&[&repository], &tag.parse().unwrap(), &[]);
        let told = found.into_iter();
        told.map(|failure| (failure.request_id, failure.times))
            .collect()
    }

    #[test]
    fn the_same_failure_again_is_counted_and_named_by_its_last_request() {
        let failures = Failures::default();
        let unknown = || failed("/v2/plant/app/manifests/v1", "not known");
        failures.note(unknown(), None, "one");
        failures.note(
            failed("/v2/plant/app/manifests/v2", "not known"),
            None,
            "two",
        );
        failures.note(unknown(), None, "three");
        failures.note(
            failed("/v2/plant/app/manifests/v1", "link down"),
            None,
            "four",
        );
        assert_eq!(
            of(&failures, "v1"),
            [("four".to_owned(), 1), ("three".to_owned(), 2)]
        );
        assert_eq!(of(&failures, "v2"), [("two".to_owned(), 1)]);
        assert_eq!(of(&failures, "v3"), []);
    }

    #[test]
    fn blobs_and_children_of_an_image_are_found_by_their_digests() {
        let failures = Failures::default();
        let digest = Digest::of(cistern_oci::Algorithm::Sha256, b"layer");
        failures.note(
            failed(&format!("/v2/plant/app/blobs/{digest}"), "x"),
            None,
            "blob",
        );
        failures.note(
            failed(&format!("/v2/plant/app/manifests/{digest}"), "x"),
            None,
            "child",
        );
        failures.note(
            failed(&format!("/v2/other/app/blobs/{digest}"), "x"),
            None,
            "another",
        );
        let repository: RepositoryName = "plant/app".parse().unwrap();
        let found = failures.of(&[&repository], &"v1".parse().unwrap(), &[digest]);
        let ids: Vec<_> = found.iter().map(|failure| &*failure.request_id).collect();
        assert_eq!(ids, ["child", "blob"]);
    }

    #[test]
    fn callers_who_ask_for_nonsense_do_not_fill_the_memory() {
        let failures = Failures::default();
        for number in 0..2 * MOST {
            let path = format!("/v2/plant/app/manifests/v{number}");
            failures.note(failed(&path, &"long".repeat(1_000)), None, "id");
        }
        let kept = failures.kept.lock();
        assert_eq!(kept.len(), MOST);
        assert!(
            kept.iter()
                .all(|failure| failure.what.message.len() <= LONGEST_MESSAGE)
        );
    }
}
