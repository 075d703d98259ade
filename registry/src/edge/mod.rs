//! IoT Edge as a module sees it: the workload API, the certificate it gives for callers, and the hierarchy's trust bundle.
//! Knows the wire of that API; must not know HTTP servers, upstreams or the store.

mod server_certificate;
mod trust_bundle;
mod workload;

pub use server_certificate::Renewal;
pub use trust_bundle::TrustBundle;
pub use workload::{IssuedCertificate, WorkloadApi, WorkloadError};
