//! What is wrong or doubtful in the deployment manifests and `config.toml` files of a hierarchy.
//!
//! One file per subject; [`rules`] is the table of all that is looked for. Pure: files, their owners, the time and the judge of a
//! registry's settings are brought by the caller.
//!
//! How layers are known: with as many `config.toml` as manifests, the n-th belongs to the n-th, and `parent_hostname` says who is
//! above whom. Otherwise manifests are layers from top to bottom, one below the other. What the first one is, a top layer or a
//! lower one, can be said ([`FirstLayer`]); else it is a lower one if its runtime is pulled from `$upstream`, and findings that rest
//! on this guess alone are warnings.

mod agent;
mod credentials;
mod deployment;
mod device_files;
mod device_names;
mod images;
mod layers;
mod page;
mod parts;
mod ports;
mod proxy;
mod reach;
mod registry_module;
mod report;
mod rules;
mod trust;
mod upgrade;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::device_config::DeviceConfig;
use crate::{Document, Finding, Manifest, Place, Severity};

use layers::{Device, Layers};
use report::{Report, Spot};

pub use page::page;
pub use parts::{Program, RegistryModule, registry_modules};
pub use rules::{Group, Rule, groups};

/// A file and its text.
#[derive(Clone, Copy, Debug)]
pub struct NamedText<'a> {
    /// The file, as findings name it.
    pub file: &'a str,
    /// What it holds.
    pub text: &'a str,
}

/// A `config.toml`, and what is known of the files it names.
#[derive(Clone, Copy, Debug)]
pub struct DeviceFile<'a> {
    /// The file, as findings name it.
    pub file: &'a str,
    /// What it holds.
    pub text: &'a str,
    /// The files it names; one that is not among them is not judged.
    pub files: &'a [FileFacts],
}

/// What is known of a file that a `config.toml` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Its path, as the URI in the `config.toml` has it without `file://`.
    pub path: String,
    /// What it holds; an error is why it cannot be read.
    pub contents: Result<String, String>,
    /// Whether it was looked for on the device itself; elsewhere a file that is missing is only a warning.
    pub is_on_device: bool,
    /// Who owns it, and what others may do; none where that says nothing about the device.
    pub access: Option<Access>,
    /// The same of its folder.
    pub folder: Option<Access>,
}

/// Owner and permissions of a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The name of the user, or the number where it has none.
    pub owner: String,
    /// The permission bits: `0o644`.
    pub mode: u32,
}

/// What the first manifest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstLayer {
    /// Not said.
    #[default]
    Guessed,
    /// A top layer: it has no parent.
    Top,
    /// A layer that has a parent.
    Lower,
}

/// What a judge of a registry's environment says of one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDoubt {
    /// How much it weighs.
    pub severity: Severity,
    /// The variable; none if it is about all of them.
    pub variable: Option<String>,
    /// What is the matter.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// Judges the environment of a registry module.
pub type SettingsJudge<'a> = dyn Fn(&BTreeMap<String, String>) -> Vec<SettingDoubt> + 'a;

/// What is checked, and with what.
pub struct Inputs<'a> {
    /// Deployment manifests, from the top layer downwards.
    pub manifests: &'a [NamedText<'a>],
    /// `config.toml` files.
    pub devices: &'a [DeviceFile<'a>],
    /// What the first manifest is.
    pub first_layer: FirstLayer,
    /// The time by which certificates are judged.
    pub now: SystemTime,
    /// Who knows the settings of a registry module.
    pub settings: &'a SettingsJudge<'a>,
}

/// Everything that is found, ordered by file, as they were given, and by line.
pub fn check(inputs: &Inputs<'_>) -> Vec<Finding> {
    let mut report = Report::default();
    let manifests: Vec<Option<Manifest>> = inputs
        .manifests
        .iter()
        .map(|file| read_manifest(*file, &mut report))
        .collect();
    let devices: Vec<Option<DeviceConfig>> = inputs
        .devices
        .iter()
        .map(|file| read_device(file, &mut report))
        .collect();
    let devices: Vec<Option<Device<'_>>> = devices
        .iter()
        .zip(inputs.devices)
        .map(|(config, given)| Some(Device::of(given, config.as_ref()?)))
        .collect();
    let layers = Layers::of(inputs, &manifests, &devices);
    check_manifests(inputs, &layers, &mut report);
    let known: Vec<&Device<'_>> = devices.iter().flatten().collect();
    device_names::check(&known, &mut report);
    agent::check(&known, &layers, &mut report);
    device_files::check(&known, &mut report);
    trust::check(&known, inputs.now, &mut report);
    let files = inputs.manifests.iter().map(|given| given.file);
    let order: Vec<&str> = files
        .chain(inputs.devices.iter().map(|given| given.file))
        .collect();
    report.sorted(&order)
}

fn check_manifests(inputs: &Inputs<'_>, layers: &Layers<'_>, report: &mut Report) {
    for layer in layers.iter() {
        images::check(layer, layers, report);
        reach::check(layer, report);
        credentials::check(layer, layers, report);
        proxy::check(layer, layers, report);
        ports::check(layer, report);
        registry_module::check(layer, inputs.settings, report);
        upgrade::check(layer, layers, report);
        deployment::check(layer, report);
    }
}

fn read_manifest(given: NamedText<'_>, report: &mut Report) -> Option<Manifest> {
    let (line, why) = match Document::parse(given.text) {
        Ok(document) => match Manifest::read(&document) {
            Ok(manifest) => return Some(manifest),
            Err(error) => (error.line, error.what),
        },
        Err(error) => (error.line, error.to_string()),
    };
    report.add(
        rules::NOT_A_MANIFEST,
        Spot::at_line(given.file, line),
        format!("this is no deployment manifest: {why}"),
        "give the file that is given to `az iot edge set-modules --content`, with `modulesContent` in it",
    );
    None
}

fn read_device(given: &DeviceFile<'_>, report: &mut Report) -> Option<DeviceConfig> {
    match DeviceConfig::read(given.text) {
        Ok(config) => Some(config),
        Err(error) => {
            report.add(
                rules::NOT_TOML,
                Spot::at_line(given.file, error.line),
                format!("this is no TOML: {}", error.message),
                "mend this line; `key = \"value\"`, sections as `[section]`",
            );
            None
        }
    }
}

/// The path a `file:///…` URI names.
pub fn path_of_uri(uri: &str) -> Option<&str> {
    uri.strip_prefix("file://")
        .filter(|path| path.starts_with('/'))
}

/// Where in a document something stands when only the line is known.
pub(crate) fn at_line(line: usize) -> Place {
    Place {
        path: String::new(),
        line,
    }
}

/// The paths of the files that a `config.toml` names: certificates and keys.
pub fn files_of(config: &DeviceConfig) -> Vec<String> {
    device_files::named(config)
        .into_iter()
        .filter_map(|(uri, _)| path_of_uri(&uri.value).map(str::to_owned))
        .collect()
}
