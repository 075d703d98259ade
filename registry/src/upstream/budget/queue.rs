//! Who waits for bytes, and who is next: interactive before warm, in turns among equals, and nobody for ever.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::Priority;

/// A warm body that got nothing for so long goes first once: the upstream at its other end would take the connection for dead.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The name of a waiter.
pub(super) type Ticket = u64;

/// One take that waits.
#[derive(Debug)]
struct Waiter {
    priority: Priority,
    /// Bytes it still has to get.
    missing: u64,
    /// Bytes it got and has not passed on.
    granted: u64,
    /// When it last got some, or began to wait.
    since: Instant,
    waker: Waker,
}

/// The waiting takes.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiters: HashMap<Ticket, Waiter>,
    interactive: VecDeque<Ticket>,
    warm: VecDeque<Ticket>,
    last: Ticket,
}

/// Who is to get how many bytes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) ticket: Ticket,
    pub(super) bytes: u64,
}

/// What a waiter is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has all it asked for, and is forgotten.
    Granted,
    /// It goes on waiting.
    NotYet,
}

impl Queue {
    /// Puts a take at the end of its line.
    pub(super) fn enter(
        &mut self,
        bytes: u64,
        priority: Priority,
        now: Instant,
        waker: Waker,
    ) -> Ticket {
        self.last += 1;
        let waiter = Waiter {
            priority,
            missing: bytes,
            granted: 0,
            since: now,
            waker,
        };
        let ticket = self.last;
        self.waiters.insert(ticket, waiter);
        self.line(priority).push_back(ticket);
        ticket
    }

    /// Asks for a waiter how it stands, and notes whom to wake.
    pub(super) fn ask(&mut self, ticket: Ticket, waker: &Waker) -> Turn {
        match self.waiters.get_mut(&ticket) {
            Some(waiter) if waiter.missing > 0 => {
                waiter.waker.clone_from(waker);
                Turn::NotYet
            }
            Some(_) | None => {
                self.waiters.remove(&ticket);
                Turn::Granted
            }
        }
    }

    /// Forgets a waiter; what it had got.
    pub(super) fn leave(&mut self, ticket: Ticket) -> u64 {
        let Some(waiter) = self.waiters.remove(&ticket) else {
            return 0;
        };
        self.line(waiter.priority).retain(|other| *other != ticket);
        waiter.granted
    }

    /// From now on a waiter is of this priority, and last among its new equals.
    pub(super) fn set_priority(&mut self, ticket: Ticket, priority: Priority) {
        let Some(waiter) = self.waiters.get_mut(&ticket) else {
            return;
        };
        let before = std::mem::replace(&mut waiter.priority, priority);
        if before == priority || waiter.missing == 0 {
            return;
        }
        self.line(before).retain(|other| *other != ticket);
        self.line(priority).push_back(ticket);
    }

    /// How many wait, of one priority.
    pub(super) fn waiting(&self, priority: Priority) -> usize {
        match priority {
            Priority::Interactive => self.interactive.len(),
            Priority::Warm => self.warm.len(),
        }
    }

    /// Whether a take of this priority would be the next.
    pub(super) fn would_be_next(&self, priority: Priority, now: Instant) -> bool {
        let is_first = match priority {
            Priority::Interactive => self.interactive.is_empty(),
            Priority::Warm => self.interactive.is_empty() && self.warm.is_empty(),
        };
        is_first && self.overdue(now).is_none()
    }

    /// Who is next, and for how many bytes: at most `part`, but all that it wants for one who has waited for too long, within
    /// `burst`, which is what can come together at all.
    pub(super) fn next(&self, part: u64, burst: u64, now: Instant) -> Option<Next> {
        if let Some(overdue) = self.overdue(now) {
            return self.turn(overdue, burst);
        }
        let ticket = self.interactive.front().or(self.warm.front())?;
        self.turn(*ticket, part.min(burst))
    }

    fn turn(&self, ticket: Ticket, at_most: u64) -> Option<Next> {
        let bytes = self.waiters.get(&ticket)?.missing.min(at_most);
        Some(Next { ticket, bytes })
    }

    /// The warm take that has waited longest is the first of its line: whoever gets something goes to the end.
    fn overdue(&self, now: Instant) -> Option<Ticket> {
        let first = self.warm.front()?;
        let since = self.waiters.get(first)?.since;
        (now.saturating_duration_since(since) >= LONGEST_WAIT).then_some(*first)
    }

    /// Gives a waiter its bytes; whom to wake if these were the last. Otherwise it goes to the end of its line.
    pub(super) fn grant(&mut self, next: Next, now: Instant) -> Option<Waker> {
        let Next { ticket, bytes } = next;
        let waiter = self.waiters.get_mut(&ticket)?;
        waiter.missing = waiter.missing.saturating_sub(bytes);
        waiter.granted = waiter.granted.saturating_add(bytes);
        waiter.since = now;
        let (priority, is_done) = (waiter.priority, waiter.missing == 0);
        let waker = is_done.then(|| waiter.waker.clone());
        let line = self.line(priority);
        line.retain(|other| *other != ticket);
        if !is_done {
            line.push_back(ticket);
        }
        waker
    }

    /// Gives everybody everything; whom to wake.
    pub(super) fn grant_all(&mut self) -> Vec<Waker> {
        self.interactive.clear();
        self.warm.clear();
        let waiting = self
            .waiters
            .values_mut()
            .filter(|waiter| waiter.missing > 0);
        waiting
            .map(|waiter| {
                waiter.granted = waiter.granted.saturating_add(waiter.missing);
                waiter.missing = 0;
                waiter.waker.clone()
            })
            .collect()
    }

    fn line(&mut self, priority: Priority) -> &mut VecDeque<Ticket> {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Warm => &mut self.warm,
        }
    }
}
