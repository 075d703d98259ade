//! The tap that every body from an upstream passes through. It knows bytes and priorities, not what the bytes are.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Who is waiting for the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Somebody is waiting for them now.
    #[default]
    Interactive,
    /// They are fetched ahead of time and may wait.
    Warm,
}

/// How fast the link to an upstream may be used. Unlimited for now: every take passes at once.
#[derive(Clone, Debug, Default)]
pub struct Budget {}

/// The wait for a share of the budget; resolves when the bytes may be passed on.
#[derive(Debug)]
pub struct Taken {}

impl Budget {
    /// A budget that never makes anybody wait.
    pub fn unlimited() -> Self {
        Self {}
    }

    /// Takes `bytes` at a priority.
    pub fn take(&self, _bytes: usize, _priority: Priority) -> Taken {
        Taken {}
    }
}

impl Future for Taken {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
