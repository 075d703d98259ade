//! The Cistern server as a library: configuration, the commands, and what they start.

pub mod app;
pub mod chain;
pub mod commands;
pub mod config;
pub mod edge;
pub mod housekeeping;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod pull;
pub mod push;
pub mod repositories;
pub mod tls;
pub mod upstream;
pub mod warm;
