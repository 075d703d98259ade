//! Whether the link to an upstream was silent lately: then callers with something cached do not wait for it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// The state of the links, by upstream host.
#[derive(Clone, Default)]
pub struct Links {
    degraded: Arc<RwLock<HashMap<Box<str>, bool>>>,
}

impl Links {
    /// Whether the last that was seen of this upstream was silence or a broken link.
    pub fn is_degraded(&self, host: &str) -> bool {
        self.degraded.read().get(host).copied().unwrap_or(false)
    }

    /// Notes an answer (`false`) or silence (`true`); says so in the log when that is news.
    pub fn set_degraded(&self, host: &str, degraded: bool) {
        if self.is_degraded(host) == degraded {
            return;
        }
        self.degraded.write().insert(host.into(), degraded);
        if degraded {
            tracing::warn!(
                upstream = host,
                "link degraded: cached tags are served without waiting for it"
            );
        } else {
            tracing::info!(upstream = host, "link answers again");
        }
    }
}
