//! Pushes of blobs: `POST /v2/<name>/blobs/uploads/`, then `PATCH`, `PUT`, `GET` and `DELETE` of what its `Location` names
//! (distribution-spec, end-4 to end-6, end-11, end-13, end-14).

use cistern_oci::{Algorithm, Digest, RepositoryName, UploadId};
use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;

use super::super::Http;
use super::super::error::ApiError;
use super::super::request::{chunk_place, content_length, parameter};
use super::super::request_body::RequestBody;
use super::super::response::{self, Answer};
use crate::push::{Chunk, PushError};
use crate::repositories::Hosted;

/// Begins a push; or does all of it at once, when a blob is to be mounted or its bytes come along.
pub(super) async fn begin(
    http: &Http,
    head: &Parts,
    body: Incoming,
    to: &Hosted,
) -> Result<Answer, ApiError> {
    if let Some(digest) = digest(head, "mount")? {
        let from = from(http, head)?;
        if http.push.mount(to, &digest, from.as_ref()).await? {
            return Ok(kept(to, &digest));
        }
        return session(http, to, digest.algorithm()).await;
    }
    if let Some(digest) = digest(head, "digest")? {
        let id = http.push.begin(to, digest.algorithm()).await?;
        let chunk = Chunk {
            body: RequestBody::new(body),
            place: None,
        };
        if let Err(error) = http.push.finish(to, &id, chunk, &digest).await {
            // Nobody knows its name: it could only lie there until it expires.
            let _ = http.push.cancel(to, &id).await;
            return Err(error.into());
        }
        return Ok(kept(to, &digest));
    }
    session(http, to, algorithm(head)?).await
}

async fn session(http: &Http, to: &Hosted, algorithm: Algorithm) -> Result<Answer, ApiError> {
    let id = http.push.begin(to, algorithm).await?;
    Ok(response::upload(StatusCode::ACCEPTED, &to.name, &id, 0))
}

/// Takes further bytes.
pub(super) async fn append(
    http: &Http,
    head: &Parts,
    body: Incoming,
    to: &Hosted,
    id: &UploadId,
) -> Result<Answer, ApiError> {
    let chunk = chunk(head, body)?;
    let received = http
        .push
        .append(to, id, chunk)
        .await
        .map_err(|error| refusal(error, to, id))?;
    Ok(response::upload(
        StatusCode::ACCEPTED,
        &to.name,
        id,
        received,
    ))
}

/// Takes the last bytes, if there are some, and makes a blob of it.
pub(super) async fn finish(
    http: &Http,
    head: &Parts,
    body: Incoming,
    to: &Hosted,
    id: &UploadId,
) -> Result<Answer, ApiError> {
    let digest = digest(head, "digest")?.ok_or_else(ApiError::digest_missing)?;
    let chunk = chunk(head, body)?;
    http.push
        .finish(to, id, chunk, &digest)
        .await
        .map_err(|error| refusal(error, to, id))?;
    Ok(kept(to, &digest))
}

/// How much of a push is here.
pub(super) async fn status(http: &Http, to: &Hosted, id: &UploadId) -> Result<Answer, ApiError> {
    let received = http.push.received(to, id).await?;
    Ok(response::upload(
        StatusCode::NO_CONTENT,
        &to.name,
        id,
        received,
    ))
}

/// Gives a push up.
pub(super) async fn cancel(http: &Http, to: &Hosted, id: &UploadId) -> Result<Answer, ApiError> {
    http.push.cancel(to, id).await?;
    Ok(response::cancelled())
}

fn kept(to: &Hosted, digest: &Digest) -> Answer {
    response::created(&format!("/v2/{}/blobs/{digest}", to.name), digest)
}

/// Bytes out of order are told where the push goes on.
fn refusal(error: PushError, to: &Hosted, id: &UploadId) -> ApiError {
    let received = match &error {
        PushError::OutOfOrder { received } => Some(*received),
        _ => None,
    };
    let mut refusal = ApiError::from(error);
    if let Some(received) = received {
        let headers = response::upload_headers(&to.name, id, received);
        refusal.headers.extend(headers);
    }
    refusal
}

fn chunk(head: &Parts, body: Incoming) -> Result<Chunk<RequestBody>, ApiError> {
    // An empty last request may name the place behind the end in ways that are no range; it brings nothing to be placed.
    let place = if content_length(&head.headers) == Some(0) {
        None
    } else {
        chunk_place(&head.headers)?
    };
    Ok(Chunk {
        body: RequestBody::new(body),
        place,
    })
}

fn digest(head: &Parts, name: &str) -> Result<Option<Digest>, ApiError> {
    parameter(head, name)
        .map(|text| text.parse())
        .transpose()
        .map_err(|error| ApiError::bad_digest(&error))
}

fn algorithm(head: &Parts) -> Result<Algorithm, ApiError> {
    parameter(head, "digest-algorithm").map_or(Ok(Algorithm::Sha256), |text| {
        text.parse().map_err(|error| ApiError::bad_digest(&error))
    })
}

/// The repository that holds what is to be mounted, by its name in the store.
fn from(http: &Http, head: &Parts) -> Result<Option<RepositoryName>, ApiError> {
    let Some(text) = parameter(head, "from") else {
        return Ok(None);
    };
    let name: RepositoryName = text.parse().map_err(|error| ApiError::bad_name(&error))?;
    let repository = http.repositories.find(&name, None, None)?;
    Ok(Some(repository.name().clone()))
}
