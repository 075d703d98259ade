//! Asking for all tags of a repository, page by page. The cursor in a page's `Link` is the upstream's own affair: it is sent
//! back as it came, never rebuilt.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use bytes::Bytes;
use cistern_oci::{RepositoryName, Resource, Tag};
use http::Method;
use http::header::HeaderMap;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::body::{read_all, require_bare};
use super::redirect::Arrival;
use super::retry::retrying;
use super::send::{Ask, Failure, Shared};
use super::token::Purpose;
use super::{Fault, Heard, UpstreamBody, UpstreamError, answer};

/// What is asked for per page; more is refused by some registries.
const PER_PAGE: &str = "n=1000";
/// Registries make pages as small as 50 tags.
const MOST_PAGES: usize = 4000;
/// Pages without a single new tag that are borne before the upstream is taken to run in circles.
const MOST_STALE_PAGES: usize = 3;
/// How long an upstream may go on paging. Callers are gone long before; this is for the pages that never end.
const MOST_TIME: Duration = Duration::from_mins(5);
/// Far more than a page of 1000, for registries that send all they have at once.
const MOST_PAGE_BYTES: u64 = 16 * 1024 * 1024;

/// One page as it was received.
struct Page {
    /// Where it was asked for.
    url: Url,
    body: Bytes,
    next: Option<Url>,
    error: UpstreamError,
}

/// The list inside a page. Nexus puts nulls into it, Artifactory digests; whatever is no tag is passed over.
#[derive(Deserialize)]
struct TagList {
    #[serde(default)]
    tags: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Text(String),
    Other(serde::de::IgnoredAny),
}

impl Shared {
    pub(super) async fn tags(
        &self,
        of: &RepositoryName,
        at_most: usize,
        heard: &Heard,
    ) -> Result<Vec<Tag>, UpstreamError> {
        let mut tags = BTreeSet::new();
        let mut visited = HashSet::new();
        let mut stale_pages = 0;
        let began = Instant::now();
        let mut page = self.first_page(of, heard).await?;
        visited.insert(page.url.clone());
        loop {
            let before = tags.len();
            let list: TagList = serde_json::from_slice(&page.body)
                .map_err(|_| page.invalid("sent a list of tags that is no JSON"))?;
            tags.extend(list.tags.into_iter().flatten().filter_map(Entry::into_tag));
            stale_pages = if tags.len() > before {
                0
            } else {
                stale_pages + 1
            };
            let Some(next) = page.next.take() else { break };
            if tags.len() >= at_most {
                break;
            }
            if !visited.insert(next.clone())
                || visited.len() > MOST_PAGES
                || stale_pages > MOST_STALE_PAGES
                || began.elapsed() > MOST_TIME
            {
                return Err(page.invalid("pages its list of tags without end"));
            }
            page = self
                .page(of, next, heard)
                .await
                .map_err(|failure| failure.error)?;
        }
        Ok(tags.into_iter().take(at_most).collect())
    }

    /// The first page, of our size if the upstream lets us choose.
    async fn first_page(&self, of: &RepositoryName, heard: &Heard) -> Result<Page, UpstreamError> {
        let plain = self.address.of(of, Resource::Tags);
        let mut sized = plain.clone();
        sized.set_query(Some(PER_PAGE));
        match self.page(of, sized, heard).await {
            Err(failure) if matches!(failure.error.fault, Fault::Status(400 | 405 | 416 | 422)) => {
                self.page(of, plain, heard)
                    .await
                    .map_err(|failure| failure.error)
            }
            result => result.map_err(|failure| failure.error),
        }
    }

    async fn page(&self, of: &RepositoryName, url: Url, heard: &Heard) -> Result<Page, Failure> {
        let ask = Ask {
            method: Method::GET,
            url,
            repository: of,
            purpose: Purpose::Tags,
            headers: HeaderMap::new(),
            wants_part: false,
            may_renew: true,
            heard,
        };
        retrying(|| self.fetch_page(&ask)).await
    }

    async fn fetch_page(&self, ask: &Ask<'_>) -> Result<Page, Failure> {
        let arrival = self.send(ask).await?;
        let url = ask.url.clone();
        self.read_page(url, arrival).await.map_err(Failure::of)
    }

    async fn read_page(&self, url: Url, arrival: Arrival) -> Result<Page, UpstreamError> {
        require_bare(&arrival)?;
        let next = answer::next_link(arrival.headers())
            .map(|link| self.next_page(&arrival.url, &link))
            .transpose();
        let next = next.map_err(|why| arrival.fault(Fault::Invalid(why)))?;
        let error = arrival.fault(Fault::Invalid(String::new()));
        let body = UpstreamBody::new(
            arrival,
            None,
            self.dialer.timeouts().idle,
            self.budget.clone(),
        );
        let body = read_all(body, MOST_PAGE_BYTES).await?;
        Ok(Page {
            url,
            body,
            next,
            error,
        })
    }

    /// The address of the next page. It is always asked for at the upstream itself: a registry behind a proxy writes links
    /// with a scheme or port of its own, and one that was redirected writes them for where it was redirected to.
    fn next_page(&self, from: &Url, link: &str) -> Result<Url, String> {
        let target = from
            .join(link)
            .map_err(|_| "sent a link to the next page that is no address")?;
        let upstream = self.address.url();
        if target.host() != upstream.host() && target.host() != from.host() {
            return Err("sent a link to the next page on another host".to_owned());
        }
        let mut url = upstream.clone();
        url.set_path(target.path());
        url.set_query(target.query());
        Ok(url)
    }
}

impl Page {
    fn invalid(&self, why: &str) -> UpstreamError {
        UpstreamError {
            fault: Fault::Invalid(why.to_owned()),
            ..self.error.clone()
        }
    }
}

impl Entry {
    fn into_tag(self) -> Option<Tag> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Other(_) => None,
        }
    }
}
