//! A body from an upstream on its way through.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

use super::{Priority, UpstreamError};

/// The bytes of an answer as they arrive. Ends with an error item where the connection broke, fell silent or brought
/// fewer bytes than it had announced.
#[derive(Debug)]
pub struct UpstreamBody {
    priority: Priority,
}

impl UpstreamBody {
    /// From now on the bytes are taken from the budget at this priority.
    pub fn set_priority(&mut self, priority: Priority) {
        self.priority = priority;
    }
}

impl Stream for UpstreamBody {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        unimplemented!()
    }
}
