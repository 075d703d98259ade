//! One binary, one file per promise.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code: a failed step must end the test at once with its place, and tests own their files and tasks"
)]

mod harness;
mod house;
mod real_clients;
