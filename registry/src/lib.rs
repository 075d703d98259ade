//! A pull-through OCI registry cache.

pub mod upstream;
