//! Findings as they are gathered. Must not know what is looked for.

use super::rules::Rule;
use crate::{Finding, Place, Severity};

/// Where something was found.
#[derive(Clone, Debug)]
pub(super) struct Spot<'a> {
    file: &'a str,
    at: Option<Place>,
}

/// All findings so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

impl<'a> Spot<'a> {
    pub(super) fn at(file: &'a str, at: &Place) -> Self {
        Self {
            file,
            at: Some(at.clone()),
        }
    }

    pub(super) fn at_line(file: &'a str, line: usize) -> Self {
        Self {
            file,
            at: Some(super::at_line(line)),
        }
    }

    pub(super) const fn whole(file: &'a str) -> Self {
        Self { file, at: None }
    }
}

impl Report {
    /// Something was found.
    pub(super) fn add(
        &mut self,
        rule: &'static Rule,
        spot: Spot<'_>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.add_as(rule, rule.severity, spot, what.into(), fix.into());
    }

    /// Something was found that weighs less than its rule, because it rests on less.
    pub(super) fn add_as(
        &mut self,
        rule: &'static Rule,
        severity: Severity,
        spot: Spot<'_>,
        what: String,
        fix: String,
    ) {
        self.findings.push(Finding {
            severity: severity.min(rule.severity),
            rule: rule.id,
            file: spot.file.to_owned(),
            at: spot.at,
            what,
            why: rule.why.to_owned(),
            fix,
        });
    }

    /// The findings, in the order of `files` and of lines; what is about a whole file comes first in it. Nothing is said twice.
    pub(super) fn sorted(mut self, files: &[&str]) -> Vec<Finding> {
        let order = |finding: &Finding| {
            let file = files.iter().position(|file| *file == finding.file);
            (file, finding.at.as_ref().map(|at| at.line))
        };
        self.findings.sort_by_key(order);
        let mut kept: Vec<Finding> = Vec::new();
        for finding in self.findings {
            if !kept.contains(&finding) {
                kept.push(finding);
            }
        }
        kept
    }
}
