//! The Cistern server as a library.

pub mod pull;
pub mod repositories;
pub mod upstream;
