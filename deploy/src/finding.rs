//! One thing that is wrong or doubtful in a deployment, said so that whoever reads it can mend it without looking anything up.
//!
//! Must not know how findings are printed, nor which rules there are.

use serde::Serialize;

/// How much a [`Finding`] weighs.
///
/// Ordered by weight: an error is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing has to be changed.
    Note,
    /// Works today, or works for some; will hurt.
    Warning,
    /// Does not work on a device as it is written.
    Error,
}

/// Where in a file something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Place {
    /// The path to it inside the document, in the document's own words:
    /// `$edgeAgent.properties.desired.modules.registry.settings.image`, `edge_ca.cert`.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// The rule that found it, as the page of rules names it: `upstream-without-port`.
    pub rule: &'static str,
    /// The file it is about, as the caller named it.
    pub file: String,
    /// Where in the file; none when it is about the file as a whole.
    pub at: Option<Place>,
    /// What is written there, or missing.
    pub what: String,
    /// Why that matters: what would be seen on the device.
    pub why: String,
    /// What to write or do instead.
    pub fix: String,
}

impl Severity {
    /// The word for it: `error`, `warning`, `note`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
