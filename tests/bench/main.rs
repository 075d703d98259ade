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
mod placement;
mod reader;
mod report;
mod rounds;
mod scenarios;
mod servers;
mod upstream;
mod wrk;

use std::path::Path;

use cistern_tests::{markdown, need};

use figures::Figure;
use machine::Machine;
use options::Options;

fn main() {
    let options = match Options::read(std::env::args().skip(1)) {
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
    let machine = Machine::here();
    let (mut figures, mut of_the_link) = (Vec::new(), Vec::new());
    for scenario in scenarios::ALL {
        if options.wants(scenario.name) {
            eprintln!("{} …", scenario.name);
            let measured = (scenario.run)(&options);
            for figure in &measured {
                eprintln!("  {}", report::line(figure));
            }
            if scenario.of_the_link {
                of_the_link.extend(measured);
            } else {
                figures.extend(measured);
            }
        }
    }
    if !figures.is_empty() {
        println!("{}", report::table(&figures));
    }
    if !of_the_link.is_empty() {
        println!("{}", report::link_table(&of_the_link));
    }
    keep(&machine, &options, &figures, &of_the_link);
}

/// Writes the pages that the options ask for.
fn keep(machine: &Machine, options: &Options, figures: &[Figure], of_the_link: &[Figure]) {
    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/RESULTS.md");
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let section = report::link_section(machine, of_the_link);
    if options.is_complete() {
        let page = report::page(machine, options, figures, &section);
        std::fs::write(results, page).unwrap();
        println!("written to {results}");
    } else if options.update {
        markdown::put_into_file(Path::new(results), "uplink", &section);
        println!("written to {results}");
    }
    if options.update {
        let table = report::link_table(of_the_link);
        markdown::put_into_file(Path::new(readme), "uplink", &table);
        println!("written to {readme}");
    }
}
