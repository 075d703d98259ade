//! A blob that the store cannot take is handed from the upstream to the caller, verified on the way and not kept.

use bytes::{Bytes, BytesMut};
use cistern_oci::{ByteRange, Digest, Hasher};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};

use super::blobs::{Request, blob_error, part_of};
use super::body::{BlobBody, BodyBroke};
use super::{Asked, OpenedBlob, Parts, PullError, Served, Want};
use crate::metrics::UpstreamKind;
use crate::upstream::{BlobAnswer, Part, UpstreamError};

/// The last piece is held back until everything before it is verified (law 8).
const LAST_PIECE: usize = 64 * 1024;

/// Opens a blob at the upstream for one caller.
pub(super) async fn open(parts: &Parts, request: Request<'_>) -> Result<OpenedBlob, PullError> {
    let digest = request.digest;
    if let Want::Part(range) = request.want {
        // The whole is not sent for when a part of it is wanted.
        let size = match request.named {
            Some(size) => Ok(size),
            None => told_size(parts, request).await,
        };
        match size.map(|size| (size, range.within(size))) {
            Ok((size, Ok(part))) => return open_part(parts, request, part, size).await,
            Ok((size, Err(_))) => return Err(PullError::RangeNotSatisfiable { size }),
            // It may still tell with its answer to a GET.
            Err(PullError::StillFetching) => {}
            Err(error) => return Err(error),
        }
    }
    let answer = get(parts, request, Part::Whole).await?;
    let size = match answer.size.or(request.named) {
        Some(size) => size,
        None => told_size(parts, request).await?,
    };
    let Some(part) = part_of(request.want, size)? else {
        let body = verified(answer.body, digest, size);
        return Ok(OpenedBlob {
            digest,
            size,
            part: None,
            body: Some(BlobBody::Passing(body)),
            served: Served::Miss,
        });
    };
    drop(answer.body);
    open_part(parts, request, part, size).await
}

/// A body without a length cannot be announced to the caller; a HEAD may tell it.
async fn told_size(parts: &Parts, request: Request<'_>) -> Result<u64, PullError> {
    let Request { mirror, digest, .. } = request;
    let head = mirror.upstream.head_blob(&mirror.name_there, &digest).await;
    let head = parts.counted(UpstreamKind::BlobHead, mirror.upstream.host(), head);
    let head = head.map_err(|error| blob_error(digest, Asked::now(error)))?;
    head.size.ok_or(PullError::StillFetching)
}

/// Opens one part of a blob at the upstream. Nothing can verify it; the client's own digest check must.
async fn open_part(
    parts: &Parts,
    request: Request<'_>,
    part: ByteRange,
    size: u64,
) -> Result<OpenedBlob, PullError> {
    let answer = get(parts, request, Part::Range(part)).await?;
    Ok(opened_part(answer, request.digest, part, size))
}

/// Opens one part of a blob at an upstream that sends this part and no more: what comes before it is not fetched twice.
pub(super) async fn open_exactly(
    parts: &Parts,
    request: Request<'_>,
    part: ByteRange,
    size: u64,
) -> Option<OpenedBlob> {
    let answer = get(parts, request, Part::Range(part)).await.ok()?;
    (answer.first == part.first).then(|| opened_part(answer, request.digest, part, size))
}

fn opened_part(answer: BlobAnswer, digest: Digest, part: ByteRange, size: u64) -> OpenedBlob {
    let skip = part.first.saturating_sub(answer.first);
    let body = window(answer.body, skip, part.length());
    OpenedBlob {
        digest,
        size,
        part: Some(part),
        body: Some(BlobBody::Passing(body)),
        served: Served::Miss,
    }
}

async fn get(parts: &Parts, request: Request<'_>, part: Part) -> Result<BlobAnswer, PullError> {
    let Request { mirror, digest, .. } = request;
    let asked = mirror
        .upstream
        .get_blob(&mirror.name_there, &digest, part)
        .await;
    let answer = parts.counted(UpstreamKind::BlobGet, mirror.upstream.host(), asked);
    answer.map_err(|error| blob_error(digest, Asked::now(error)))
}

/// Bytes `skip..skip + length` of a stream; an error when it ends before that.
fn window<S>(body: S, skip: u64, length: u64) -> BoxStream<'static, Result<Bytes, BodyBroke>>
where
    S: Stream<Item = Result<Bytes, UpstreamError>> + Send + Unpin + 'static,
{
    let state = (body, skip, length);
    stream::try_unfold(state, |(mut body, mut skip, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        loop {
            let Some(piece) = body.next().await else {
                return Err(BodyBroke("the upstream's answer ended early".to_owned()));
            };
            let mut piece = piece.map_err(|error| BodyBroke(error.to_string()))?;
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            let _ = piece.split_to(skipped);
            skip -= skipped as u64;
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            if !piece.is_empty() {
                let left = left - piece.len() as u64;
                return Ok(Some((piece, (body, skip, left))));
            }
        }
    })
    .boxed()
}

struct Verifying<S> {
    body: S,
    hasher: Hasher,
    held: BytesMut,
    digest: Digest,
    left: u64,
    ended: bool,
}

/// The whole blob, its last piece only after digest and length are verified.
fn verified<S>(body: S, digest: Digest, size: u64) -> BoxStream<'static, Result<Bytes, BodyBroke>>
where
    S: Stream<Item = Result<Bytes, UpstreamError>> + Send + Unpin + 'static,
{
    let hasher = Hasher::new(digest.algorithm());
    let state = Verifying {
        body,
        hasher,
        held: BytesMut::new(),
        digest,
        left: size,
        ended: false,
    };
    stream::try_unfold(state, |mut state| async move {
        while !state.ended {
            match state.body.next().await {
                Some(Err(error)) => return Err(BodyBroke(error.to_string())),
                Some(Ok(piece)) => {
                    state.hasher.update(&piece);
                    state.held.extend_from_slice(&piece);
                    state.left = match state.left.checked_sub(piece.len() as u64) {
                        Some(left) => left,
                        None => {
                            return Err(BodyBroke(
                                "the upstream sent more than it announced".to_owned(),
                            ));
                        }
                    };
                    if state.held.len() > LAST_PIECE {
                        let released = state.held.split_to(state.held.len() - LAST_PIECE).freeze();
                        return Ok(Some((released, state)));
                    }
                }
                None => {
                    if state.left > 0 || state.hasher.clone().finish() != state.digest {
                        return Err(BodyBroke(format!(
                            "the upstream's bytes are not {}",
                            state.digest
                        )));
                    }
                    state.ended = true;
                }
            }
        }
        let rest = state.held.split().freeze();
        Ok((!rest.is_empty()).then_some((rest, state)))
    })
    .boxed()
}
