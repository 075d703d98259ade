//! Deployment manifests and `config.toml` of IoT Edge as data: read, checked, rewritten, generated.
//!
//! Everything here is a function of texts and of facts that the caller brings: no file is opened, no clock is read, nobody is
//! asked. What is rewritten keeps every byte that it does not change.

pub mod generate;
pub mod hierarchy;
