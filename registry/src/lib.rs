//! The Cistern server as a library: configuration, the commands, and what they start.

pub mod commands;
pub mod config;
pub mod http;
pub mod metrics;
pub mod pull;
pub mod repositories;
pub mod upstream;
