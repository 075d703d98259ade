//! The benchmark: Cistern beside nginx and Distribution, in turns, on the same bytes and the same machine.
//!
//! Absolute figures of a small, shared machine say little; what is judged are ratios of figures that were taken side by side.
//! It is no test: goals that are missed are printed, and only a run that could not measure ends with an error.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark: a failed step must end it with its place, it owns its files, and its figures are rounded anyway"
)]

mod figures;
mod machine;
mod options;
mod reader;
mod report;
mod rounds;
mod scenarios;
mod servers;
mod upstream;
mod wrk;

use cistern_tests::need;

fn main() {
    let options = match options::Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(text) => {
            println!("{text}");
            return;
        }
    };
    if let Some(missing) = need::missing(&["nginx", "docker-registry", "wrk"]) {
        eprintln!("the benchmark needs {missing} (a Debian package of this name)");
        std::process::exit(1);
    }
    let machine = machine::Machine::here();
    let mut figures = Vec::new();
    for scenario in scenarios::ALL {
        if options.wants(scenario.name) {
            eprintln!("{} …", scenario.name);
            let before = figures.len();
            figures.extend((scenario.run)(&options));
            for figure in figures.iter().skip(before) {
                eprintln!("  {}", report::line(figure));
            }
        }
    }
    println!("{}", report::table(&figures));
    if options.is_complete() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/RESULTS.md");
        std::fs::write(file, report::page(&machine, &options, &figures)).unwrap();
        println!("written to {file}");
    }
}
