//! Listing tags and repositories: the upstream's list, kept a while, sorted and paged here.

use std::sync::Arc;

use bytes::Bytes;
use cistern_oci::{RepositoryName, Tag};

use super::manifests::unconfirmed_by;
use super::patience::Patience;
use super::{Asked, CatalogPage, Parts, PullError, Served, TagPage};
use crate::metrics::UpstreamKind;
use crate::repositories::{Mirror, Repository};
use crate::upstream::{Fault, TagListing, UpstreamError};

/// More tags than this are not asked for.
const AT_MOST: usize = 100_000;
/// The name of the kept list.
const KIND: &str = "tags";

/// Lists tags and repositories.
pub(super) struct Tags<'a> {
    pub(super) parts: &'a Arc<Parts>,
}

/// A whole list, and whether it may be behind its upstream.
struct Listed {
    tags: Arc<[Tag]>,
    stale: bool,
    served: Served,
}

impl Tags<'_> {
    /// The tags after `after`, at most `at_most` of them.
    pub(super) async fn list(
        &self,
        repository: &Repository,
        after: Option<&str>,
        at_most: Option<usize>,
    ) -> Result<TagPage, PullError> {
        let listed = match repository {
            Repository::Hosted(hosted) => self.known_here(&hosted.name, Served::Hit).await?,
            Repository::Mirror(mirror) => self.mirrored(mirror).await?,
        };
        let (tags, more) = page(&listed.tags, Tag::as_str, after, at_most);
        Ok(TagPage {
            tags,
            more,
            stale: listed.stale,
            served: listed.served,
        })
    }

    /// The repositories in the store after `after`, at most `at_most` of them.
    pub(super) async fn catalog(
        &self,
        after: Option<&str>,
        at_most: Option<usize>,
    ) -> Result<CatalogPage, PullError> {
        let names = self.parts.storage.repositories().list().await?;
        let (names, more) = page(&names, RepositoryName::as_str, after, at_most);
        Ok(CatalogPage { names, more })
    }

    async fn known_here(&self, name: &RepositoryName, served: Served) -> Result<Listed, PullError> {
        let tags = self.parts.storage.repositories().tags(name).await?;
        if tags.is_empty()
            && self
                .parts
                .storage
                .repositories()
                .list()
                .await?
                .binary_search(name)
                .is_err()
        {
            return Err(PullError::NameUnknown(name.to_string(), None));
        }
        Ok(Listed {
            tags: tags.into(),
            stale: served == Served::Stale,
            served,
        })
    }

    async fn mirrored(&self, mirror: &Mirror) -> Result<Listed, PullError> {
        if let Some(tags) = self.parts.fresh_listings.get(&mirror.name) {
            return Ok(Listed {
                tags,
                stale: false,
                served: Served::Hit,
            });
        }
        if let Some(asked) = self.parts.refused_listings.get(&mirror.name) {
            return self.instead(mirror, PullError::Upstream(asked)).await;
        }
        let host = mirror.upstream.host();
        if self.parts.links.is_degraded(host) {
            // Nobody is dialled for a list when there is one to show.
            let held = self.instead(mirror, self.parts.link_error(host)).await;
            if held.is_ok() {
                return held;
            }
        }
        let (parts, asked) = (Arc::clone(self.parts), mirror.clone());
        let (mut flight, joined) =
            self.parts
                .listings
                .join_or_start(mirror.name.clone(), move |heard| async move {
                    let listed = asked
                        .upstream
                        .tags(&asked.name_there, AT_MOST, &heard)
                        .await;
                    let listed = parts.counted(UpstreamKind::Tags, asked.upstream.host(), listed);
                    conclude(&parts, &asked, listed).await
                });
        let patience = if self.last_listing(&mirror.name).await?.is_some() {
            Patience::check(self.parts.check_deadline)
        } else {
            Patience::HEADERS
        };
        let patience = patience.below(mirror.upstream.below());
        let heard = flight.heard().clone();
        match patience.wait(&heard, flight.outcome()).await {
            None => {
                self.parts.links.note_silence(host);
                self.instead(mirror, PullError::StillFetching).await
            }
            Some(None) => self.instead(mirror, PullError::Interrupted).await,
            Some(Some(Err(error))) => {
                self.instead(mirror, PullError::Upstream(Asked::now(error)))
                    .await
            }
            Some(Some(Ok(tags))) => Ok(Listed {
                tags,
                stale: false,
                served: if joined { Served::Joined } else { Served::Miss },
            }),
        }
    }

    /// The upstream is silent or unwilling: the last list, else the tags known here, else the error.
    async fn instead(&self, mirror: &Mirror, error: PullError) -> Result<Listed, PullError> {
        if let Some(tags) = self.last_listing(&mirror.name).await? {
            return Ok(Listed {
                tags,
                stale: true,
                served: Served::Stale,
            });
        }
        match self.known_here(&mirror.name, Served::Stale).await {
            Ok(listed) if !listed.tags.is_empty() => Ok(listed),
            Ok(_) | Err(PullError::NameUnknown(..)) => Err(name_error(&mirror.name, error)),
            Err(error) => Err(error),
        }
    }

    async fn last_listing(&self, name: &RepositoryName) -> Result<Option<Arc<[Tag]>>, PullError> {
        let Some(listing) = self.parts.storage.listing(name, KIND).await? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&listing.bytes);
        Ok(Some(
            text.lines().filter_map(|line| line.parse().ok()).collect(),
        ))
    }
}

