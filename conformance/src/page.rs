//! What was found, for the terminal and as a page to keep.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use cistern_tests::{markdown, need};

use crate::options::Options;
use crate::report::Report;
use crate::setups::Outcome;

/// So many complaints are told on the terminal: who has more has one cause for most of them.
const COMPLAINTS: usize = 40;

/// What stands in the way of one outcome: the tests of Cistern that did not pass, and why.
pub(crate) fn told(outcome: &Outcome) -> String {
    let Some(report) = &outcome.cistern else {
        return "  not run: docker-registry is missing here".to_owned();
    };
    let mut text = format!("  Cistern: {}", counts(Some(report)));
    for complaint in report.complaints.iter().take(COMPLAINTS) {
        write!(
            text,
            "\n  {}: {}\n    {}",
            complaint.status, complaint.name, complaint.reason
        )
        .unwrap();
    }
    let more = report.complaints.len().saturating_sub(COMPLAINTS);
    if more > 0 {
        write!(text, "\n  … and {more} more").unwrap();
    }
    text
}

/// All outcomes as a markdown table.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut rows = vec![["set-up", "Cistern", "Distribution", "verdict"].map(str::to_owned)];
    rows.extend(outcomes.iter().map(|outcome| {
        [
            format!("{} ({})", outcome.setup.what, outcome.setup.name),
            counts(outcome.cistern.as_ref()),
            counts(outcome.distribution.as_ref()),
            (if outcome.is_passed() { "PASS" } else { "FAIL" }).to_owned(),
        ]
    }));
    markdown::table(&rows)
}

/// Writes the table where the README shows it.
pub(crate) fn put_into_readme(table: &str) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    markdown::put_into_file(Path::new(file), "conformance", table);
}

fn counts(report: Option<&Report>) -> String {
    let Some(report) = report else {
        return "–".to_owned();
    };
    let mut text = format!("{} pass, {} fail", report.passed, report.failed);
    for (number, name) in [(report.errors, "error"), (report.skipped, "skip")] {
        if number > 0 {
            write!(text, ", {number} {name}").unwrap();
        }
    }
    text
}

/// The page that is kept.
pub(crate) fn page(outcomes: &[Outcome], options: &Options) -> String {
    let mut page = format!(
        "# The OCI conformance suite\n\nWritten by `conformance/run --update`; do not edit.\n
- suite: `github.com/opencontainers/distribution-spec/conformance` {}
- Distribution: {}, deletion and foreign layers allowed\n\n{}\n",
        options.version,
        distribution(),
        table(outcomes)
    );
    page.push_str(
        "The numbers are those of the suite's own report, which counts groups of tests as tests too. A set-up passes when nothing fails, and, \
where\neverything can be pushed, nothing is skipped. The suite tells what a registry does not support as skipped. In the roles of a cache it pushes\n\
nothing: this program has pushed to the upstream before, and the cache was empty.\n\n",
    );
    page.push_str("## What does not pass\n\nGroups of tests with the number of their tests that fail or are skipped.\n\n");
    for outcome in outcomes {
        for (name, report) in [
            ("Cistern", &outcome.cistern),
            ("Distribution", &outcome.distribution),
        ] {
            let groups = report.as_ref().map(groups).unwrap_or_default();
            if !groups.is_empty() {
                writeln!(page, "- **{}, {name}**: {groups}", outcome.setup.name).unwrap();
            }
        }
    }
    page
}

/// `range requests 2, sha512 blobs 30`
fn groups(report: &Report) -> String {
    let mut groups = BTreeMap::<&str, u32>::new();
    for complaint in &report.complaints {
        let group = complaint.name.split('/').next().unwrap_or_default();
        *groups.entry(group).or_default() += 1;
    }
    let groups: Vec<_> = groups
        .iter()
        .map(|(group, count)| format!("{group} {count}"))
        .collect();
    groups.join(", ")
}

fn distribution() -> String {
    let Some(program) = need::find_program("docker-registry") else {
        return "missing".to_owned();
    };
    let output = Command::new(program).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.split_whitespace().last().unwrap_or("").to_owned()
}
