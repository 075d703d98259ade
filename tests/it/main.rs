//! One binary, one file per promise.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code: a failed step must end the test at once with its place, and tests own their files and tasks"
)]

mod common;
mod conditional;
mod damaged_files;
mod drop_in;
mod error_table;
mod exact_bytes;
mod expiry;
mod far_ranges;
mod full_disk;
mod harness;
mod headers;
mod house;
mod killed;
mod lost_index;
mod older_and_newer_store;
mod ranges;
mod read_only;
mod real_clients;
mod remembered;
mod replayed_clients;
mod scene;
mod single_flight;
mod sources;
mod upstream_away;
mod verified;
mod without_uplink;
