//! Blobs: `GET`, `HEAD` and `DELETE /v2/<name>/blobs/<digest>`. A HEAD has its own way down: it never starts a download.

use cistern_oci::{Digest, RangeHeader};
use http::request::Parts;

use super::super::Http;
use super::super::error::ApiError;
use super::super::request::{has_already, range, range_still_holds};
use super::super::response::{self, Answer};
use crate::pull::Want;
use crate::repositories::{Hosted, Repository};

/// Whether there is such a blob, and how large it is.
pub(super) async fn head(
    http: &Http,
    head: &Parts,
    repository: &Repository,
    digest: Digest,
) -> Result<Answer, ApiError> {
    let answer = response::blob(http.pull.blob(repository, digest, Want::Head).await?);
    Ok(if has_already(&head.headers, &digest) {
        response::not_modified(answer)
    } else {
        answer
    })
}

/// The bytes, or a part of them.
pub(super) async fn get(
    http: &Http,
    head: &Parts,
    repository: &Repository,
    digest: Digest,
) -> Result<Answer, ApiError> {
    let headers = &head.headers;
    if has_already(headers, &digest) {
        return self::head(http, head, repository, digest).await;
    }
    let want = match RangeHeader::parse(range(headers)) {
        RangeHeader::Whole => Want::Whole,
        _ if !range_still_holds(headers, &digest) => Want::Whole,
        RangeHeader::One(range) => Want::Part(range),
        RangeHeader::Several(count) => return Err(ApiError::several_ranges(count)),
    };
    Ok(response::blob(
        http.pull.blob(repository, digest, want).await?,
    ))
}

/// Lets a hosted repository no longer hold a blob.
pub(super) async fn delete(http: &Http, of: &Hosted, digest: &Digest) -> Result<Answer, ApiError> {
    http.push.delete_blob(of, digest).await?;
    Ok(response::deleted())
}
