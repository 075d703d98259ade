//! Holding callers while a link is down: how many may be held at once, and how a caller waits with its download.
//!
//! Children reach this cache through a proxy that has few connections, and telemetry needs them too; so no more than
//! `proxy.holdlimit` callers are held, over all downloads. It knows nothing of where bytes come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use super::crowd::{Caller, Crowd};
use crate::upstream::UpstreamError;

/// The places for callers who are held.
#[derive(Clone)]
pub(super) struct Hold(Arc<Places>);

struct Places {
    limit: usize,
    taken: AtomicUsize,
    shown: Gauge,
}

/// One place, given back when dropped.
struct Held(Arc<Places>);

impl Hold {
    /// So many places; `shown` says how many are taken.
    pub(super) fn new(limit: usize, shown: Gauge) -> Self {
        Self(Arc::new(Places {
            limit,
            taken: AtomicUsize::new(0),
            shown,
        }))
    }

    fn take(&self) -> Option<Held> {
        let one_more = |taken: usize| (taken < self.0.limit).then_some(taken + 1);
        self.0
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .ok()?;
        self.0.shown.inc();
        Some(Held(Arc::clone(&self.0)))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.shown.dec();
    }
}

type News = watch::Receiver<Option<UpstreamError>>;

/// A caller of a download, from its request to the end of its body.
pub(super) struct Patient {
    hold: Hold,
    caller: Caller,
    /// Its place, while the download waits for its link.
    held: Option<Held>,
    /// Resolves at the next news of the download.
    news: BoxFuture<'static, News>,
}

impl Patient {
    /// A caller that waits only if there is a place for it.
    pub(super) fn new(caller: Caller, hold: &Hold) -> Self {
        Self {
            hold: hold.clone(),
            news: next_news(caller.crowd().news()),
            caller,
            held: None,
        }
    }

    /// The callers it is one of.
    pub(super) fn crowd(&self) -> &Crowd {
        self.caller.crowd()
    }

    /// Looks whether the download waits for its link; then this caller takes a place, or learns that there is none and why the
    /// download waits.
    pub(super) fn look(&mut self) -> Result<(), UpstreamError> {
        match self.caller.crowd().waits() {
            None => self.held = None,
            Some(why) if self.held.is_none() => {
                self.held = Some(self.hold.take().ok_or(why)?);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Does something that takes time; gives it up where the download waits and there is no place to wait with it.
    pub(super) async fn wait_for<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, UpstreamError> {
        let mut work = std::pin::pin!(work);
        loop {
            self.look()?;
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                news = &mut self.news => self.news = next_news(news),
            }
        }
    }

    /// For a body that has nothing to send just now: the same, as a poll. The task is woken by news.
    pub(super) fn poll_look(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> Result<(), UpstreamError> {
        while let std::task::Poll::Ready(news) = self.news.as_mut().poll(context) {
            self.news = next_news(news);
        }
        self.look()
    }
}

fn next_news(mut news: News) -> BoxFuture<'static, News> {
    Box::pin(async move {
        // Without a sender nothing new can come.
        if news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        news
    })
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;
    use crate::upstream::{Fault, LinkFault};

    fn down() -> UpstreamError {
        UpstreamError {
            host: "upstream".into(),
            fault: Fault::Unreachable {
                link: LinkFault::Connect,
                detail: String::new(),
            },
        }
    }

    fn callers(crowd: &Crowd, hold: &Hold, count: usize) -> Vec<Patient> {
        let one = |_| Patient::new(crowd.join(), hold);
        (0..count).map(one).collect()
    }

    #[tokio::test]
    async fn as_many_callers_as_there_are_places_are_held_over_all_downloads() {
        let (shown, one, other) = (Gauge::default(), Crowd::new(), Crowd::new());
        let hold = Hold::new(3, shown.clone());
        let mut first = callers(&one, &hold, 2);
        let mut second = callers(&other, &hold, 2);
        let look = |callers: &mut Vec<Patient>| -> Vec<bool> {
            let looks = callers.iter_mut().map(|caller| caller.look().is_ok());
            looks.collect()
        };
        assert_eq!(look(&mut first), [true, true]);
        assert_eq!(shown.get(), 0, "nobody is held while bytes come");
        one.begin_to_wait(&down());
        other.begin_to_wait(&down());
        assert_eq!(look(&mut first), [true, true]);
        assert_eq!(look(&mut second), [true, false]);
        assert_eq!(look(&mut first), [true, true], "who has a place keeps it");
        assert_eq!(shown.get(), 3);
        one.go_on();
        look(&mut first);
        assert_eq!((shown.get(), look(&mut second)), (1, vec![true, true]));
        drop(second);
        assert_eq!(shown.get(), 0);
    }

    #[tokio::test]
    async fn a_caller_without_a_place_is_told_at_once_when_the_link_goes() {
        let crowd = Crowd::new();
        let hold = Hold::new(1, Gauge::default());
        let mut callers = callers(&crowd, &hold, 2);
        let mut second = callers.pop().unwrap();
        let mut first = callers.pop().unwrap();
        {
            let mut waiting_on = Box::pin(first.wait_for(std::future::pending::<()>()));
            let mut waiting = Box::pin(second.wait_for(std::future::pending::<()>()));
            assert!(poll!(&mut waiting_on).is_pending() && poll!(&mut waiting).is_pending());
            crowd.begin_to_wait(&down());
            assert!(poll!(&mut waiting_on).is_pending());
            assert_eq!(waiting.await, Err(down()));
            crowd.go_on();
            assert!(poll!(&mut waiting_on).is_pending());
        }
        assert_eq!(second.wait_for(async { 1 }).await, Ok(1));
        crowd.begin_to_wait(&down());
        assert_eq!(
            second.wait_for(async { 1 }).await,
            Ok(1),
            "the place is free"
        );
        assert_eq!(first.wait_for(async { 1 }).await, Err(down()));
    }
}
