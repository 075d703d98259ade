//! Pushes of blobs, request by request. One request at a time has the turn; what came before a body broke stays.

use std::time::Duration;

use cistern_oci::{Digest, UploadId};
use cistern_storage::{Turn, Upload};
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::{Instant, sleep};

use super::{Chunk, Parts, PushBody, PushError, body};
use crate::metrics::Metrics;
use crate::repositories::Hosted;

/// How long the turn is waited for: a client that lost its connection comes back before the old request has noticed.
const TURN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Takes the turn on a push.
pub(super) async fn turn(parts: &Parts, of: &Hosted, id: &UploadId) -> Result<Upload, PushError> {
    let until = Instant::now() + TURN;
    loop {
        match parts.storage.uploads().open(&of.name, id).await? {
            Turn::Yours(upload) => return Ok(upload),
            Turn::Unknown => return Err(PushError::UploadUnknown(id.clone())),
            Turn::Taken if Instant::now() >= until => return Err(PushError::UploadTaken),
            Turn::Taken => sleep(LOOK_EVERY).await,
        }
    }
}

pub(super) async fn append<B: PushBody>(
    parts: &Parts,
    to: &Hosted,
    id: &UploadId,
    chunk: Chunk<B>,
) -> Result<u64, PushError> {
    let mut upload = turn(parts, to, id).await?;
    let taken = take(&parts.metrics, &mut upload, chunk).await;
    keep(parts, to, upload, taken).await
}

pub(super) async fn finish<B: PushBody>(
    parts: &Parts,
    to: &Hosted,
    id: &UploadId,
    chunk: Chunk<B>,
    digest: &Digest,
) -> Result<(), PushError> {
    let mut upload = match turn(parts, to, id).await {
        // A client that lost the answer asks again: what it wants is done.
        Err(PushError::UploadUnknown(_)) if is_kept(parts, to, digest).await? => return Ok(()),
        turn => turn?,
    };
    let taken = take(&parts.metrics, &mut upload, chunk).await;
    if taken.is_err() {
        return keep(parts, to, upload, taken).await.map(drop);
    }
    let id = upload.id().clone();
    match upload.commit(digest).await.map_err(PushError::from) {
        Err(PushError::Full) => {
            give_up(parts, to, &id).await;
            Err(PushError::Full)
        }
        committed => committed.map(drop),
    }
}

/// Whether the repository holds this blob, and the store its bytes.
pub(super) async fn is_kept(
    parts: &Parts,
    to: &Hosted,
    digest: &Digest,
) -> Result<bool, PushError> {
    let is_linked = parts
        .storage
        .repositories()
        .holds_blob(&to.name, digest)
        .await?;
    Ok(is_linked && parts.storage.blobs().size(digest).await?.is_some())
}

/// Ends a turn after which the push goes on, unless there is no room for it; how many bytes are here.
async fn keep(
    parts: &Parts,
    to: &Hosted,
    upload: Upload,
    taken: Result<(), PushError>,
) -> Result<u64, PushError> {
    let id = upload.id().clone();
    let paused = if matches!(taken, Err(PushError::Full)) {
        drop(upload);
        Err(PushError::Full)
    } else {
        let paused = upload.pause().await.map_err(PushError::from);
        taken.and(paused)
    };
    if matches!(paused, Err(PushError::Full)) {
        give_up(parts, to, &id).await;
    }
    paused
}

/// Ends a push for want of room: what is here of it would keep smaller ones out until it expires.
async fn give_up(parts: &Parts, of: &Hosted, id: &UploadId) {
    tracing::warn!(repository = %of.name, "a push is given up: the disk is full or below its reserve");
    if let Ok(upload) = turn(parts, of, id).await {
        let _ = upload.cancel().await;
    }
}

/// Takes the bytes of one request, and not a piece that goes beyond their place.
async fn take<B: PushBody>(
    metrics: &Metrics,
    upload: &mut Upload,
    chunk: Chunk<B>,
) -> Result<(), PushError> {
    let Chunk { mut body, place } = chunk;
    let _open = Open::new(&metrics.uploads_open);
    let announced = match place {
        None => None,
        Some((first, last)) => {
            let received = upload.received();
            if first != received {
                return Err(PushError::OutOfOrder { received });
            }
            Some((last - first).saturating_add(1))
        }
    };
    let mut came: u64 = 0;
    while let Some(bytes) = body::next(&mut body).await? {
        came = came.saturating_add(bytes.len() as u64);
        if let Some(announced) = announced.filter(|announced| came > *announced) {
            return Err(PushError::WrongLength { announced, came });
        }
        metrics.pushed_bytes.inc_by(bytes.len() as u64);
        upload.append(bytes).await?;
    }
    match announced {
        Some(announced) if came != announced => Err(PushError::WrongLength { announced, came }),
        _ => Ok(()),
    }
}

/// A request that brings bytes, counted until it is dropped.
struct Open(Gauge);

// === impl Open ===

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
