//! `registry garbage-collect`, which scripts around Distribution may still call.

use super::{Console, Exit};

pub(super) fn run(console: &mut Console<'_>) -> Exit {
    console.complain(
        "error: garbage-collect does nothing here; what was not used for `proxy.ttl` is dropped while the server runs.\n\
         Take the call out of your schedule. The store is Distribution's own: its `registry garbage-collect` works on it\n\
         while Cistern is stopped.",
    );
    Exit::Failure
}
