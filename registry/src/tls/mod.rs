//! TLS towards callers, before any socket: the certificate we show, the authorities of those that callers show, and every
//! certificate that is in use with its end. Knows files and clocks; must not know HTTP, listeners or upstreams.

mod described;
mod files;
mod in_use;
mod pair;
mod server;

pub use described::{Described, written};
pub use files::{Files, TlsSetupError};
pub use in_use::{CertificateReport, CertificatesInUse, Kept, Use};
pub use pair::{Pair, PairError};
pub use server::{ServerTls, Serving};
