//! The `cistern` program: hands its arguments and its environment to a command, and turns what comes back into an exit code.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;

use cistern::commands::{self, Console};

fn main() -> ExitCode {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .collect();
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let mut console = Console {
        out: &mut out,
        err: &mut err,
    };
    commands::run(std::env::args_os().collect(), &environment, &mut console).into()
}
