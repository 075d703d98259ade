//! Promises of the HTTP room, asked over real loopback sockets.

mod admin;
mod connections;
mod harness;
mod images;
mod line;
mod lists;
mod logging;
mod push_bodies;
mod pushing;
mod ranges;
mod refusing;
mod serving;
mod uploads;
