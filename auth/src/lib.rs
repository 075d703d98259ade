//! Who may do what: callers to us ([`incoming`]), and what this cache shows to the registries it pulls from ([`outgoing`]). No
//! HTTP is spoken here; headers come in and go out as text.

pub mod incoming;
pub mod outgoing;
mod secret;
mod watched_file;

pub use secret::Secret;
pub use watched_file::WatchedFile;
