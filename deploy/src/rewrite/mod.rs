//! Images of a deployment manifest for a lower layer, and the way back.
//!
//! Only image names and the addresses of credentials change. Routes, environments, create options and twins stay byte for byte;
//! what a reader should change there is said. Must not know files or flags.

mod credentials;
mod lower;
mod registry;
#[cfg(test)]
mod tests;
mod top;

use std::collections::BTreeMap;

use crate::manifest::Located;
use crate::{Document, Edits, Finding, Manifest, NotAManifest, Place, Severity};

pub use registry::is_same_registry;

/// How a manifest becomes one of a lower layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowerOptions {
    /// The port of the parent's API proxy.
    pub port: u16,
    /// The registries whose images come from the parent from now on; empty: all of them.
    pub registries: Vec<String>,
}

/// How a manifest becomes one of the top layer: what `$upstream` stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopOptions {
    /// The registry of every image that no entry of `maps` says otherwise of.
    pub registry: Option<String>,
    /// The registry of repositories by how they begin, `azureiotedge-` or `team/`; the longest beginning counts.
    pub maps: BTreeMap<String, String>,
    /// The address of credentials by their name in the manifest.
    pub credentials: BTreeMap<String, String>,
}

/// A manifest that was rewritten.
#[derive(Clone, Debug)]
pub struct Rewritten {
    /// Its text.
    pub text: String,
    /// What is different, in the order of the text.
    pub changes: Vec<Change>,
    /// What the reader should know. With an error among them the text is not fit to be deployed.
    pub findings: Vec<Finding>,
    /// After [`to_lower`], what [`to_top`] has to be told so that it finds the way back.
    pub way_back: TopOptions,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub at: Place,
    /// What was there.
    pub from: String,
    /// What is there now.
    pub to: String,
}

/// Rewrites a manifest for a layer that has a parent: images become `$upstream:<port>/…`.
///
/// # Errors
/// The document is no deployment manifest.
pub fn to_lower(
    file: &str,
    document: &Document,
    options: &LowerOptions,
) -> Result<Rewritten, NotAManifest> {
    let manifest = Manifest::read(document)?;
    let mut work = Work::new(file);
    let way_back = lower::rewrite(&manifest, options, &mut work);
    Ok(work.finish(document, way_back))
}

/// Rewrites a manifest for the layer that has no parent: `$upstream` becomes the registry it stood for.
///
/// # Errors
/// The document is no deployment manifest.
pub fn to_top(
    file: &str,
    document: &Document,
    options: &TopOptions,
) -> Result<Rewritten, NotAManifest> {
    let manifest = Manifest::read(document)?;
    let mut work = Work::new(file);
    top::rewrite(&manifest, options, &mut work);
    Ok(work.finish(document, TopOptions::default()))
}

/// What has been found and decided so far.
struct Work<'input> {
    file: &'input str,
    edits: Edits,
    changes: Vec<(usize, Change)>,
    findings: Vec<Finding>,
}

/// What is wrong, why that matters, and what to do.
struct Said {
    what: String,
    why: String,
    fix: String,
}

// === impl Rewritten ===

impl Rewritten {
    /// Whether an error was found: then the text is not what was wanted.
    pub fn has_errors(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| finding.severity == Severity::Error)
    }
}

// === impl TopOptions ===

impl TopOptions {
    /// The registry of a repository.
    fn registry_of(&self, repository: &str) -> Option<&str> {
        let matching = self
            .maps
            .iter()
            .filter(|(prefix, _)| repository.starts_with(prefix.as_str()));
        let longest = matching.max_by_key(|(prefix, _)| prefix.len());
        let registry = longest
            .map(|(_, registry)| registry)
            .or(self.registry.as_ref());
        registry.map(String::as_str)
    }

    /// Whether nothing is said of any image or credentials.
    pub fn is_empty(&self) -> bool {
        self.registry.is_none() && self.maps.is_empty() && self.credentials.is_empty()
    }
}

// === impl Work ===

impl<'input> Work<'input> {
    fn new(file: &'input str) -> Self {
        Self {
            file,
            edits: Edits::default(),
            changes: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Blanks around the old value stay.
    fn change(&mut self, old: &Located<String>, to: &str) {
        let trimmed = old.value.trim();
        if trimmed == to {
            return;
        }
        let blanks = old.value.split_once(trimmed).unwrap_or_default();
        let to = format!("{}{to}{}", blanks.0, blanks.1);
        self.edits.replace_span(old.span.clone(), &to);
        let change = Change {
            at: old.at.clone(),
            from: old.value.clone(),
            to,
        };
        self.changes.push((old.span.start, change));
    }

    fn say(&mut self, severity: Severity, rule: &'static str, at: Option<&Place>, said: Said) {
        let Said { what, why, fix } = said;
        self.findings.push(Finding {
            severity,
            rule,
            file: self.file.to_owned(),
            at: at.cloned(),
            what,
            why,
            fix,
        });
    }

    fn finish(mut self, document: &Document, way_back: TopOptions) -> Rewritten {
        self.changes.sort_by_key(|(start, _)| *start);
        self.findings
            .sort_by_key(|finding| finding.at.as_ref().map_or(usize::MAX, |at| at.line));
        Rewritten {
            text: self.edits.apply(document),
            changes: self.changes.into_iter().map(|(_, change)| change).collect(),
            findings: self.findings,
            way_back,
        }
    }
}
