//! Asks for a sign of life while a link is not online, so that no caller has to find out; nobody is asked while it is.
//!
//! When the link is back, what was served meanwhile is asked about: see `revalidate`.

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::links::{LinkState, Links};
use super::{Parts, revalidate};
use crate::upstream::{Fault, LinkFault, Upstream, UpstreamError};

/// How long after a fault the first sign of life is asked for.
const FIRST: Duration = Duration::from_secs(1);
/// The longest pause between two of them.
const LONGEST: Duration = Duration::from_secs(30);
/// A link over which the smallest question takes longer is of no use: the check of a tag is not waited for longer either.
const PATIENCE: Duration = Duration::from_secs(10);

/// Watches the link to `upstream` until `stop`.
pub(super) fn watch(parts: &Arc<Parts>, upstream: &Upstream, stop: CancellationToken) {
    let changes = parts.links.watch(upstream);
    let (parts, upstream) = (Arc::clone(parts), upstream.clone());
    let tasks = parts.tasks.clone();
    tasks.spawn(async move {
        stop.run_until_cancelled(run(&parts, &upstream, changes))
            .await;
    });
}

/// From outage to outage. Ends only when the links are gone, with the server.
async fn run(parts: &Arc<Parts>, upstream: &Upstream, mut changes: watch::Receiver<LinkState>) {
    let host = upstream.host();
    while changes
        .wait_for(|state| *state != LinkState::Online)
        .await
        .is_ok()
    {
        let ask = || upstream.probe();
        let outage = Outage {
            links: &parts.links,
            host,
        };
        let was_lost = outage.probe(&mut changes, ask).await;
        tokio::select! {
            biased;
            _ = changes.wait_for(|state| *state != LinkState::Online) => {}
            () = revalidate::after_outage(parts, host, was_lost) => {}
        }
    }
}

/// A time in which a link is not online.
struct Outage<'a> {
    links: &'a Links,
    host: &'a str,
}

impl Outage<'_> {
    /// Probes until the link is online, whoever has found that out. Whether it had been offline.
    async fn probe<A>(&self, changes: &mut watch::Receiver<LinkState>, ask: impl Fn() -> A) -> bool
    where
        A: Future<Output = Result<(), UpstreamError>>,
    {
        let mut was_offline = false;
        let mut pause = FIRST;
        loop {
            was_offline |= self.links.state(self.host) == LinkState::Offline;
            tokio::select! {
                biased;
                _ = changes.wait_for(|state| *state == LinkState::Online) => return was_offline,
                probed = self.next(pause, &ask) => self.links.note_probe(self.host, &probed),
            }
            pause = (pause * 2).min(LONGEST);
        }
    }

    async fn next<A>(&self, pause: Duration, ask: impl Fn() -> A) -> Result<(), UpstreamError>
    where
        A: Future<Output = Result<(), UpstreamError>>,
    {
        sleep(jittered(pause, RandomState::new().hash_one("pause"))).await;
        let silent = |_| UpstreamError {
            host: self.host.into(),
            fault: Fault::Unreachable {
                link: LinkFault::Timeout,
                detail: "no sign of life in time".to_owned(),
            },
        };
        timeout(PATIENCE, ask()).await.map_err(silent)?
    }
}

/// The pause, longer or shorter by up to a fifth: a hundred caches whose link is the same one do not all ask in one instant.
fn jittered(pause: Duration, chance: u64) -> Duration {
    let thousandth = u32::try_from(chance % 401).unwrap_or(200);
    pause * (800 + thousandth) / 1000
}
