//! Canned.
mod error;
pub use error::{Fault, LinkFault, Said, UpstreamError, UpstreamSetupError};
use std::sync::Arc;
/// Canned.
#[derive(Clone, Debug)]
pub struct Upstream(pub Arc<str>);
impl Upstream {
    /// Canned.
    pub fn host(&self) -> &str {
        &self.0
    }
}
