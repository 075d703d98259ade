//! Who may ask. Everybody who reaches the port, so far: the configuration refuses to start with `auth.*` set.

use http::request::Parts;

use super::error::ApiError;
use super::request::Asked;

/// Lets the request pass, or says why not. Reads what the path was parsed to, never the path.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the place where callers will be refused"
)]
pub(super) fn admit(_head: &Parts, _asked: &Asked) -> Result<(), ApiError> {
    Ok(())
}
