//! One upstream and what can be asked of it. The questions themselves are in `manifests`, `blobs`, `tags` and `referrers`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cistern_auth::outgoing::RealmRules;
use cistern_oci::{ByteRange, Digest, Manifest, Reference, RepositoryName, Tag};

use url::Url;

use super::address::Address;
use super::alternates::Addresses;
use super::dial::Dialer;
use super::referrers::ReferrersAnswer;
use super::send::{Sender, Shared};
use super::token::Tokens;
use super::{Fault, Heard, UpstreamBody, UpstreamError, UpstreamOptions, UpstreamSetupError};
use crate::chain::Asker;

/// Another registry, with its addresses, connections, tokens and remembered challenges. Cheap to clone; clones share all of
/// it.
#[derive(Clone)]
pub struct Upstream {
    addresses: Arc<Addresses>,
    called: Arc<str>,
}

/// What an upstream says about a manifest without being asked for all of it.
#[derive(Clone, Debug)]
pub struct ManifestHead {
    /// The digest it names.
    pub digest: Option<Digest>,
    /// The manifest itself, where the upstream would not tell its digest otherwise; then `digest` is its digest.
    pub manifest: Option<Manifest>,
    /// The upstream is a cache that could not confirm this.
    pub unconfirmed: Option<Unconfirmed>,
}

/// A manifest as it came.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// The exact bytes, their digest and media type.
    pub manifest: Manifest,
    /// The upstream is a cache that could not confirm that its tag means this.
    pub unconfirmed: Option<Unconfirmed>,
}

/// The tags of a repository.
#[derive(Clone, Debug)]
pub struct TagListing {
    /// The tags, sorted.
    pub tags: Vec<Tag>,
    /// The upstream is a cache that could not confirm them.
    pub unconfirmed: bool,
}

