//! Callers to us: what they show, whether it is right, and what they are told when they show nothing. Knows no HTTP; headers
//! come in and go out as text.

mod basic;
mod htpasswd;
mod users;
mod verified;

pub use basic::{Challenge, basic};
pub use htpasswd::{Htpasswd, HtpasswdError};
pub use users::{Examined, examine};

/// Who a caller is, as far as it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It showed nothing, and nothing was asked for.
    Anonymous,
    /// It knows the password of this user.
    User(String),
}
