//! Who may do what. For now the outgoing half: what this cache shows to the registries it pulls from. No HTTP is spoken
//! here; headers come in and go out as text, and time is a parameter.

pub mod outgoing;
mod secret;
mod watched_file;

pub use secret::Secret;
pub use watched_file::WatchedFile;
