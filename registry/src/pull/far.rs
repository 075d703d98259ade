//! Small reads far ahead of a running download: a lazy puller's table of contents at the end of a large layer (law 9).

use std::time::Duration;

use cistern_oci::{ByteRange, RangeRequest};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::blobs::Request;
use super::body::BlobBody;
use super::downloads::{AheadPermit, Running};
use super::{OpenedBlob, Parts, Want, pass_through};
use crate::metrics::PassedThrough;

/// A read this small may be fetched by itself.
const SMALL: u64 = 1024 * 1024;
/// What begins this near will be here soon enough.
const NEAR: u64 = 4 * 1024 * 1024;
/// How long an upstream may take to begin; after that the running download is waited for as for any other range.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the range by a request of its own, if it is one of those and there is leave for it.
pub(super) async fn open(
    parts: &Parts,
    request: Request<'_>,
    part: ByteRange,
    size: u64,
    running: &Running,
) -> Option<OpenedBlob> {
    let is_open = matches!(
        request.want,
        Want::Part(RangeRequest::FromTo { last: None, .. })
    );
    let is_near = part.first <= running.blob.readable().saturating_add(NEAR);
    let is_away = running.crowd.waits().is_some();
    if is_open || is_near || is_away || part.length() > SMALL {
        return None;
    }
    let permit = running.ahead.take(part.length(), size)?;
    let opening = pass_through::open_exactly(parts, request, part, size);
    let opened = timeout(PATIENCE, opening).await.ok()??;
    parts.metrics.passed_through.count(PassedThrough::FarRange);
    Some(keep_until_read(opened, permit))
}

/// The permit is given back when the body was read or dropped.
fn keep_until_read(opened: OpenedBlob, permit: AheadPermit) -> OpenedBlob {
    let body = opened.body.map(|body| {
        let held = body.map(move |piece| {
            let _held = &permit;
            piece
        });
        BlobBody::Passing(held.boxed())
    });
    OpenedBlob { body, ..opened }
}
