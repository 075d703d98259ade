//! `cistern serve`: load the configuration, then hand over to the application.

use super::{Console, Environment, Exit, load_from};
use crate::config::{Config, FileChoice};

pub(super) fn run(
    file: FileChoice,
    strict: bool,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    match Config::load(&load_from(file, strict, environment)) {
        Ok(loaded) => {
            // SEAM: crate::app::serve(loaded.config, loaded.findings) goes here and says the findings in the log.
            for finding in &loaded.findings {
                console.complain(finding);
            }
            console.complain("serve is not built yet");
            Exit::Failure
        }
        Err(errors) => {
            console.complain(errors);
            console.complain("The server does not start with this configuration.");
            Exit::Misuse
        }
    }
}
