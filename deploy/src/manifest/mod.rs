//! A deployment manifest of IoT Edge as data: what is deployed, and where in the text each of it stands.
//!
//! Full deployments, layered ones with dotted keys, at-scale files with a `content` around them, and templates. Must not judge:
//! what is odd is recorded, not refused.

mod read;
#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::{Document, Place};

/// What a deployment manifest says.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// The modules, system modules first among them where the text has them first; one of a name.
    pub modules: Vec<Module>,
    /// Every place where an image is named, in the order of the text: of a module that is written twice, both.
    pub images: Vec<NamedImage>,
    /// The registries that edgeAgent has credentials for.
    pub credentials: Vec<Credential>,
    /// edgeHub's routes.
    pub routes: Vec<Route>,
    /// The desired properties of modules that are neither edgeAgent nor edgeHub.
    pub twins: Vec<Twin>,
    /// `schemaVersion` of `$edgeAgent`.
    pub agent_schema: Option<Located<String>>,
    /// `schemaVersion` of `$edgeHub`.
    pub hub_schema: Option<Located<String>>,
    /// In which form it is written.
    pub shape: Shape,
    /// What is there and is not what edgeAgent expects there.
    pub oddities: Vec<Oddity>,
}

/// In which form a manifest is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Whether it is a layered deployment, with keys such as `properties.desired.modules.app`: it lies on top of others.
    pub is_layered: bool,
    /// Whether `modulesContent` stands inside `content`, as at-scale files have it.
    pub is_wrapped: bool,
    /// Whether `$edgeAgent` is there at all: a manifest of module twins alone deploys nothing.
    pub has_agent: bool,
}

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// What is written there.
    pub value: T,
    /// Its path and line.
    pub at: Place,
    /// Its bytes in the text, quotes included.
    pub span: Range<usize>,
}

/// What a module is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The system module edgeAgent.
    Agent,
    /// The system module edgeHub.
    Hub,
    /// Any other.
    Custom,
}

/// One module.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name, which is also the name of its container and its host name among modules.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The image it runs; of several the last.
    pub image: Option<Located<String>>,
    /// What docker is told beside the image.
    pub create_options: CreateOptions,
    /// Its environment, in the order of the text.
    pub env: Vec<Variable>,
    /// `imagePullPolicy`: `on-create` (default) or `never`.
    pub pull_policy: Option<Located<String>>,
    /// `status`: `running` or `stopped`.
    pub status: Option<Located<String>>,
    /// `restartPolicy`.
    pub restart_policy: Option<Located<String>>,
    /// Where it is first spoken of.
    pub at: Place,
}

/// A module's create options, joined from their chunks.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// What they say; an error is what a reader of JSON says of the joined text. None if there are none, or they are empty.
    pub value: Option<Result<serde_json::Value, String>>,
    /// Where they stand, or begin.
    pub at: Option<Place>,
    /// Whether they are written as an object, as templates have it, and not as a text.
    pub is_object: bool,
    /// The numbers of their chunks, sorted: `createOptions` is 0. edgeAgent refuses gaps.
    pub chunks: Vec<u32>,
    /// The length of the longest chunk, in bytes; 0 if they are written as an object.
    pub longest: usize,
}

/// One variable of a module's environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: EnvValue,
    /// Where the value stands.
    pub at: Place,
}

/// A value in an environment; edgeAgent makes a text of each.
#[derive(Clone, Debug, PartialEq)]
pub enum EnvValue {
    /// A text.
    Text(String),
    /// A number, as it is spelled.
    Number(String),
    /// `true` or `false`.
    Flag(bool),
    /// Something else, or nothing: what the schema does not allow.
    Other(serde_json::Value),
}

/// One place where an image is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedImage {
    /// The module.
    pub module: String,
    /// What it is for.
    pub role: Role,
    /// The image.
    pub image: Located<String>,
}

/// Credentials for a registry.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The name they have in the manifest; it means nothing.
    pub id: String,
    /// The registry: compared by edgeAgent with the first part of an image, port included.
    pub address: Option<Located<String>>,
    /// The user name.
    pub username: Option<Located<String>>,
    /// Whether a password is there and is not blank. The password itself is not kept.
    pub password_is_set: bool,
    /// Where it is first spoken of.
    pub at: Place,
}

/// One route of edgeHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// What it says: `FROM /messages/* INTO $upstream`, where `$upstream` is no registry.
    pub route: Located<String>,
}

/// The desired properties of a module's twin.
#[derive(Clone, Debug)]
pub struct Twin {
    /// The module.
    pub module: String,
    /// The properties; those of dotted keys have been put in their places.
    pub desired: serde_json::Value,
    /// Where it is first spoken of.
    pub at: Place,
}

/// Something that is not what edgeAgent expects there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// What it is.
    pub what: String,
    /// Where.
    pub at: Place,
}

/// A manifest and the file it is from.
#[derive(Clone, Copy, Debug)]
pub struct NamedManifest<'input> {
    /// The file, as the caller names it.
    pub file: &'input str,
    /// The manifest.
    pub manifest: &'input Manifest,
}

/// Why a JSON document is no deployment manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct NotAManifest {
    /// The line that shows it, counted from 1.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub what: String,
}

// === impl Manifest ===

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The document has no `modulesContent`, or it holds nothing that a deployment could be made of.
    pub fn read(document: &Document) -> Result<Self, NotAManifest> {
        read::read(document)
    }

    /// The module of this name.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.name == name)
    }
}

// === impl Module ===

impl Module {
    /// The variable of this name; of several the last.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.env.iter().rev().find(|variable| variable.name == name)
    }
}

// === impl EnvValue ===

impl EnvValue {
    /// The text that the module finds in its environment.
    pub fn as_text(&self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) => text.clone(),
            Self::Flag(flag) => flag.to_string(),
            Self::Other(value) => value.to_string(),
        }
    }
}
