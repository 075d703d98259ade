//! `cistern edge …`: deployments of IoT Edge, read and written by `cistern_deploy`. This room opens the files and asks the
//! network; what it means is decided there.

mod check;
mod files;
mod generate;
mod images;
mod online;
mod rewrite;

use clap::Subcommand;

use super::{Console, Environment, Exit};

#[derive(Debug, Subcommand)]
pub(super) enum EdgeCommand {
    /// Rewrite the images of a deployment manifest for a lower layer, or back for the top one
    Rewrite(rewrite::Arguments),
    /// Look for what is wrong or doubtful in deployment manifests and config.toml
    Check(check::Arguments),
    /// List the images that a hierarchy needs, layer by layer
    Images(images::Arguments),
    /// Write deployment manifests and config.toml for a hierarchy
    Generate(Box<generate::Arguments>),
}

pub(super) fn run(
    command: &EdgeCommand,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    match command {
        EdgeCommand::Rewrite(arguments) => rewrite::run(arguments, console),
        EdgeCommand::Check(arguments) => check::run(arguments, environment, console),
        EdgeCommand::Images(arguments) => images::run(arguments, console),
        EdgeCommand::Generate(arguments) => generate::run(arguments, console),
    }
}
