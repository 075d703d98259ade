//! Pushes of blobs, request by request. One request at a time has the turn; what came before a body broke stays.

use std::time::Duration;

use cistern_oci::{Digest, UploadId};
use cistern_storage::{Turn, Upload};
use tokio::time::{Instant, sleep};

use super::{Chunk, Parts, PushBody, PushError, body};
use crate::metrics::Pushed;
use crate::repositories::Hosted;

/// How long the turn is waited for: a client that lost its connection comes back before the old request has noticed.
const TURN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
    let taken = take(&mut upload, chunk).await;
    let received = upload.pause().await?;
    taken.map(|came| {
        parts.metrics.pushed_bytes.inc_by(came);
        received
    })
}

pub(super) async fn finish<B: PushBody>(
    parts: &Parts,
    to: &Hosted,
    id: &UploadId,
    chunk: Chunk<B>,
    digest: &Digest,
) -> Result<(), PushError> {
    let mut upload = turn(parts, to, id).await?;
    match take(&mut upload, chunk).await {
        Ok(came) => parts.metrics.pushed_bytes.inc_by(came),
        Err(error) => {
            upload.pause().await?;
            return Err(error);
        }
    };
    upload.commit(digest).await?;
    parts.metrics.pushed.count(Pushed::Blob);
    Ok(())
}

/// Takes the bytes of one request: how many came. Not one more than their place has room for.
async fn take<B: PushBody>(upload: &mut Upload, chunk: Chunk<B>) -> Result<u64, PushError> {
    let Chunk { mut body, place } = chunk;
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
        upload.append(bytes).await?;
    }
    match announced {
        Some(announced) if came != announced => Err(PushError::WrongLength { announced, came }),
        _ => Ok(came),
    }
}
