//! Asking what refers to a manifest: its signatures, attestations and whatever else names it as their subject.
//!
//! Everything is asked for without a filter (registries differ in what they make of one) and without leaving the upstream's
//! host (GHCR sends such questions on to a place that only limits rates). Whatever does not even claim to be a list of manifests is
//! taken for "this registry does not serve referrers": what to do then is for others to decide.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use cistern_oci::{Digest, MANIFEST_SIZE_LIMIT, MediaType, RepositoryName, Resource};
use http::Method;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use url::Url;

use super::pages::{Page, Walk};
use super::send::{Ask, Failure, Shared};
use super::token::Purpose;
use super::{Fault, Heard, UpstreamError};

#[cfg(test)]
mod tests;

/// The only type of such lists.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// More manifests than this that refer to one are not listed.
const MOST: usize = 10_000;
/// The descriptors of one list have at most about so many bytes.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Lists longer than this are not read on the reactor.
const LONG: usize = 64 * 1024;

/// A manifest that refers to another, as a list of referrers describes it. Serialises to its descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// The type the manifest is served as.
    pub media_type: MediaType,
    /// The manifest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The kind of artifact, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The annotations of the manifest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What an upstream says about the referrers of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferrersAnswer {
    /// These, sorted by digest; there may be none.
    Listed(Vec<Referrer>),
    /// The same, from a cache that could not confirm it.
    Unconfirmed(Vec<Referrer>),
    /// It does not serve the referrers API, at least not for this manifest.
    NotServed,
}

/// A descriptor as it may be written by others. The rest of it is nobody's concern here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    artifact_type: Option<Word>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, Word>>,
}

/// A text, or something else where a text was due.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Other(IgnoredAny),
}

/// What makes a body a list of manifests.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index<'text> {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(borrow, default)]
    manifests: Option<&'text RawValue>,
}

/// The usable ones of a list of descriptors, read one after the other.
struct Entries(Vec<Referrer>);

/// What was listed so far.
#[derive(Default)]
struct Collected {
    referrers: BTreeMap<Digest, Referrer>,
    bytes: usize,
}

// === impl Referrer ===

impl Referrer {
    /// Reads a descriptor. None without a digest, a size and a type that can be used; an annotation or a kind of artifact that
    /// is no text is left out.
    pub fn read(descriptor: &str) -> Option<Self> {
        let longest = usize::try_from(MANIFEST_SIZE_LIMIT).unwrap_or(usize::MAX);
        if descriptor.len() > longest {
            return None;
        }
        let read: Descriptor = serde_json::from_str(descriptor).ok()?;
        if !read.media_type.contains('/') {
            return None;
        }
        let annotations = read.annotations.unwrap_or_default().into_iter();
        Some(Self {
            media_type: MediaType::new(&read.media_type),
            digest: read.digest,
            size: read.size,
            artifact_type: read
                .artifact_type
                .and_then(Word::text)
                .filter(|kind| !kind.is_empty()),
            annotations: annotations
                .filter_map(|(name, value)| Some((name, value.text()?)))
                .collect(),
        })
    }

    /// About how many bytes its descriptor has.
    pub fn length(&self) -> usize {
        const FRAME: usize = 160;
        const QUOTES: usize = 6;
        let annotations = self.annotations.iter();
        let annotations: usize = annotations
            .map(|(name, value)| name.len() + value.len() + QUOTES)
            .sum();
        let kind = self.artifact_type.as_ref().map_or(0, String::len);
        FRAME + self.media_type.as_str().len() + kind + annotations
    }
}

impl Word {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(_) => None,
        }
    }
}

/// Reads a list of referrers: an index, of which every descriptor counts that can be used. None for what is no index. A long
/// one is read off the reactor.
pub async fn read_referrers(body: Bytes) -> Option<Vec<Referrer>> {
    if body.len() <= LONG {
        return read(&body);
    }
    let reading = tokio::task::spawn_blocking(move || read(&body));
    reading.await.ok().flatten()
}

fn read(body: &[u8]) -> Option<Vec<Referrer>> {
    let index: Index<'_> = serde_json::from_slice(body).ok()?;
    match (&index.media_type, index.manifests) {
        (Some(named), _) if !is_index(named) => None,
        (None, None) => None,
        (_, None) => Some(Vec::new()),
        (_, Some(manifests)) => {
            let entries: Entries = serde_json::from_str(manifests.get()).ok()?;
            Some(entries.0)
        }
    }
}

