//! The tap that every body from an upstream passes through: one for the whole process. It knows bytes and priorities, not what
//! the bytes are, and no clock on the wall: which rate holds, and how long for certain, it asks of whoever built it.
//!
//! Waiting takes stand in a [`queue`]; a task of its own (the pump) hands out what the [`bucket`] holds while anybody waits.
//! It is a task because a take may be held by somebody who does not poll it just now, and the others must not depend on that.

mod bucket;
mod queue;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::bucket::Bucket;
use self::queue::{Queue, Ticket, Turn};
use super::RateNow;
use crate::metrics::Counters;

/// Who is waiting for the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Somebody is waiting for them now.
    #[default]
    Interactive,
    /// They are fetched ahead of time and may wait.
    Warm,
}

/// How fast the links to all upstreams together may be used. Clones share it.
#[derive(Clone)]
pub struct Budget {
    /// None: there is no limit at any time.
    shared: Option<Arc<Shared>>,
    passed: Counters<Priority>,
}

/// How the budget is used at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetUse {
    /// The rate, and the window it comes from. None where there is no limit at any time.
    pub rate: Option<RateNow>,
    /// Bodies that wait for bytes somebody wants now.
    pub interactive_waiting: usize,
    /// Bodies that wait and may.
    pub warm_waiting: usize,
}

/// The wait for a share of the budget; resolves when the bytes may be passed on. Dropped before, it gives back what it had got.
#[must_use = "bytes pass only after the wait"]
#[derive(Debug)]
pub struct Taken {
    /// None: they may pass.
    wait: Option<Wait>,
}

/// Says which rate holds now.
type Judge = Box<dyn Fn() -> RateNow + Send + Sync>;

struct Shared {
    judge: Judge,
    tasks: TaskTracker,
    began: Instant,
    /// Nanoseconds after `began` until which there is certainly no limit: no lock is needed before.
    open_until: AtomicU64,
    /// How many bytes are passed on together.
    part: AtomicUsize,
    state: Mutex<State>,
    /// Something has changed that the pump sleeps through.
    news: Notify,
}

struct State {
    rate: RateNow,
    holds_until: Instant,
    bucket: Bucket,
    queue: Queue,
    is_pumping: bool,
}

struct Wait {
    shared: Arc<Shared>,
    bytes: u64,
    priority: Priority,
    ticket: Option<Ticket>,
}

/// The shortest sleep: timers know no shorter ones.
const TICK: Duration = Duration::from_millis(1);
/// A part is what comes in a tenth of a second, between these: small enough for taking turns, large enough to be worth it.
const LEAST_PART: usize = 4 * 1024;
const MOST_PART: usize = 64 * 1024;

// === impl Budget ===

impl Budget {
    /// A budget that never makes anybody wait.
    pub fn unlimited() -> Self {
        Self::counted(Counters::new("priority"))
    }

    /// The same, and what passes is counted in `passed`.
    pub fn counted(passed: Counters<Priority>) -> Self {
        Self {
            shared: None,
            passed,
        }
    }

    /// A budget whose rate `judge` tells. It is asked when the last answer holds no longer, under a lock: it must not wait.
    /// While somebody waits, a task of the budget's own runs on `tasks`.
    pub fn new(
        judge: impl Fn() -> RateNow + Send + Sync + 'static,
        tasks: TaskTracker,
        passed: Counters<Priority>,
    ) -> Self {
        let now = Instant::now();
        let rate = judge();
        let shared = Shared {
            judge: Box::new(judge),
            tasks,
            began: now,
            open_until: AtomicU64::new(0),
            part: AtomicUsize::new(0),
            state: Mutex::new(State {
                rate,
                holds_until: now + rate.holds_for,
                bucket: Bucket::new(rate.rate, now),
                queue: Queue::default(),
                is_pumping: false,
            }),
            news: Notify::new(),
        };
        shared.publish(&shared.state.lock());
        Self {
            shared: Some(Arc::new(shared)),
            passed,
        }
    }

    /// Takes `bytes` at a priority. They are counted at once: they have come over the link, whatever becomes of them.
    pub fn take(&self, bytes: usize, priority: Priority) -> Taken {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.passed.add(priority, bytes);
        let limited = self.shared.as_ref().filter(|shared| !shared.is_open());
        let wait = limited.map(|shared| Wait {
            shared: Arc::clone(shared),
            bytes,
            priority,
            ticket: None,
        });
        Taken { wait }
    }

    /// How many bytes should be taken together at most, so that a large piece neither makes others wait nor comes in one lump.
    pub fn part(&self) -> usize {
        match &self.shared {
            None => usize::MAX,
            Some(shared) => shared.part.load(Ordering::Relaxed),
        }
    }

