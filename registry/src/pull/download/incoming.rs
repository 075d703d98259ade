//! The body of one answer, piece by piece, for as long as it is worth waiting for.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::Download;
use super::course::stopping;
use super::receive::Stop;
use crate::repositories::Mirror;
use crate::upstream::{Fault, LinkFault, Priority, UpstreamBody, UpstreamError};

/// After the link was down and is back, a body that was silent for longer than this is not waited for.
const QUIET: Duration = Duration::from_secs(2);

/// A body on its way in.
pub(super) struct Incoming<'a> {
    download: &'a Download,
    mirror: &'a Mirror,
    body: UpstreamBody,
    /// Resolves when somebody waits for it; nothing while somebody does, or did.
    joined: Option<BoxFuture<'a, ()>>,
    over: BoxFuture<'a, ()>,
    /// Resolves when the link was lost and found since it was last looked at.
    returned: BoxFuture<'a, ()>,
    heard: Instant,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(download: &'a Download, mirror: &'a Mirror, mut body: UpstreamBody) -> Self {
        let is_ahead = download.crowd.served() == 0;
        if is_ahead {
            body.set_priority(Priority::Warm);
        }
        Self {
            joined: is_ahead.then(|| Box::pin(download.crowd.joined()) as BoxFuture<'a, ()>),
            over: Box::pin(download.over()),
            returned: Self::returned(download, mirror),
            heard: Instant::now(),
            download,
            mirror,
            body,
        }
    }

    fn returned(download: &'a Download, mirror: &'a Mirror) -> BoxFuture<'a, ()> {
        Box::pin(download.parts.links.returned(mirror.upstream.host()))
    }

    /// The next piece; nothing after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Stop> {
        let piece = loop {
            tokio::select! {
                biased;
                piece = self.body.next() => break piece,
                () = &mut self.over => return Err(Stop::End(stopping())),
                () = once(&mut self.joined) => {
                    self.joined = None;
                    self.body.set_priority(Priority::Interactive);
                }
                () = &mut self.returned => {
                    if self.heard.elapsed() > QUIET && !self.body.holds_bytes() {
                        return Err(Stop::Upstream(self.left_behind()));
                    }
                    self.returned = Self::returned(self.download, self.mirror);
                }
            }
        };
        self.heard = Instant::now();
        piece.transpose().map_err(|error| {
            self.note(&error);
            Stop::Upstream(error)
        })
    }

    /// Silence tells of the link; a body that is cut while the next one comes does not.
    fn note(&self, error: &UpstreamError) {
        let host = self.mirror.upstream.host();
        let is_silence = matches!(
            error.fault,
            Fault::Unreachable {
                link: LinkFault::Timeout,
                ..
            }
        );
        if is_silence && *error.host == *host {
            self.download.parts.links.note_error(host, error);
        }
    }

    /// The link was down and is back; on this connection nothing will come any more.
    fn left_behind(&self) -> UpstreamError {
        UpstreamError {
            host: self.mirror.upstream.host().into(),
            fault: Fault::Unreachable {
                link: LinkFault::Timeout,
                detail: "nothing came any more on a connection from before the link was lost"
                    .to_owned(),
            },
        }
    }
}

/// Resolves with a future that is there, and never without.
async fn once(future: &mut Option<BoxFuture<'_, ()>>) {
    match future {
        Some(future) => Pin::new(future).await,
        None => std::future::pending().await,
    }
}
