//! The Cistern server as a library.

pub mod http;
pub mod metrics;
pub mod pull;
pub mod repositories;
pub mod upstream;