fn name_error(name: &RepositoryName, error: PullError) -> PullError {
    match error {
        PullError::Upstream(asked) if matches!(asked.error.fault, Fault::NotFound(_)) => {
            PullError::NameUnknown(name.to_string(), Some(asked))
        }
        other => other,
    }
}

/// Keeps what the upstream listed, or remembers that it did not.
async fn conclude(
    parts: &Arc<Parts>,
    mirror: &Mirror,
    listed: Result<TagListing, UpstreamError>,
) -> Result<Arc<[Tag]>, UpstreamError> {
    let host = mirror.upstream.host();
    let TagListing {
        mut tags,
        unconfirmed,
    } = listed.inspect_err(|error| {
        parts.links.note_error(host, error);
        parts.refused_listings.note(mirror.name.clone(), error);
    })?;
    parts.links.note_answer(host);
    tags.sort_unstable();
    tags.dedup();
    // A cache above that could not confirm its list fills what is not known, and renews nothing.
    let known = parts.storage.listing(&mirror.name, KIND).await;
    if unconfirmed && !matches!(known, Ok(None)) {
        return Err(unconfirmed_by(host));
    }
    let lines: Vec<&str> = tags.iter().map(Tag::as_str).collect();
    if let Err(error) = parts
        .storage
        .set_listing(&mirror.name, KIND, Bytes::from(lines.join("\n")))
        .await
    {
        tracing::debug!(repository = %mirror.name, %error, "tag list is not kept");
    }
    if unconfirmed {
        return Err(unconfirmed_by(host));
    }
    let tags: Arc<[Tag]> = tags.into();
    parts
        .fresh_listings
        .insert(mirror.name.clone(), Arc::clone(&tags));
    Ok(tags)
}

/// One page of a sorted list. `after` is exclusive and need not be in the list; `at_most` 0 gives an empty last page.
fn page<T: Clone>(
    all: &[T],
    text: impl Fn(&T) -> &str,
    after: Option<&str>,
    at_most: Option<usize>,
) -> (Vec<T>, bool) {
    let start = after.map_or(0, |after| all.partition_point(|entry| text(entry) <= after));
    let rest = all.get(start..).unwrap_or_default();
    let count = at_most.unwrap_or(rest.len()).min(rest.len());
    let more = count > 0 && count < rest.len();
    (rest.iter().take(count).cloned().collect(), more)
}
