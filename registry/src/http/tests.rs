//! Promises of the HTTP room, asked over real loopback sockets.

mod admin;
mod connections;
mod harness;
mod lists;
mod logging;
mod push_bodies;
mod ranges;
mod refusing;
mod serving;
