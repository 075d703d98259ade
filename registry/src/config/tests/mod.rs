//! What an operator may write and what comes of it, over texts and maps alone.

mod access;
mod drop_in;
mod environment;
mod files;
mod findings;
mod proxy;
mod refusals;
mod routes;
mod uplink;
mod warm;
mod yaml;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Config, ConfigErrors, FileChoice, Finding, LoadFrom, Loaded, Severity};

/// A file system and an environment.
#[derive(Clone, Default)]
struct Given {
    files: BTreeMap<PathBuf, String>,
    environment: BTreeMap<String, String>,
    strict: bool,
}

impl Given {
    fn nothing() -> Self {
        Self::default()
    }

    /// A configuration file, `/c.yml`.
    fn file(text: &str) -> Self {
        Self::nothing().with_file("/c.yml", text)
    }

    /// A configuration file with the version that every one of them needs.
    fn keys(text: &str) -> Self {
        Self::file(&format!("version: 0.1\n{text}"))
    }

    fn with_file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.to_owned());
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Loads `/c.yml` if it was given, else no file.
    fn load(&self) -> Result<Loaded, ConfigErrors> {
        let file = Path::new("/c.yml");
        let is_given = self.files.contains_key(file);
        self.load_choice(if is_given {
            FileChoice::Named(file.to_owned())
        } else {
            FileChoice::NotNamed
        })
    }

    fn load_choice(&self, file: FileChoice) -> Result<Loaded, ConfigErrors> {
        let read = |path: &Path| {
            self.files
                .get(path)
                .map(|text| text.clone().into_bytes())
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        Config::load(&LoadFrom {
            file,
            environment: &self.environment,
            strict: self.strict,
            read: &read,
        })
    }

    /// The configuration, which must have come without any finding.
    fn config(&self) -> Config {
        let loaded = self.load().unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(loaded.findings, [], "no finding was expected");
        loaded.config
    }

    /// The warnings of a configuration that loads.
    fn warnings(&self) -> Vec<String> {
        let loaded = self.load().unwrap_or_else(|errors| panic!("{errors}"));
        assert!(
            loaded
                .findings
                .iter()
                .all(|finding| finding.severity == Severity::Warning)
        );
        loaded.findings.iter().map(ToString::to_string).collect()
    }

    /// The errors of one that does not.
    fn errors(&self) -> Vec<String> {
        let errors = self.load().expect_err("this must not load");
        let errors: Vec<&Finding> = errors
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .collect();
        errors.iter().map(ToString::to_string).collect()
    }
}

/// Asserts that there is one text and that it holds every part.
fn assert_one(texts: &[String], parts: &[&str]) {
    let [text] = texts else {
        panic!("one finding was expected, not {texts:#?}")
    };
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
