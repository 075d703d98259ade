//! The suite's printed report, read back. Its files are not used: when nothing may be pushed it crashes before it has written them.

/// How one test went, as the report says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// Its name, without what is the same in all.
    pub(crate) name: String,
    /// `FAIL`, `Error` or `Skip`.
    pub(crate) status: String,
    /// Why, on one line.
    pub(crate) reason: String,
}

/// What the suite has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// The word behind `OCI Conformance Result:`; empty when the report did not get that far.
    pub(crate) result: String,
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) errors: u32,
    pub(crate) skipped: u32,
    /// Every test that did not pass and says why.
    pub(crate) complaints: Vec<Complaint>,
}

const ROOT: &str = "OCI Conformance Test/";
const RESULT: &str = "OCI Conformance Result: ";

impl Report {
    /// Reads what the suite has printed.
    pub(crate) fn read(output: &str) -> Self {
        let mut report = Self::default();
        let mut lines = output.lines();
        let tests = lines.by_ref().take_while(|line| *line != "Configuration:");
        for line in tests {
            report.take_test(line);
        }
        report
            .complaints
            .retain(|complaint| !complaint.reason.is_empty());
        let Some(result) = lines.find_map(|line| line.strip_prefix(RESULT)) else {
            return report;
        };
        result.clone_into(&mut report.result);
        for line in lines.take_while(|line| !line.is_empty()) {
            report.take_count(line);
        }
        report
    }

    /// `  name: Status`, or a line about the test before it.
    fn take_test(&mut self, line: &str) {
        let line = line.trim();
        if let Some(test) = line.strip_prefix(ROOT) {
            let (name, status) = test.rsplit_once(": ").unwrap_or((test, ""));
            self.complaints.push(Complaint {
                name: name.to_owned(),
                status: status.to_owned(),
                reason: String::new(),
            });
        } else if let Some(last) = self.complaints.last_mut() {
            let words = line.strip_prefix("- ").unwrap_or(line);
            if last.status != "Pass" && last.status != "Disabled" && !words.is_empty() {
                if !last.reason.is_empty() {
                    last.reason.push_str("; ");
                }
                last.reason.push_str(words);
            }
        }
    }

    /// `  Pass..........................:        710`
    fn take_count(&mut self, line: &str) {
        let Some((name, number)) = line.split_once(':') else {
            return;
        };
        let number = number.trim().parse().unwrap_or(0);
        match name.trim().trim_end_matches('.') {
            "Pass" => self.passed = number,
            "FAIL" => self.failed = number,
            "Error" => self.errors = number,
            "Skip" => self.skipped = number,
            _ => {}
        }
    }

    /// Whether it came to its end without anything failing; without a skip too, where none is allowed.
    pub(crate) fn is_good(&self, skips_allowed: bool) -> bool {
        self.result == "Pass"
            && self.passed > 0
            && self.failed == 0
            && self.errors == 0
            && (skips_allowed || self.skipped == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Test results
OCI Conformance Test: FAIL
  OCI Conformance Test/ping: Pass
  OCI Conformance Test/empty: FAIL
    OCI Conformance Test/empty/tag list: Pass
    OCI Conformance Test/empty/referrers: FAIL
     - header value mismatch: received [\"x\"]
received 404
  OCI Conformance Test/blobs/post only: Skip
   - unsupported

Configuration:
  registry: 127.0.0.1
  data:
    image: true

OCI Conformance Result: FAIL
  Disabled......................:          2
  Skip..........................:         46
  Pass..........................:        710
  FAIL..........................:         92
  Error.........................:          1
  Total.........................:        851

API conformance:
  Pass..........................:         Pass
";

    #[test]
    fn counts_and_reasons_are_read_from_what_is_printed() {
        let report = Report::read(TEXT);
        assert_eq!(
            (
                report.passed,
                report.failed,
                report.errors,
                report.skipped,
                report.result.as_str()
            ),
            (710, 92, 1, 46, "FAIL")
        );
        let complaint = |name: &str, status: &str, reason: &str| Complaint {
            name: name.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
        };
        assert_eq!(
            report.complaints,
            [
                complaint(
                    "empty/referrers",
                    "FAIL",
                    "header value mismatch: received [\"x\"]; received 404"
                ),
                complaint("blobs/post only", "Skip", "unsupported"),
            ]
        );
    }

    #[test]
    fn only_a_report_that_came_to_its_end_is_good_and_a_skip_only_where_it_is_allowed() {
        let good = TEXT
            .replace("Result: FAIL", "Result: Pass")
            .replace(" 92", "  0")
            .replace("  1\n", "  0\n");
        assert!(Report::read(&good).is_good(true) && !Report::read(&good).is_good(false));
        assert!(Report::read(&good.replace(" 46", "  0")).is_good(false));
        assert!(!Report::read(TEXT).is_good(true));
        let cut = good.split("OCI Conformance Result").next().unwrap();
        assert!(!Report::read(cut).is_good(true));
    }
}
