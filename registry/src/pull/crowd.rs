//! The callers of one download: how many there are, and whether they wait for a link. Both sides look at it, the callers and the
//! download. It knows no bytes, and not how long anybody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;

use crate::upstream::UpstreamError;

/// Who wants one download. Clones are the same crowd.
#[derive(Clone)]
pub(super) struct Crowd(Arc<Seen>);

struct Seen {
    /// How many have ever wanted it.
    served: AtomicU32,
    /// How many are there now.
    present: watch::Sender<usize>,
    /// Why the download waits, while it does.
    waiting: watch::Sender<Option<UpstreamError>>,
}

/// One caller, counted until dropped.
pub(super) struct Caller(Crowd);

impl Crowd {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Seen {
            served: AtomicU32::new(0),
            present: watch::Sender::new(0),
            waiting: watch::Sender::new(None),
        }))
    }

    /// One more.
    pub(super) fn join(&self) -> Caller {
        self.0.served.fetch_add(1, Ordering::Relaxed);
        self.0.present.send_modify(|present| *present += 1);
        Caller(self.clone())
    }

    /// How many are there now.
    pub(super) fn present(&self) -> usize {
        *self.0.present.borrow()
    }

    /// How many have wanted it so far, those that left included.
    pub(super) fn served(&self) -> u32 {
        self.0.served.load(Ordering::Relaxed)
    }

    /// Resolves when nobody is there.
    pub(super) async fn deserted(&self) {
        self.until(|present| present == 0).await;
    }

    /// Resolves when somebody is there.
    pub(super) async fn joined(&self) {
        self.until(|present| present > 0).await;
    }

    async fn until(&self, is_so: impl Fn(usize) -> bool) {
        let mut present = self.0.present.subscribe();
        // The sender lives as long as `self`, so this ends only when it is so.
        let _ = present.wait_for(|present| is_so(*present)).await;
    }

    /// The download cannot go on for now, and this is why.
    pub(super) fn begin_to_wait(&self, why: &UpstreamError) {
        self.0.waiting.send_replace(Some(why.clone()));
    }

    /// The download goes on.
    pub(super) fn go_on(&self) {
        let end = |waiting: &mut Option<UpstreamError>| waiting.take().is_some();
        self.0.waiting.send_if_modified(end);
    }

    /// Why the download waits for its link, if it does.
    pub(super) fn waits(&self) -> Option<UpstreamError> {
        self.0.waiting.borrow().clone()
    }

    /// News of whether the download waits.
    pub(super) fn news(&self) -> watch::Receiver<Option<UpstreamError>> {
        self.0.waiting.subscribe()
    }

    /// Whether both are the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Caller {
    /// The crowd it belongs to.
    pub(super) fn crowd(&self) -> &Crowd {
        &self.0
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let leave = |present: &mut usize| *present = present.saturating_sub(1);
        self.0.0.present.send_modify(leave);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_crowd_is_deserted_when_its_last_caller_has_left() {
        let crowd = Crowd::new();
        crowd.deserted().await;
        let (first, second) = (crowd.join(), crowd.join());
        crowd.joined().await;
        assert_eq!((crowd.present(), crowd.served()), (2, 2));
        drop(first);
        let mut deserted = std::pin::pin!(crowd.deserted());
        assert!(futures_util::poll!(&mut deserted).is_pending());
        drop(second);
        deserted.await;
        assert_eq!((crowd.present(), crowd.served()), (0, 2));
    }
}
