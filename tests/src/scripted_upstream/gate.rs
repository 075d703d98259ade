//! A gate in an answer: the answer stops there until the test opens it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::eventually;

/// Closed at first. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    reached: Arc<AtomicUsize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed one.
    pub fn new() -> Self {
        Self {
            open: Arc::new(watch::channel(false).0),
            reached: Arc::default(),
        }
    }

    /// Lets everything through, from now on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Stops whatever comes from now on.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// How many answers have come to it, waiting or gone through.
    pub fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    /// Waits until `count` answers have come to it.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub async fn wait_reached(&self, count: usize, limit: Duration) {
        eventually("reaching the gate", limit, || async {
            self.reached() >= count
        })
        .await;
    }

    /// Whether it lets through what comes now.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    pub(super) async fn pass(&self) {
        self.reached.fetch_add(1, Ordering::SeqCst);
        self.opened().await;
    }

    /// Waits until it is open, without coming to it.
    pub(super) async fn opened(&self) {
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.ok();
    }
}
