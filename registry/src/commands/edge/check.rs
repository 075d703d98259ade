//! `cistern edge check`: opens the files, brings what is known of them, prints what `cistern_deploy` found.

mod facts;
mod settings;
mod swap;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cistern_deploy::check::{DeviceFile, FileFacts, FirstLayer, Inputs, NamedText, check};
use cistern_deploy::device_config::DeviceConfig;
use cistern_deploy::{Finding, Severity};
use cistern_storage::{Clock as _, SystemClock};
use clap::ValueEnum;

use super::online::{self, OnlineArguments};
use super::{Console, Environment, Exit};
use crate::commands::arguments::Format;
use crate::upstream::Contact;

/// What is wrong or doubtful in deployment manifests and config.toml: deploy/docs/checks.md lists all rules
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Arguments {
    /// Deployment manifests, from the top layer downwards; `-` is standard input
    files: Vec<PathBuf>,
    /// config.toml files; with as many as manifests, the n-th belongs to the n-th
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    config_toml: Vec<PathBuf>,
    /// Look for the certificates and keys that config.toml names below this folder
    #[arg(long, value_name = "FOLDER", requires = "config_toml")]
    root: Option<PathBuf>,
    /// What the first manifest is, when no config.toml says it
    #[arg(long, value_enum)]
    layer: Option<LayerArgument>,
    /// Say what would change if Cistern took the place of the registry in FILE: a deployment manifest, what `docker inspect`
    /// prints, a config.yml, or the last two together; without FILE standard input
    #[arg(long, conflicts_with_all = ["config_toml", "layer"])]
    from_distribution: bool,
    /// For people, or one document for programs
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    online: OnlineArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LayerArgument {
    /// It has no parent
    Top,
    /// It has a parent
    Lower,
}

/// A file that was read.
pub(super) struct Text {
    pub(super) name: String,
    pub(super) text: String,
}

pub(super) fn run(
    arguments: &Arguments,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    let texts = match read_all(arguments) {
        Ok(texts) => texts,
        Err(why) => {
            console.complain(format!("error: {why}"));
            return Exit::Misuse;
        }
    };
    if arguments.from_distribution {
        return swap::run(&texts.manifests, arguments.format, console);
    }
    let mut findings = findings(&texts, arguments);
    let mut hosts = Vec::new();
    if arguments.online.is_wanted() {
        match online::look(
            &arguments.online,
            &texts.manifests,
            &texts.devices,
            environment,
        ) {
            Ok(found) => {
                findings.extend(found.findings);
                hosts = found.hosts;
            }
            Err(why) => {
                console.complain(format!("error: {why}"));
                return Exit::Misuse;
            }
        }
    }
    let files = texts.manifests.len() + texts.devices.len();
    match arguments.format {
        Format::Json => console.say(document(&findings, &hosts)),
        Format::Text => {
            for finding in &findings {
                say(finding, console);
            }
            online::say_hosts(&hosts, console);
            console.say(last_line(&findings, files));
        }
    }
    if count(&findings, Severity::Error) > 0 {
        Exit::Failure
    } else {
        Exit::Success
    }
}

struct Texts {
    manifests: Vec<Text>,
    devices: Vec<Text>,
}

fn read_all(arguments: &Arguments) -> Result<Texts, String> {
    let standard_input = [PathBuf::from("-")];
    let files = match arguments.files.as_slice() {
        [] if arguments.from_distribution => &standard_input,
        [] if arguments.config_toml.is_empty() => {
            return Err("name a deployment manifest, or a config.toml behind --config-toml; see `cistern edge check --help`".to_owned());
        }
        files => files,
    };
    let named = files.iter().chain(&arguments.config_toml);
    let names: Vec<_> = named.collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    if distinct.len() < names.len() {
        return Err("a file is named twice".to_owned());
    }
    let read = |paths: &[PathBuf]| -> Result<Vec<Text>, String> {
        paths.iter().map(|path| read_one(path)).collect()
    };
    Ok(Texts {
        manifests: read(files)?,
        devices: read(&arguments.config_toml)?,
    })
}

fn read_one(path: &Path) -> Result<Text, String> {
    let name = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    match text {
        Ok(text) => Ok(Text { name, text }),
        Err(error) => Err(format!("{name} cannot be read: {error}")),
    }
}

fn findings(texts: &Texts, arguments: &Arguments) -> Vec<Finding> {
    let manifests: Vec<NamedText<'_>> = texts
        .manifests
        .iter()
        .map(|text| NamedText {
            file: &text.name,
            text: &text.text,
        })
        .collect();
    let files: Vec<Vec<FileFacts>> = texts
        .devices
        .iter()
        .map(|device| match DeviceConfig::read(&device.text) {
            Ok(config) => {
                facts::gather(&config, Path::new(&device.name), arguments.root.as_deref())
            }
            Err(_) => Vec::new(),
        })
        .collect();
    let devices: Vec<DeviceFile<'_>> = texts
        .devices
        .iter()
        .zip(&files)
        .map(|(device, files)| DeviceFile {
            file: &device.name,
            text: &device.text,
            files,
        })
        .collect();
    check(&Inputs {
        manifests: &manifests,
        devices: &devices,
        first_layer: match arguments.layer {
            None => FirstLayer::Guessed,
            Some(LayerArgument::Top) => FirstLayer::Top,
            Some(LayerArgument::Lower) => FirstLayer::Lower,
        },
        now: SystemClock.now(),
        settings: &settings::judge,
    })
}

fn say(finding: &Finding, console: &mut Console<'_>) {
    let line = finding
        .at
        .as_ref()
        .map_or_else(String::new, |at| format!(":{}", at.line));
    console.say(format!(
        "{}{line}: {}: {} [{}]",
        finding.file, finding.severity, finding.what, finding.rule
    ));
    if let Some(at) = finding.at.as_ref().filter(|at| !at.path.is_empty()) {
        console.say(format!("    at   {}", at.path));
    }
    console.say(format!("    why  {}", finding.why));
    console.say(format!("    fix  {}", finding.fix));
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    let of_it = findings
        .iter()
        .filter(|finding| finding.severity == severity);
    of_it.count()
}

fn last_line(findings: &[Finding], files: usize) -> String {
    let several = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    };
    let of = |severity: Severity| several(count(findings, severity), severity.as_str());
    format!(
        "{}, {}, {} in {}",
        of(Severity::Error),
        of(Severity::Warning),
        of(Severity::Note),
        several(files, "file")
    )
}

fn document(findings: &[Finding], hosts: &[Contact]) -> String {
    let document = serde_json::json!({
        "findings": findings,
        "hosts": hosts,
        "errors": count(findings, Severity::Error),
        "warnings": count(findings, Severity::Warning),
        "notes": count(findings, Severity::Note),
    });
    format!("{document:#}")
}
