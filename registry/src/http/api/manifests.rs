//! Manifests: `GET` and `HEAD /v2/<name>/manifests/<reference>`. Both find the same; only the body is left out of one.
//!
//! The caller's `Accept` is not looked at: many send none, and one tag means one digest for all of them.

use cistern_oci::Reference;
use http::request::Parts;

use super::super::Http;
use super::super::error::ApiError;
use super::super::request::has_already;
use super::super::response::{self, Answer};
use crate::repositories::Repository;

/// The manifest that a tag or a digest means.
pub(super) async fn find(
    http: &Http,
    head: &Parts,
    repository: &Repository,
    reference: &Reference,
) -> Result<Answer, ApiError> {
    let found = http.pull.manifest(repository, reference).await?;
    let answer = response::manifest(found, reference, &head.method);
    let has_already = answer
        .digest
        .is_some_and(|digest| has_already(&head.headers, &digest));
    Ok(if has_already {
        response::not_modified(answer)
    } else {
        answer
    })
}
