//! How many blobs are downloaded at once (`proxy.downloads`), and who is next: the download that most callers wait for.

use std::cmp::Reverse;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::crowd::Crowd;

/// The slots of all downloads.
pub(super) struct Slots(Arc<Mutex<Queue>>);

struct Queue {
    free: usize,
    /// In order of arrival.
    waiting: Vec<Waiting>,
}

struct Waiting {
    crowd: Crowd,
    turn: oneshot::Sender<Slot>,
}

/// Leave to download, given back when dropped.
pub(super) struct Slot(Arc<Mutex<Queue>>);

impl Slots {
    /// So many.
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue {
            free: count,
            waiting: Vec::new(),
        })))
    }

    /// Whether a download that somebody waits for has none.
    pub(super) fn are_wanted(&self) -> bool {
        let queue = self.0.lock();
        let is_wanted =
            |waiting: &Waiting| !waiting.turn.is_closed() && waiting.crowd.present() > 0;
        queue.waiting.iter().any(is_wanted)
    }

    /// Waits for a slot. Whose crowd is largest when one is free gets it, the longest wait among equals.
    pub(super) async fn take(&self, crowd: &Crowd) -> Slot {
        loop {
            let turn = {
                let mut queue = self.0.lock();
                if queue.free > 0 {
                    queue.free -= 1;
                    return Slot(Arc::clone(&self.0));
                }
                let (turn, mine) = oneshot::channel();
                queue.waiting.retain(|waiting| !waiting.turn.is_closed());
                queue.waiting.push(Waiting {
                    crowd: crowd.clone(),
                    turn,
                });
                mine
            };
            if let Ok(slot) = turn.await {
                return slot;
            }
        }
    }
}

impl Queue {
    /// Who is next, taken out of the queue.
    fn next(&mut self) -> Option<Waiting> {
        self.waiting.retain(|waiting| !waiting.turn.is_closed());
        let order =
            |(place, waiting): &(usize, &Waiting)| (waiting.crowd.present(), Reverse(*place));
        let (place, _) = self.waiting.iter().enumerate().max_by_key(order)?;
        Some(self.waiting.remove(place))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let next = {
            let mut queue = self.0.lock();
            let next = queue.next();
            if next.is_none() {
                queue.free += 1;
            }
            next
        };
        // One that has left in the meantime gives it back by dropping it in its turn.
        if let Some(next) = next {
            drop(next.turn.send(Self(Arc::clone(&self.0))));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, poll};

    use super::*;

    #[tokio::test]
    async fn no_more_than_so_many_are_given_out() {
        let (slots, crowd) = (Slots::new(2), Crowd::new());
        let first = slots.take(&crowd).await;
        let _second = slots.take(&crowd).await;
        let mut third = Box::pin(slots.take(&crowd));
        assert!(poll!(&mut third).is_pending());
        drop(first);
        let _third = third.await;
        assert!(slots.take(&crowd).now_or_never().is_none());
    }

    #[tokio::test]
    async fn the_download_that_most_callers_wait_for_is_next() {
        let slots = Slots::new(1);
        let (nobody, few, many) = (Crowd::new(), Crowd::new(), Crowd::new());
        let taken = slots.take(&nobody).await;
        let (mut first, mut second) = (Box::pin(slots.take(&nobody)), Box::pin(slots.take(&few)));
        let mut third = Box::pin(slots.take(&many));
        for waiting in [&mut first, &mut second, &mut third] {
            assert!(poll!(waiting).is_pending());
        }
        // They come while all of them wait.
        let _callers = [few.join(), many.join(), many.join()];
        drop(taken);
        let third = third.await;
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        drop(third);
        let second = second.await;
        assert!(poll!(&mut first).is_pending());
        drop(second);
        first.await;
    }

    #[tokio::test]
    async fn among_equals_the_longest_wait_is_over_first() {
        let (slots, crowd) = (Slots::new(1), Crowd::new());
        let taken = slots.take(&crowd).await;
        let mut first = Box::pin(slots.take(&crowd));
        let mut second = Box::pin(slots.take(&crowd));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        drop(taken);
        let _first = first.await;
        assert!(poll!(&mut second).is_pending());
    }

    #[tokio::test]
    async fn who_stops_waiting_costs_nobody_a_slot() {
        let (slots, crowd) = (Slots::new(1), Crowd::new());
        let taken = slots.take(&crowd).await;
        let mut gone = Box::pin(slots.take(&crowd));
        let mut granted = Box::pin(slots.take(&crowd));
        assert!(poll!(&mut gone).is_pending() && poll!(&mut granted).is_pending());
        drop(gone);
        drop(taken);
        // Given, and dropped before it was looked at.
        drop(granted);
        assert!(slots.take(&crowd).now_or_never().is_some());
    }
}
