//! `config.toml` of an IoT Edge device, as far as a hierarchy depends on it: each value with the line it stands on.
//!
//! Must not know whether what is written is any good, nor open a file it names.

mod colons;
mod reading;

#[cfg(test)]
mod tests;

use crate::Place;

/// A value of a `config.toml`, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Its key's path and line: `edge_ca.cert`.
    pub at: Place,
}

/// What a `config.toml` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceConfig {
    /// `hostname`: the name by which the children find this device.
    pub hostname: Option<Setting<String>>,
    /// `parent_hostname`: the name of the device above it; none on the top layer.
    pub parent_hostname: Option<Setting<String>>,
    /// `trust_bundle_cert`: the URI of the roots that every device of the hierarchy trusts.
    pub trust_bundle: Option<Setting<String>>,
    /// `[edge_ca]`: what signs the certificates of this device's modules.
    pub edge_ca: Option<EdgeCa>,
    /// `[agent]`: the first module that is started.
    pub agent: Option<Agent>,
    /// `[image_garbage_collection]`: when images that nobody uses leave the device.
    pub collection: Option<ImageCollection>,
    /// Keys that belong at the top, before any section, and stand in a section where nobody reads them: the section and the key.
    pub strays: Vec<Setting<String>>,
    /// Lines written as `key: "value"`, which TOML does not know; they were read as if they had `=`.
    pub colons: Vec<Setting<String>>,
}

/// `[edge_ca]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeCa {
    /// Where the section begins.
    pub at: Place,
    /// `cert`: the URI of the certificate with its chain.
    pub certificate: Option<Setting<String>>,
    /// `pk`: the URI of its key.
    pub key: Option<Setting<String>>,
    /// `method`: `est` or `local_ca`, when the certificate is not brought as files.
    pub method: Option<Setting<String>>,
    /// `auto_generated_edge_ca_expiry_days`: only with a certificate that the device makes for itself.
    pub auto_generated_days: Option<Setting<i64>>,
}

/// `[agent]` and what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Where the section begins.
    pub at: Place,
    /// `agent.config.image`.
    pub image: Option<Setting<String>>,
    /// `agent.imagePullPolicy`.
    pub pull_policy: Option<Setting<String>>,
    /// `agent.config.createOptions`, when it is there: whether it is a table, as it has to be.
    pub create_options_is_a_table: Option<Setting<bool>>,
    /// `agent.config.auth`, when it is there.
    pub login: Option<Login>,
}

/// `[agent.config.auth]`: with what the agent's image is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Where it begins.
    pub at: Place,
    /// `serveraddress`.
    pub address: Option<Setting<String>>,
    /// `username`.
    pub username: Option<Setting<String>>,
    /// Whether a `password` that is not blank is there.
    pub password_is_set: bool,
}

/// `[image_garbage_collection]`. Durations as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageCollection {
    /// Where the section begins.
    pub at: Place,
    /// `enabled`; true unless written.
    pub is_enabled: bool,
    /// `image_age_cleanup_threshold`: for how long an image has to be unused.
    pub age: Option<Setting<String>>,
}

/// A text that is no TOML, also when lines with colons are read as meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct NotToml {
    /// The line it breaks on, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl DeviceConfig {
    /// Reads the text of a `config.toml`. Keys nobody asks for here are left alone; values of an unexpected type count as absent.
    ///
    /// # Errors
    /// If it is no TOML.
    pub fn read(text: &str) -> Result<Self, NotToml> {
        reading::read(text)
    }
}
