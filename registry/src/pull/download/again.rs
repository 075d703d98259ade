//! A download that has stopped: asks again, at once where that may help and else with growing patience, and holds its callers
//! meanwhile; how long, `proxy.hold` says. While it waits it gives its slot to others.

use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::{Instant, sleep_until};

use super::ask::Answered;
use super::course::{Course, End, stopping};
use super::failed::Refusals;
use super::retry::{Meaning, broke_in_passing};
use super::{Download, DownloadFailed};
use crate::pull::links::LinkState;
use crate::upstream::UpstreamError;

/// A link that broke a moment ago may be tried once more for so long, however short callers are held.
const ONE_MORE_TRY: Duration = Duration::from_secs(5);

impl Download {
    /// The next answer, from where the download stands; or how it ends.
    pub(super) async fn again(&self, course: &mut Course) -> Result<Answered, End> {
        loop {
            if course.is_whole() {
                return Err(End::Commit);
            }
            let meaning = Meaning::of_all(course.refusals.iter().map(|(_, error)| &error.fault));
            let came = std::mem::take(&mut course.came);
            let pause = course.backoff.next(came);
            let until = match &course.failed {
                // Nobody was asked yet, or the connection broke in the middle: it may do at once.
                None => self.hold_until(course).max(Instant::now() + ONE_MORE_TRY),
                Some(failed) if pause.is_zero() && broke_in_passing(&failed.fault) => {
                    self.hold_until(course).max(Instant::now() + ONE_MORE_TRY)
                }
                Some(failed) => {
                    let failed = failed.clone();
                    self.pause(course, &failed, meaning, pause).await?;
                    self.hold_until(course)
                }
            };
            match self.attempt(course, until).await? {
                Ok(answered) => return Ok(answered),
                Err(refusals) => note(course, refusals)?,
            }
            if let Some(error) = &course.failed
                && course.from().may_be_the_end(&error.fault)
            {
                // There is nothing after what came: the digest tells whether that is all.
                return Err(End::Commit);
            }
        }
    }

    /// Until when callers are held.
    fn hold_until(&self, course: &Course) -> Instant {
        course.last_byte + self.parts.hold_for
    }

    /// Waits before the next attempt: for the link, if that is what is missing.
    async fn pause(
        &self,
        course: &mut Course,
        failed: &UpstreamError,
        meaning: Meaning,
        pause: Duration,
    ) -> Result<(), End> {
        course.slot = None;
        if self.crowd.waits().is_none() {
            tracing::warn!(digest = %self.digest, upstream = %failed.host, error = %failed, callers = self.crowd.present(), bytes = course.writer.written(), "download waits for its upstream");
        }
        self.crowd.begin_to_wait(failed);
        let pause = match meaning {
            Meaning::NotNow(least) => pause.max(least),
            Meaning::NoLink | Meaning::Refused => pause,
        };
        let end = self.hold_until(course);
        tokio::select! {
            biased;
            () = self.deserted(meaning) => return Err(suspend("nobody waits for it, and the link is down", course)),
            () = self.over() => return Err(stopping()),
            () = sleep_until((Instant::now() + pause).min(end)) => {}
            () = self.link_is_back() => {}
        }
        if Instant::now() >= end {
            return Err(suspend(
                "callers were held for as long as they may be",
                course,
            ));
        }
        Ok(())
    }

    /// Asks once more, with a slot.
    async fn attempt(
        &self,
        course: &mut Course,
        until: Instant,
    ) -> Result<Result<Answered, Refusals>, End> {
        let meaning = Meaning::of_all(course.failed.iter().map(|error| &error.fault));
        let (source, from) = (course.source.clone(), course.from());
        let (slot, habits) = (&mut course.slot, &mut course.habits);
        let asking = async {
            if slot.is_none() {
                *slot = Some(self.parts.slots.take(&self.crowd).await);
            }
            self.ask_again(source.as_ref(), from, habits).await
        };
        let waits = self.crowd.waits().is_some();
        tokio::select! {
            biased;
            answered = asking => Ok(answered),
            () = self.over() => Err(stopping()),
            () = self.deserted(meaning), if waits => Err(suspend("nobody waits for it, and the link is down", course)),
            () = sleep_until(until) => Err(suspend("callers were held for as long as they may be", course)),
        }
    }

    /// Resolves when nobody waits for this blob, if it is the link that is missing.
    async fn deserted(&self, meaning: Meaning) {
        if meaning != Meaning::NoLink {
            std::future::pending::<()>().await;
        }
        self.crowd.deserted().await;
    }

    /// Resolves when a link that is known to be down works again; never if none is.
    async fn link_is_back(&self) {
        let links = &self.parts.links;
        let mut hosts: Vec<Box<str>> = Vec::new();
        for mirror in self.sources.in_order(None) {
            let host = mirror.upstream.host();
            if links.state(host) == LinkState::Offline
                && !hosts.iter().any(|known| **known == *host)
            {
                hosts.push(host.into());
            }
        }
        if hosts.is_empty() {
            std::future::pending::<()>().await;
        }
        select_all(hosts.iter().map(|host| Box::pin(links.back(host)))).await;
    }
}

/// What the sources said; the end if none of them will ever give the bytes.
fn note(course: &mut Course, refusals: Refusals) -> Result<(), End> {
    course.failed = refusals.first().map(|(_, error)| error.clone());
    course.refusals = refusals;
    let meaning = Meaning::of_all(course.refusals.iter().map(|(_, error)| &error.fault));
    if meaning == Meaning::Refused {
        return Err(suspend("every source refuses it", course));
    }
    Ok(())
}

pub(super) fn suspend(why: &'static str, course: &Course) -> End {
    End::Suspend(
        why,
        DownloadFailed::Upstreams(course.refusals.clone().into()),
    )
}
