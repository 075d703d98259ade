//! `cistern edge check`.

use super::{Console, Environment, Exit};

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Arguments {}

pub(super) fn run(
    _arguments: &Arguments,
    _environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    console.complain("error: not there yet");
    Exit::Failure
}
