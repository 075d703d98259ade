//! Asks for a sign of life while a link is not online, so that no caller has to find out; nobody is asked while it is.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::upstream::Upstream;

/// Watches the link to `upstream` until `stop`.
pub(super) fn watch(parts: &Arc<Parts>, upstream: &Upstream, stop: CancellationToken) {
    let changes = parts.links.watch(upstream);
    parts.tasks.spawn(async move {
        let _changes = changes;
        stop.cancelled().await;
    });
}
