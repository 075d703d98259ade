//! `cistern version`.

use super::{Console, Exit};

pub(super) fn run(console: &mut Console<'_>) -> Exit {
    console.say(format!("cistern {}", env!("CARGO_PKG_VERSION")));
    Exit::Success
}
