//! The settings of a registry module, judged by the server's own reader of configuration.

use std::collections::BTreeMap;
use std::io;

use cistern_deploy::Severity;
use cistern_deploy::check::SettingDoubt;

use crate::config::{self, Config, FileChoice, Finding, LoadFrom, Loaded, Place};

/// What the server says of this environment.
pub(super) fn judge(environment: &BTreeMap<String, String>) -> Vec<SettingDoubt> {
    let loaded = load(environment, None);
    findings(&loaded).into_iter().map(doubt).collect()
}

/// Loads a configuration that belongs to another machine: files in its container cannot be read from here.
pub(super) fn load(
    environment: &BTreeMap<String, String>,
    file: Option<(&str, &str)>,
) -> Result<Loaded, config::ConfigErrors> {
    let mut environment = environment.clone();
    environment.remove("REGISTRY_CONFIGURATION_PATH");
    // A device with a parent has it; on another one `$upstream` is found by another rule.
    let parent = "IOTEDGE_PARENTHOSTNAME".to_owned();
    environment
        .entry(parent)
        .or_insert_with(|| "parent.example".to_owned());
    let read = |path: &std::path::Path| match file {
        Some((name, text)) if path == std::path::Path::new(name) => Ok(text.as_bytes().to_vec()),
        Some(_) | None => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    Config::load(&LoadFrom {
        file: file.map_or(FileChoice::NotNamed, |(name, _)| {
            FileChoice::Named(name.into())
        }),
        environment: &environment,
        strict: false,
        read: &read,
    })
}

/// All findings that do not only say that a file of the container cannot be read here.
pub(super) fn findings(loaded: &Result<Loaded, config::ConfigErrors>) -> Vec<&Finding> {
    let all = match loaded {
        Ok(loaded) => &loaded.findings,
        Err(errors) => &errors.findings,
    };
    let is_about_a_file = |finding: &Finding| finding.what.contains("cannot be read");
    all.iter()
        .filter(|finding| !is_about_a_file(finding))
        .collect()
}

fn doubt(finding: &Finding) -> SettingDoubt {
    SettingDoubt {
        severity: match finding.severity {
            config::Severity::Error => Severity::Error,
            config::Severity::Warning => Severity::Warning,
        },
        variable: match &finding.place {
            Place::Variable(name) => Some(name.clone()),
            Place::File { .. } | Place::Default => None,
        },
        what: finding.what.clone(),
        fix: finding.advice.clone(),
    }
}