fn is_index(named: &str) -> bool {
    let named = MediaType::new(named);
    named == MediaType::oci_index() || named == MediaType::docker_list()
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Each)
    }
}

/// Looks at one descriptor at a time, so that a list of nonsense takes no memory.
struct Each;

impl<'de> Visitor<'de> for Each {
    type Value = Entries;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of descriptors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(descriptor) = list.next_element::<&RawValue>()? {
            if entries.len() < MOST {
                entries.extend(Referrer::read(descriptor.get()));
            }
        }
        Ok(Entries(entries))
    }
}

// === impl Collected ===

impl Collected {
    /// Takes what is new, as far as there is room; whether there was anything.
    fn take(&mut self, page: Vec<Referrer>) -> bool {
        let before = self.referrers.len();
        for referrer in page {
            if self.is_full() {
                break;
            }
            if !self.referrers.contains_key(&referrer.digest) {
                self.bytes += referrer.length();
                self.referrers.insert(referrer.digest, referrer);
            }
        }
        self.referrers.len() > before
    }

    fn is_full(&self) -> bool {
        self.referrers.len() >= MOST || self.bytes >= MOST_BYTES
    }

    fn sorted(self, unconfirmed: bool) -> ReferrersAnswer {
        let list = self.referrers.into_values().collect();
        if unconfirmed {
            ReferrersAnswer::Unconfirmed(list)
        } else {
            ReferrersAnswer::Listed(list)
        }
    }
}

impl Shared {
    pub(super) async fn referrers(
        &self,
        of: &RepositoryName,
        subject: &Digest,
        heard: &Heard,
    ) -> Result<ReferrersAnswer, UpstreamError> {
        let first = self.address.of(of, Resource::Referrers(*subject));
        let mut page = match self.referrers_page(of, first, heard).await {
            Ok(page) => page,
            Err(failure) if is_unserved(&failure.error.fault) => {
                return Ok(ReferrersAnswer::NotServed);
            }
            Err(failure) => return Err(failure.error),
        };
        let Some(mut list) = read_referrers(page.body.clone()).await else {
            if page.content_type == Some(MediaType::oci_index()) {
                // It has the API, and its answer was spoilt on its way. "No list" would be kept, and taken for "no signature".
                return Err(page.invalid("sent a list of referrers that cannot be read"));
            }
            return Ok(ReferrersAnswer::NotServed);
        };
        let (mut collected, mut walk) = (Collected::default(), Walk::from(&page));
        let mut unconfirmed = page.unconfirmed;
        loop {
            walk.note(collected.take(list));
            let Some(next) = page.next.take() else { break };
            if collected.is_full() {
                tracing::warn!(repository = %of, %subject, listed = collected.referrers.len(), "more referrers than are listed here");
                break;
            }
            if !walk.may_go_to(&next) {
                return Err(page.invalid("pages its list of referrers without end"));
            }
            page = match self.referrers_page(of, next, heard).await {
                Ok(page) => page,
                // Half a list is not a list, and by now it is known that there is one.
                Err(failure) if is_unserved(&failure.error.fault) => {
                    return Err(page.invalid("sent the beginning of a list of referrers only"));
                }
                Err(failure) => return Err(failure.error),
            };
            unconfirmed |= page.unconfirmed;
            list = read_referrers(page.body.clone())
                .await
                .ok_or_else(|| page.invalid("sent a page of referrers that is no index"))?;
        }
        Ok(collected.sorted(unconfirmed))
    }

    async fn referrers_page(
        &self,
        of: &RepositoryName,
        url: Url,
        heard: &Heard,
    ) -> Result<Page, Failure> {
        let ask = Ask {
            method: Method::GET,
            url,
            repository: of,
            purpose: Purpose::Pull,
            headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(INDEX))]),
            is_of_blob: false,
            may_leave: false,
            may_renew: true,
            heard,
        };
        self.page(&ask).await
    }
}

/// Whether an answer means that there is no such API, or none that can be used. A failing or limiting upstream is another
/// matter: nothing may be concluded from that.
fn is_unserved(fault: &Fault) -> bool {
    match fault {
        Fault::NotFound(_) => true,
        Fault::Status(status) => {
            matches!(
                status,
                300..=399 | 400 | 405 | 406 | 410 | 414 | 415 | 422 | 501
            )
        }
        Fault::CredentialsRefused { .. }
        | Fault::RateLimited { .. }
        | Fault::Unavailable { .. }
        | Fault::Unreachable { .. }
        | Fault::Invalid(_) => false,
    }
}
