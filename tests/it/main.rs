//! One binary, one file per promise.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code: a failed step must end the test at once with its place, and tests own their files and tasks"
)]

mod access;
mod access_log;
mod admin;
mod alternates;
mod catalog;
mod chains;
mod client_certificate;
mod common;
mod conditional;
mod connections;
mod container;
mod credential_helper;
mod credentials;
mod cut_off;
mod damaged_files;
mod draining;
mod drop_in;
mod edge_online;
mod error_table;
mod exact_bytes;
mod expiry;
mod explain;
mod far_ranges;
mod fault_schedules;
mod faults;
mod freshness;
mod full_disk;
mod harness;
mod headers;
mod hold;
mod holdback;
mod house;
mod images;
mod killed;
mod leaks;
mod lost_index;
mod odd_shapes;
mod offline;
mod older_and_newer_store;
mod outgoing;
mod password_files;
mod pinned;
mod push_bad_input;
mod push_killed;
mod push_lists;
mod push_roles;
mod push_uploads;
mod ranges;
mod rate;
mod rate_limited;
mod read_ahead;
mod read_only;
mod real_bad_link;
mod real_clients;
mod real_pushes;
mod redirects;
mod referrers;
mod remembered;
mod replayed_clients;
mod repositories;
mod resume;
mod revalidated;
mod routes;
mod scene;
mod single_flight;
mod sources;
mod stale;
mod starting;
mod status;
mod strict;
mod surface;
mod tag_lists;
mod tunnel;
mod upstream_away;
mod verified;
mod warm;
mod without_uplink;