/// A cache above could not ask its own upstream, and has answered with what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    /// How long ago it was last confirmed (`Age`), if the cache tells.
    pub age: Option<Duration>,
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
        let settings = Settings(options);
        let first = settings.address(Address::new(&settings.0.url)?)?;
        let others = settings.0.alternates.iter();
        let others = others.map(|url| settings.alternate(url));
        let others = others.collect::<Result<_, _>>()?;
        let called = match &settings.0.called {
            Some(called) => called.as_str().into(),
            None => first.address.name(),
        };
        Ok(Self {
            addresses: Arc::new(Addresses::new(first, others)),
            called,
        })
    }

    /// The same upstream, asked for `asker`: its chain and our name go with every question. Shared work is asked for by
    /// whoever started it, and our own by nobody.
    #[must_use]
    pub fn asked_by(&self, asker: &Asker) -> Self {
        if asker.below() == self.below() && asker.below() == 0 {
            return self.clone();
        }
        Self {
            addresses: Arc::new(self.addresses.asked_by(asker)),
            called: Arc::clone(&self.called),
        }
    }

    /// How many caches wait below us for what this is asked for.
    pub fn below(&self) -> u8 {
        self.addresses.first().sender.below
    }

    /// Whether it is a Cistern, as far as it has answered at all: asking that one costs no more than the local network.
    pub fn is_cistern(&self) -> bool {
        let address = self.addresses.asked_first();
        address.is_cistern.load(Ordering::Relaxed)
    }

    /// What it is called, in messages and wherever upstreams are told apart: the host, with its port where it is not the scheme's own,
    /// and the prefix of its paths if it has one: `mcr.microsoft.com`, `127.0.0.2:5001`. Of several addresses it is the
    /// first's: one upstream has one name.
    pub fn host(&self) -> &str {
        &self.called
    }

    /// The host alone, with its port where it is not the scheme's own: what the first address is dialled at.
    pub fn authority(&self) -> &str {
        self.addresses.first().address.label()
    }

    /// How long the upstream is left alone yet, since it said 429: until then every question that needs it is answered
    /// [`Fault::RateLimited`](super::Fault::RateLimited) without a dial. Of several addresses it is the one that would be asked
    /// now.
    pub fn paused_for(&self) -> Option<Duration> {
        self.addresses.asked_first().gates.paused_for()
    }

    /// Whether a registry answers there now, whatever it thinks of us: a challenge, a refusal, too many requests, no such
    /// page. Only 5xx does not count: it may come from a gateway whose registry is away, and one that is ill has nothing to
    /// give either. One that wants to be left alone is not dialled and counts as there.
    pub async fn is_reachable(&self) -> bool {
        self.addresses.in_turn(Shared::ping).await.is_ok()
    }

    /// A sign of life: whether anything at all is answered there, 5xx too. It shows that the link works, not that the registry does.
    /// One that wants to be left alone is not dialled, and nothing is learnt.
    pub async fn probe(&self) -> Result<(), UpstreamError> {
        if let Some(left) = self.paused_for() {
            return Err(UpstreamError {
                host: self.host().into(),
                fault: Fault::RateLimited {
                    retry_after: Some(left),
                },
            });
        }
        match self.addresses.in_turn(Shared::ping).await {
            Err(error) if matches!(error.fault, Fault::Status(_)) => Ok(()),
            answer => answer,
        }
    }

    /// Asks what a tag or digest is. A refusal is believed only after the manifest itself was asked for.
    pub async fn head_manifest(
        &self,
        of: &RepositoryName,
        which: &Reference,
        heard: &Heard,
    ) -> Result<ManifestHead, UpstreamError> {
        let addresses = &self.addresses;
        addresses
            .in_turn(|address| address.head_manifest(of, which, heard))
            .await
    }

    /// Fetches a manifest: by digest only if the bytes are it, by tag under the digest of its bytes.
    pub async fn get_manifest(
        &self,
        of: &RepositoryName,
        which: &Reference,
        heard: &Heard,
    ) -> Result<FetchedManifest, UpstreamError> {
        let addresses = &self.addresses;
        addresses
            .in_turn(|address| address.get_manifest(of, which, heard))
            .await
    }

    /// Asks whether a blob is there and how large it is. A refusal is believed only after its first byte was asked for.
    pub async fn head_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobHead, UpstreamError> {
        let addresses = &self.addresses;
        addresses
            .in_turn(|address| address.head_blob(of, digest))
            .await
    }

    /// Starts fetching a blob or a part of it. The digest is not verified here.
    pub async fn get_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        part: Part,
    ) -> Result<BlobAnswer, UpstreamError> {
        let addresses = &self.addresses;
        addresses
            .in_turn(|address| address.get_blob(of, digest, part))
            .await
    }

    /// All tags of a repository, sorted, from as many pages as the upstream makes of them, at most `at_most`.
    pub async fn tags(
        &self,
        of: &RepositoryName,
        at_most: usize,
        heard: &Heard,
    ) -> Result<TagListing, UpstreamError> {
        let addresses = &self.addresses;
        addresses
            .in_turn(|address| address.tags(of, at_most, heard))
            .await
    }

    /// What refers to a manifest, of every kind, sorted by digest, from as many pages as the upstream makes of it.
    pub async fn referrers(
        &self,
        of: &RepositoryName,
        subject: &Digest,
        heard: &Heard,
    ) -> Result<ReferrersAnswer, UpstreamError> {
        let addresses = &self.addresses;
        addresses
            .in_turn(|address| address.referrers(of, subject, heard))
            .await
    }
}

/// What is configured for all addresses alike.
struct Settings(UpstreamOptions);

impl Settings {
    /// What one address needs of its own.
    fn address(&self, address: Address) -> Result<Shared, UpstreamSetupError> {
        let options = &self.0;
        let rules =
            RealmRules::new(address.url(), &options.realms).map_err(UpstreamSetupError::Realm)?;
        let dialer = Dialer::new(options, address.url(), &rules)?;
        let tokens = Tokens::new(options.credentials.clone(), rules);
        Ok(Shared {
            address: Arc::new(address),
            dialer: Arc::new(dialer),
            tokens: Arc::new(tokens),
            gates: Arc::default(),
            budget: options.budget.clone(),
            sender: Sender::new(options.pseudonym.clone(), &Asker::default()),
            is_cistern: Arc::default(),
        })
    }

    /// Whoever lists an address without encryption beside one that has it may have meant it, but should know.
    fn alternate(&self, url: &Url) -> Result<Shared, UpstreamSetupError> {
        let address = Address::new(url).map_err(|error| match error {
            UpstreamSetupError::Url(why) => UpstreamSetupError::Alternate(why),
            other => other,
        })?;
        let is_plain = |url: &Url| url.scheme() == "http";
        if self.0.credentials.is_given() && is_plain(address.url()) && !is_plain(&self.0.url) {
            tracing::warn!(alternate = %address.label(), "proxy.alternates: the credentials may go there unencrypted, by http://");
        }
        self.address(address)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.host()).finish()
    }
}
