//! The official OCI conformance suite against Cistern in each of its roles, and beside it what Debian's Distribution gets.
//!
//! It starts the servers, fills them with what a set-up needs, runs the suite, and judges its report: no set-up may have a test that
//! fails, and where everything can be pushed none that is skipped. `conformance/run` builds all that this needs and starts it.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program for the terminal that must end with the place of what goes wrong, and owns its files"
)]

mod content;
mod options;
mod page;
mod report;
mod setups;
mod suite;

use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(text) => {
            println!("{text}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut outcomes = Vec::new();
    for setup in setups::ALL {
        if options.wants(setup.name) {
            println!("{} …", setup.name);
            let outcome = runtime.block_on(setups::run(setup, &options));
            println!("{}", page::told(&outcome));
            outcomes.push(outcome);
        }
    }
    println!("{}", page::table(&outcomes));
    if options.update {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");
        std::fs::write(file, page::page(&outcomes, &options)).unwrap();
        page::put_into_readme(&page::table(&outcomes));
        println!("written to {file} and into the README");
    }
    let failed = outcomes
        .iter()
        .filter(|outcome| !outcome.is_passed())
        .count();
    println!("{} passed, {failed} failed", outcomes.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
