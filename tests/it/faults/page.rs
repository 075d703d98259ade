//! The page of the matrix, written from what a run has seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cistern_tests::markdown::table;

use super::judge::{After, Saw};
use super::situation::Situation;
use super::{Row, Seen};

const HEAD: &str = "# When the upstream fails

What callers see while the link or the upstream fails, what is kept meanwhile, and what follows once the fault is gone. Every cell is
from a run of the tests against a real process (`cargo test -p cistern-tests --test it faults`, with `UPDATE_DOCS=1` to write this page);
the tests fail when a cell is not what is due, when anything wrong is kept or passes for complete, or when a cell does not
recover by itself.

- *200*: all of it, right to the byte, as it is at the upstream now; where the fault strikes in the middle, in one uninterrupted answer.
- *200, stale*: the tag as it was cached, at once or after `proxy.checkdeadline`, with `Warning: 299`.
- *200, cut*: right bytes so far, then the connection is closed before the end, after `proxy.hold` where it was worth waiting; clients see
  an error, never a short blob.
- *200, slow*: what has come is passed on as it comes.
- *200, empty*: an empty list: this upstream serves none, as far as it says.
- *503 UNAVAILABLE*: with `Retry-After`, within 25 s. Remembered for 5 s, so that a herd is calmed; then the upstream is asked again.
- *404*: the upstream said so. Remembered for 10 s for tags and manifests, not at all for blobs.

The blob that is partly here was begun by a process that was killed in the middle of it. Blobs are asked for as clients do, after their
manifest; `proxy.hold` is 3 s.

";

/// The whole page.
pub(super) fn page(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    text.push_str("## What the caller sees\n\n");
    text.push_str(&overview(rows));
    text.push_str("\n## What is kept meanwhile\n\n");
    text.push_str("Of what a caller asked for, while the fault is there.\n\n");
    text.push_str(&kept(rows));
    text
}

fn overview(rows: &[Row]) -> String {
    let titles = Situation::ALL.map(|situation| situation.title().to_owned());
    let [a, b, c, d, e, f, g, h] = titles;
    let mut lines = vec![["fault".to_owned(), a, b, c, d, e, f, g, h]];
    for row in rows {
        let mut line: [String; 9] = Default::default();
        line[0].clone_from(&row.fault);
        for (cell, seen) in line[1..].iter_mut().zip(&row.cells) {
            *cell = seen.saw.words();
        }
        lines.push(line);
    }
    table(&lines)
}

/// Of each situation: which faults leave what.
fn kept(rows: &[Row]) -> String {
    let mut text = String::new();
    for (column, situation) in Situation::ALL.into_iter().enumerate() {
        let mut by_outcome: BTreeMap<[String; 3], Vec<&str>> = BTreeMap::new();
        for row in rows {
            let cell = &row.cells[column];
            let outcome = [
                cell.saw.words(),
                cell.kept.to_owned(),
                after(cell).to_owned(),
            ];
            by_outcome.entry(outcome).or_default().push(&row.fault);
        }
        let most = by_outcome.values().map(Vec::len).max().unwrap_or(0);
        let head = ["the caller saw", "kept", "once the fault is gone", "with"];
        let mut lines = vec![head.map(str::to_owned)];
        for ([saw, kept, after], faults) in by_outcome {
            let with = match faults.len() {
                count if count == rows.len() => "all".to_owned(),
                count if count == most => "all others".to_owned(),
                _ => faults.join("; "),
            };
            lines.push([saw, kept, after, with]);
        }
        writeln!(text, "### {}\n\n{}", situation.title(), table(&lines)).unwrap();
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// What the run has waited for, in the words of the rule behind it.
fn after(cell: &Seen) -> &'static str {
    match (&cell.saw, cell.after) {
        (Saw::Whole, _) => "-",
        (Saw::Stale, _) => "checked again, and served as it is",
        (Saw::Coming, _) => "comes as fast as it can",
        (Saw::Cut, _) if cell.kept == "a part" => "asked again: all of it, from where it was",
        (Saw::Cut, _) => "asked again: all of it",
        (Saw::Refused(503, _), _) => "good after 5 s, or when the link is back",
        (_, After::AtOnce) => "good at the next request",
        (_, After::Soon) => "good after 10 s",
        (_, After::Later) => "asked for again after ten minutes",
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/docs/faults.md")
}

/// Compares the page with what a run has seen; `UPDATE_DOCS=1` writes it.
pub(super) fn assert_page(rows: &[Row]) {
    let expected = page(rows);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(file(), &expected).unwrap();
    }
    let found = std::fs::read_to_string(file()).unwrap_or_default();
    let differs: String = expected
        .lines()
        .filter(|line| !found.contains(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(
        found == expected,
        "deploy/docs/faults.md is out of date; run the test with UPDATE_DOCS=1. This run saw:\n{differs}"
    );
}