    /// How it is used now.
    pub fn now(&self) -> BudgetUse {
        let Some(shared) = &self.shared else {
            return BudgetUse {
                rate: None,
                interactive_waiting: 0,
                warm_waiting: 0,
            };
        };
        let mut state = shared.state.lock();
        shared.catch_up(&mut state, Instant::now());
        BudgetUse {
            rate: Some(state.rate),
            interactive_waiting: state.queue.waiting(Priority::Interactive),
            warm_waiting: state.queue.waiting(Priority::Warm),
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budget").field(&self.now()).finish()
    }
}

// === impl Shared ===

impl Shared {
    /// Whether there is certainly no limit now.
    fn is_open(&self) -> bool {
        let until = self.open_until.load(Ordering::Relaxed);
        until > 0 && nanoseconds(Instant::now() - self.began) < until
    }

    /// Brings the state to `now`: a rate that no longer holds is asked for again, and the bucket has what came meanwhile.
    fn catch_up(&self, state: &mut State, now: Instant) {
        if now >= state.holds_until {
            let rate = (self.judge)();
            if rate.rate != state.rate.rate {
                tracing::info!(
                    bytes_per_second = rate.rate.map(std::num::NonZeroU64::get),
                    window = rate.window.map(tracing::field::display),
                    "the rate of the link has changed"
                );
            }
            state.bucket.switch(rate.rate, state.holds_until);
            state.rate = rate;
            state.holds_until = now + rate.holds_for;
            self.publish(state);
        }
        state.bucket.refill(now);
    }

    /// What is read without the lock.
    fn publish(&self, state: &State) {
        let open_until = match state.rate.rate {
            None => nanoseconds(state.holds_until - self.began),
            Some(_) => 0,
        };
        let part = match state.rate.rate {
            None => usize::MAX,
            Some(rate) => usize::try_from(rate.get() / 10)
                .unwrap_or(usize::MAX)
                .clamp(LEAST_PART, MOST_PART),
        };
        self.open_until.store(open_until, Ordering::Relaxed);
        self.part.store(part, Ordering::Relaxed);
    }

    /// Hands out what there is. How long to sleep before more can be had; None if nobody waits.
    fn hand_out(&self) -> Option<Duration> {
        let mut to_wake = Vec::new();
        let mut state = self.state.lock();
        let now = Instant::now();
        self.catch_up(&mut state, now);
        if state.bucket.is_unlimited() {
            to_wake = state.queue.grant_all();
        }
        let part = self.part.load(Ordering::Relaxed) as u64;
        let sleep = loop {
            let Some(next) = state.queue.next(part, state.bucket.burst(), now) else {
                state.is_pumping = false;
                break None;
            };
            if !state.bucket.spend(next.bytes) {
                let more = state.bucket.wait_for(next.bytes);
                break Some(more.min(state.holds_until - now).max(TICK));
            }
            to_wake.extend(state.queue.grant(next, now));
        };
        drop(state);
        for waker in to_wake {
            waker.wake();
        }
        sleep
    }

    fn wake_pump(self: &Arc<Self>, state: &mut State) {
        if state.is_pumping {
            self.news.notify_one();
            return;
        }
        state.is_pumping = true;
        let pump = Pump {
            shared: Arc::clone(self),
            is_needed: true,
        };
        self.tasks.spawn(pump.run());
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The running pump. However it ends, the next who waits starts another.
struct Pump {
    shared: Arc<Shared>,
    is_needed: bool,
}

impl Pump {
    async fn run(mut self) {
        while let Some(sleep) = self.shared.hand_out() {
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.shared.news.notified() => {}
            }
        }
        self.is_needed = false;
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        if self.is_needed {
            self.shared.state.lock().is_pumping = false;
        }
    }
}

// === impl Taken ===

impl Taken {
    /// From now on it waits at this priority.
    pub fn set_priority(&mut self, priority: Priority) {
        let Some(wait) = &mut self.wait else {
            return;
        };
        wait.priority = priority;
        if let Some(ticket) = wait.ticket {
            let mut state = wait.shared.state.lock();
            state.queue.set_priority(ticket, priority);
            wait.shared.wake_pump(&mut state);
        }
    }
}

impl Future for Taken {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(wait) = &mut self.wait else {
            return Poll::Ready(());
        };
        if wait.poll(context) == Turn::NotYet {
            return Poll::Pending;
        }
        wait.ticket = None;
        self.wait = None;
        Poll::Ready(())
    }
}

// === impl Wait ===

impl Wait {
    fn poll(&mut self, context: &Context<'_>) -> Turn {
        let mut state = self.shared.state.lock();
        if let Some(ticket) = self.ticket {
            return state.queue.ask(ticket, context.waker());
        }
        let now = Instant::now();
        self.shared.catch_up(&mut state, now);
        if state.bucket.is_unlimited()
            || (state.queue.would_be_next(self.priority, now) && state.bucket.spend(self.bytes))
        {
            return Turn::Granted;
        }
        let waker = context.waker().clone();
        let ticket = state.queue.enter(self.bytes, self.priority, now, waker);
        self.ticket = Some(ticket);
        self.shared.wake_pump(&mut state);
        Turn::NotYet
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else {
            return;
        };
        let mut state = self.shared.state.lock();
        let unused = state.queue.leave(ticket);
        state.bucket.give_back(unused);
        if state.is_pumping {
            self.shared.news.notify_one();
        }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("bytes", &self.bytes)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}
