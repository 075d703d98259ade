//! Small work that many callers want at once is done once: one tag check, one manifest fetch, one tag list.
//!
//! The work belongs to the server: it runs as a task of its own, so a caller that leaves disturbs nobody. Whatever ends the
//! task, the entry leaves the map and every waiter is told.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::upstream::Heard;

/// Running work by key.
pub(super) struct Flights<K, V> {
    running: Arc<Mutex<HashMap<K, Flight<V>>>>,
    tasks: TaskTracker,
}

/// One piece of running work, as a waiter sees it.
pub(super) struct Flight<V> {
    outcome: watch::Receiver<Option<V>>,
    heard: Heard,
}

impl<V: Clone> Clone for Flight<V> {
    fn clone(&self) -> Self {
        Self {
            outcome: self.outcome.clone(),
            heard: self.heard.clone(),
        }
    }
}

impl<V: Clone> Flight<V> {
    /// What came of the work; `None` when it ended without saying so (a panic, an abort).
    pub(super) async fn outcome(&mut self) -> Option<V> {
        let value = self.outcome.wait_for(Option::is_some).await.ok()?;
        value.clone()
    }

    /// Signs of life from the upstream this work waits for.
    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// No work yet; tasks are spawned on `tasks`.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self {
            running: Arc::default(),
            tasks,
        }
    }

    /// The running work for `key`, or `work`, started now. The second value says whether it was running already.
    pub(super) fn join_or_start<F>(
        &self,
        key: K,
        work: impl FnOnce(Heard) -> F,
    ) -> (Flight<V>, bool)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut running = self.running.lock();
        if let Some(flight) = running.get(&key) {
            return (flight.clone(), true);
        }
        let (sender, outcome) = watch::channel(None);
        let flight = Flight {
            outcome,
            heard: Heard::default(),
        };
        running.insert(key.clone(), flight.clone());
        let guard = Landing {
            running: Arc::clone(&self.running),
            key,
        };
        let work = work(flight.heard.clone());
        self.tasks.spawn(async move {
            let value = work.await;
            // The entry leaves before the value is told: whoever comes after that sees the finished work in the store.
            drop(guard);
            sender.send_replace(Some(value));
        });
        (flight, false)
    }
}

/// Takes the entry out of the map, also when the task panics or is aborted.
struct Landing<K: Eq + Hash, V> {
    running: Arc<Mutex<HashMap<K, Flight<V>>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.running.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    fn flights() -> Flights<&'static str, usize> {
        Flights::new(TaskTracker::new())
    }

    #[tokio::test]
    async fn work_is_done_once_for_all_who_want_it() {
        let (flights, done) = (flights(), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(Notify::new());
        let start = || {
            let (done, gate) = (Arc::clone(&done), Arc::clone(&gate));
            flights.join_or_start("tag", move |_| async move {
                gate.notified().await;
                done.fetch_add(1, Ordering::SeqCst) + 1
            })
        };
        let (mut first, joined) = start();
        assert!(!joined);
        let mut others: Vec<_> = (0..100).map(|_| start()).collect();
        gate.notify_one();
        assert_eq!(first.outcome().await, Some(1));
        for (other, joined) in &mut others {
            assert!(*joined);
            assert_eq!(other.outcome().await, Some(1));
        }
    }

    #[tokio::test]
    async fn work_goes_on_when_the_caller_who_started_it_leaves() {
        let flights = flights();
        let gate = Arc::new(Notify::new());
        let waiting = Arc::clone(&gate);
        let (flight, _) = flights.join_or_start("tag", move |_| async move {
            waiting.notified().await;
            7
        });
        drop(flight);
        let (mut second, joined) = flights.join_or_start("tag", |_| async { 8 });
        assert!(joined);
        gate.notify_one();
        assert_eq!(second.outcome().await, Some(7));
    }

    #[tokio::test]
    async fn a_panic_is_told_to_every_waiter_and_leaves_nothing_behind() {
        let flights = flights();
        let (mut flight, _) = flights.join_or_start("tag", |_| async { panic!("of the test") });
        assert_eq!(flight.outcome().await, None);
        let (mut next, joined) = flights.join_or_start("tag", |_| async { 3 });
        assert!(!joined);
        assert_eq!(next.outcome().await, Some(3));
    }
}
