//! Deployment manifests and `config.toml` of IoT Edge as data: read, checked, rewritten, generated.
//!
//! Everything here is a function of texts and of facts that the caller brings: no file is opened, no clock is read, nobody is
//! asked. What is rewritten keeps every byte that it does not change.

pub mod certificates;
pub mod check;
pub mod device_config;
mod finding;
pub mod generate;
pub mod hierarchy;
pub mod image;
pub mod images;
pub mod json;
pub mod manifest;
pub mod rewrite;
pub mod running;

pub use finding::{Finding, Place, Severity};
pub use image::{Host, ImageName, NotAnImageName};
pub use json::{Document, Edits, Member, Node, NotJson, Value};
pub use manifest::{Manifest, NamedManifest, NotAManifest};
