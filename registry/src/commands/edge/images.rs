//! `cistern edge images`.

use super::{Console, Exit};

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Arguments {}

pub(super) fn run(_arguments: &Arguments, console: &mut Console<'_>) -> Exit {
    console.complain("error: not there yet");
    Exit::Failure
}
