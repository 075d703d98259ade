//! What is noticed in a configuration: where, what, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// Who set a value.
///
/// Ordered as an operator reads: the file from top to bottom, then the variables by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of the configuration file, counted from one.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line, counted from one; zero if the finding is about the whole file.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// Nobody: the value is our default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: 0 } => write!(out, "{}", path.display()),
            Self::File { path, line } => write!(out, "{}:{line}", path.display()),
            Self::Variable(name) => out.write_str(name),
            Self::Default => out.write_str("default"),
        }
    }
}

/// Whether a finding stops the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The server starts, and says this in its log.
    Warning,
    /// The server does not start.
    Error,
}

/// One thing noticed in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it stops the start.
    pub severity: Severity,
    /// The line or the variable it is about.
    pub place: Place,
    /// The key's path, such as `http.tls`; empty if it is about no key.
    pub key: String,
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

impl Finding {
    pub(super) fn error(
        place: Place,
        key: &str,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            place,
            key: key.to_owned(),
            what: what.into(),
            advice: advice.into(),
        }
    }

    pub(super) fn warning(
        place: Place,
        key: &str,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(place, key, what, advice)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(out, "{severity}: {}: ", self.place)?;
        if !self.key.is_empty() {
            write!(out, "{}: ", self.key)?;
        }
        write!(out, "{}", self.what)?;
        if !self.advice.is_empty() {
            write!(out, "; {}", self.advice)?;
        }
        Ok(())
    }
}

/// How many findings of each severity there are, in words: `1 error and 2 warnings`.
pub fn counted(findings: &[Finding]) -> String {
    let count = |severity, name: &str| {
        let of_it = findings
            .iter()
            .filter(|finding| finding.severity == severity);
        match of_it.count() {
            0 => None,
            1 => Some(format!("1 {name}")),
            several => Some(format!("{several} {name}s")),
        }
    };
    let counts = [
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    counts.join(" and ")
}

/// A configuration that no server is started with: all that was found in it, at least one of them an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// Errors and warnings, in the order of the file and then of the variables.
    pub findings: Vec<Finding>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, finding) in self.findings.iter().enumerate() {
            if position > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
