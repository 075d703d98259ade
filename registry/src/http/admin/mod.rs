//! What whoever runs a Cistern asks it: is it well, is it ready, what did it count. Whatever will change something is offered on
//! the Unix socket only.

pub(super) mod health;
pub(super) mod metrics;

pub use health::{Health, Told};
