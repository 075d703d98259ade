//! Manifests: `GET`, `HEAD`, `PUT` and `DELETE /v2/<name>/manifests/<reference>`. The first two find the same; only the body is left
//! out of one.
//!
//! The caller's `Accept` is not looked at: many send none, and one tag means one digest for all of them.

use cistern_oci::{Reference, Tag};
use http::request::Parts;
use http::{HeaderValue, Method, header};
use hyper::body::Incoming;

use super::super::Http;
use super::super::error::ApiError;
use super::super::request::{content_length, has_already, parameters};
use super::super::request_body::RequestBody;
use super::super::response::{self, Answer};
use crate::push::SentManifest;
use crate::repositories::{Hosted, Repository};

/// The most tags that one request may give.
const MOST_TAGS: usize = 100;

/// The manifest that a tag or a digest means.
pub(super) async fn find(
    http: &Http,
    head: &Parts,
    repository: &Repository,
    reference: &Reference,
) -> Result<Answer, ApiError> {
    let found = http.pull.manifest(repository, reference).await?;
    if head.method == Method::GET {
        http.pull.note_served(repository, &found.manifest);
    }
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

/// Takes a manifest, and gives it the tags of the query too (distribution-spec, end-7b).
pub(super) async fn put(
    http: &Http,
    head: &Parts,
    body: Incoming,
    to: &Hosted,
    reference: &Reference,
) -> Result<Answer, ApiError> {
    let tags = tags(head)?;
    let sent = SentManifest {
        reference: reference.clone(),
        tags: tags.clone(),
        content_type: head
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        length: content_length(&head.headers),
        body: RequestBody::new(body),
    };
    let kept = http.push.put_manifest(to, sent).await?;
    let path = format!("/v2/{}/manifests/{}", to.name, kept.digest);
    let mut answer = response::created(&path, &kept.digest);
    if let Some(subject) = kept
        .subject
        .and_then(|digest| response::text(&digest.to_string()))
    {
        answer = answer.with(response::SUBJECT, subject);
    }
    for tag in &tags {
        let tag =
            HeaderValue::from_str(tag.as_str()).map_err(|error| ApiError::internal(&error))?;
        answer.response.headers_mut().append(response::TAG, tag);
    }
    Ok(answer)
}

fn tags(head: &Parts) -> Result<Vec<Tag>, ApiError> {
    let tags: Vec<Tag> = parameters(head, "tag")
        .map(|text| text.parse::<Tag>())
        .collect::<Result<_, _>>()
        .map_err(|error| ApiError::bad_tag(&error))?;
    if tags.len() > MOST_TAGS {
        return Err(ApiError::too_many_tags(tags.len(), MOST_TAGS));
    }
    Ok(tags)
}

/// Removes a tag, or a manifest with all its tags.
pub(super) async fn delete(
    http: &Http,
    of: &Hosted,
    reference: &Reference,
) -> Result<Answer, ApiError> {
    http.push.delete_manifest(of, reference).await?;
    Ok(response::deleted())
}
