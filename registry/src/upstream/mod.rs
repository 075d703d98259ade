//! Other registries as we see them: asking them for manifests, blobs and tags over HTTP, with their tokens, redirects and
//! bad habits. This room knows nothing of callers, of the store or of what is cached; it tells facts ([`Fault`]) and
//! leaves what they mean for a caller to others.

mod address;
mod alternates;
mod answer;
mod blobs;
mod body;
mod budget;
mod client;
mod contacts;
mod dial;
mod error;
mod exchange;
mod heard;
mod identity;
mod link;
mod manifests;
mod options;
mod pages;
mod pause;
mod rates;
mod redirect;
mod referrers;
mod resolve;
mod retry;
mod send;
mod tags;
mod tls;
mod token;

pub use body::UpstreamBody;
pub use budget::{Budget, BudgetUse, Priority, Taken};
pub use client::{
    BlobAnswer, BlobHead, FetchedManifest, ManifestHead, Part, TagListing, Unconfirmed, Upstream,
};
pub use contacts::{Contact, Contacts, Role};
pub use error::{Fault, LinkFault, Said, UpstreamError, UpstreamSetupError};
pub use heard::Heard;
pub use options::{ClientIdentity, Timeouts, UpstreamOptions};
pub use rates::{RateNow, Rates, is_any_open};
pub use referrers::{Referrer, ReferrersAnswer, read_referrers};
