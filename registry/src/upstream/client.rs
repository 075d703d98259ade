//! One upstream and what can be asked of it. The questions themselves are in `manifests`, `blobs`, `tags` and `referrers`.

use std::fmt;
use std::sync::Arc;

use cistern_auth::outgoing::RealmRules;
use cistern_oci::{ByteRange, Digest, Manifest, Reference, RepositoryName, Tag};

use http::Method;
use http::header::HeaderMap;

use super::address::Address;
use super::dial::Dialer;
use super::redirect::{Journey, follow};
use super::referrers::ReferrersAnswer;
use super::send::Shared;
use super::token::Tokens;
use super::{Heard, UpstreamBody, UpstreamError, UpstreamOptions, UpstreamSetupError};

/// Another registry, with its connections, tokens and remembered challenges. Cheap to clone; clones share all of it.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
}

/// What an upstream says about a manifest without being asked for all of it.
#[derive(Clone, Debug)]
pub struct ManifestHead {
    /// The digest it names.
    pub digest: Option<Digest>,
    /// The manifest itself, where the upstream would not tell its digest otherwise; then `digest` is its digest.
    pub manifest: Option<Manifest>,
}

/// What an upstream says about a blob without being asked for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobHead {
    /// Its size in bytes, if the upstream tells.
    pub size: Option<u64>,
}

/// Which part of a blob to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it; no range is asked for.
    Whole,
    /// From this byte to the end, for resuming. From 0 is the same as the whole.
    From(u64),
    /// These bytes only.
    Range(ByteRange),
}

/// A blob, or a part of it, on its way.
#[derive(Debug)]
pub struct BlobAnswer {
    /// The first byte that comes: 0 where the upstream ignored the range.
    pub first: u64,
    /// The size of the whole blob, if the upstream tells.
    pub size: Option<u64>,
    /// The bytes.
    pub body: UpstreamBody,
}

impl Upstream {
    /// Prepares everything; nothing is sent yet.
    pub fn new(options: UpstreamOptions) -> Result<Self, UpstreamSetupError> {
        let address = Address::new(&options.url)?;
        let rules =
            RealmRules::new(address.url(), &options.realms).map_err(UpstreamSetupError::Realm)?;
        let dialer = Dialer::new(&options, address.url(), &rules)?;
        let tokens = Tokens::new(options.credentials, rules);
        Ok(Self {
            shared: Arc::new(Shared {
                address,
                dialer,
                tokens,
                budget: options.budget,
            }),
        })
    }

    /// The host, with its port where it is not the scheme's own, for messages: `mcr.microsoft.com`, `127.0.0.2:5001`.
    pub fn host(&self) -> &str {
        self.shared.address.label()
    }

    /// Whether a registry answers there now, whatever it thinks of us: a challenge, a refusal, too many requests, no such
    /// page. Only 5xx does not count: it may come from a gateway whose registry is away, and one that is ill has nothing to
    /// give either.
    pub async fn is_reachable(&self) -> bool {
        self.ping().await.is_ok_and(|status| status < 500)
    }

    /// A sign of life: whether anything at all is answered there, 5xx too. It shows that the link works, not that the registry does.
    pub async fn probe(&self) -> Result<(), UpstreamError> {
        self.ping().await.map(|_| ())
    }

    async fn ping(&self) -> Result<u16, UpstreamError> {
        let journey = Journey {
            method: Method::GET,
            url: self.shared.address.ping(),
            headers: HeaderMap::new(),
            authorization: None,
            may_leave: true,
        };
        let arrived = follow(&self.shared.dialer, &journey, &Heard::default()).await;
        arrived.map(|arrival| arrival.status())
    }

    /// Asks what a tag or digest is. A refusal is believed only after the manifest itself was asked for.
    pub async fn head_manifest(
        &self,
        of: &RepositoryName,
        which: &Reference,
        heard: &Heard,
    ) -> Result<ManifestHead, UpstreamError> {
        self.shared.head_manifest(of, which, heard).await
    }

    /// Fetches a manifest: by digest only if the bytes are it, by tag under the digest of its bytes.
    pub async fn get_manifest(
        &self,
        of: &RepositoryName,
        which: &Reference,
        heard: &Heard,
    ) -> Result<Manifest, UpstreamError> {
        self.shared.get_manifest(of, which, heard).await
    }

    /// Asks whether a blob is there and how large it is. A refusal is believed only after its first byte was asked for.
    pub async fn head_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobHead, UpstreamError> {
        self.shared.head_blob(of, digest).await
    }

    /// Starts fetching a blob or a part of it. The digest is not verified here.
    pub async fn get_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        part: Part,
    ) -> Result<BlobAnswer, UpstreamError> {
        self.shared.get_blob(of, digest, part).await
    }

    /// All tags of a repository, sorted, from as many pages as the upstream makes of them, at most `at_most`.
    pub async fn tags(
        &self,
        of: &RepositoryName,
        at_most: usize,
        heard: &Heard,
    ) -> Result<Vec<Tag>, UpstreamError> {
        self.shared.tags(of, at_most, heard).await
    }

    /// What refers to a manifest, of every kind, sorted by digest, from as many pages as the upstream makes of it.
    pub async fn referrers(
        &self,
        of: &RepositoryName,
        subject: &Digest,
        heard: &Heard,
    ) -> Result<ReferrersAnswer, UpstreamError> {
        self.shared.referrers(of, subject, heard).await
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.host()).finish()
    }
}
