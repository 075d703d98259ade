//! The body of one answer, piece by piece, for as long as it is worth waiting for.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, Interval, interval_at};

use super::Download;
use super::course::{stopping, yielding};
use super::receive::Stop;
use crate::repositories::Mirror;
use crate::upstream::{Fault, LinkFault, Priority, UpstreamBody, UpstreamError};

/// After the link was down and is back, a body that was silent for longer than this is not waited for.
const QUIET: Duration = Duration::from_secs(2);

/// How often it is looked whether it is worth going on with.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A body that brings less than this in a minute crawls: its connection is ill, or somebody wants to keep a slot busy. A new one
/// goes on where it is left, so that nothing is lost by it.
const CRAWL: u64 = 8 * 1024;
const MINUTE: Duration = Duration::from_mins(1);

/// How much came in the running minute.
struct Minute {
    began: Instant,
    bytes: u64,
}

impl Minute {
    fn begin() -> Self {
        Self {
            began: Instant::now(),
            bytes: 0,
        }
    }

    /// Takes note of bytes.
    fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Whether a minute is over in which next to nothing came.
    fn crawls(&mut self) -> bool {
        if self.began.elapsed() < MINUTE {
            return false;
        }
        let crawls = self.bytes < CRAWL;
        *self = Self::begin();
        crawls
    }
}

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
    minute: Minute,
    /// When to look again.
    looks: Interval,
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
            minute: Minute::begin(),
            looks: interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY),
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
                // First, since a body that always has something would let nothing else be looked at.
                _ = self.looks.tick() => self.look()?,
                piece = self.body.next() => break piece,
                () = &mut self.over => return Err(Stop::End(stopping())),
                () = once(&mut self.joined) => {
                    self.joined = None;
                    self.body.set_priority(Priority::Interactive);
                }
                () = &mut self.returned => {
                    if self.heard.elapsed() > QUIET && !self.body.holds_bytes() {
                        // The link was down and is back.
                        return Err(Stop::Upstream(self.dead(
                            "nothing came any more on a connection from before the link was lost",
                        )));
                    }
                    self.returned = Self::returned(self.download, self.mirror);
                }
            }
        };
        self.heard = Instant::now();
        if let Some(Ok(piece)) = &piece {
            self.minute.came(piece.len());
        }
        piece.transpose().map_err(|error| {
            self.note(&error);
            Stop::Upstream(error)
        })
    }

    /// Whether it is worth going on with: not if it crawls. Whoever left may come again, so it goes on without callers; but behind
    /// those that wait, for the link and for a slot.
    fn look(&mut self) -> Result<(), Stop> {
        // Bytes that wait for their share of the link have come already.
        if self.minute.crawls() && !self.body.holds_bytes() {
            return Err(Stop::Upstream(
                self.dead("less than 8 KiB came in a minute"),
            ));
        }
        if self.download.crowd.present() > 0 {
            return Ok(());
        }
        if self.download.parts.slots.are_wanted() {
            return Err(Stop::End(yielding()));
        }
        if self.joined.is_none() {
            self.body.set_priority(Priority::Warm);
            self.joined = Some(Box::pin(self.download.crowd.joined()));
        }
        Ok(())
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

    /// On this connection nothing is waited for any more.
    fn dead(&self, why: &str) -> UpstreamError {
        UpstreamError {
            host: self.mirror.upstream.host().into(),
            fault: Fault::Unreachable {
                link: LinkFault::Timeout,
                detail: why.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_brings_next_to_nothing_for_a_minute_crawls_and_a_slow_one_does_not() {
        let second = Duration::from_secs(1);
        let mut slow = Minute::begin();
        let mut crawling = Minute::begin();
        let mut found = None;
        for passed in 1..=180 {
            tokio::time::advance(second).await;
            slow.came(200);
            crawling.came(1);
            assert!(!slow.crawls(), "after {passed} s");
            if crawling.crawls() {
                found.get_or_insert(passed);
            }
        }
        assert_eq!(found, Some(60));
    }
}
