//! Lists that come page by page. The cursor in a page's `Link` is the upstream's own affair: it is sent back as it came,
//! never rebuilt, and a walk that makes no headway is ended.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use cistern_oci::MediaType;
use tokio::time::Instant;
use url::Url;

use super::body::{read_all, require_bare};
use super::redirect::Arrival;
use super::retry::retrying;
use super::send::{Ask, Failure, Shared};
use super::{Fault, UpstreamBody, UpstreamError, answer};

/// Far more than a page should have, for registries that send all they have at once.
const MOST_PAGE_BYTES: u64 = 16 * 1024 * 1024;
/// Registries make pages as small as 50 entries.
const MOST_PAGES: usize = 4000;
/// Pages without a single new entry that are borne before the upstream is taken to run in circles.
const MOST_STALE_PAGES: usize = 3;
/// How long an upstream may go on paging. Callers are gone long before; this is for the pages that never end.
const MOST_TIME: Duration = Duration::from_mins(5);

/// One page as it was received.
pub(super) struct Page {
    /// Where it was asked for.
    url: Url,
    pub(super) body: Bytes,
    /// Where the next one is.
    pub(super) next: Option<Url>,
    /// Whether it comes from a cache that could not confirm it.
    pub(super) unconfirmed: bool,
    /// The type it says it has.
    pub(super) content_type: Option<MediaType>,
    error: UpstreamError,
}

/// The way through the pages of one list.
pub(super) struct Walk {
    began: Instant,
    visited: HashSet<Url>,
    stale_pages: usize,
}

impl Page {
    /// A fault of whoever sent the page.
    pub(super) fn invalid(&self, why: &str) -> UpstreamError {
        UpstreamError {
            fault: Fault::Invalid(why.to_owned()),
            ..self.error.clone()
        }
    }
}

impl Walk {
    /// A walk that begins with this page.
    pub(super) fn from(first: &Page) -> Self {
        Self {
            began: Instant::now(),
            visited: HashSet::from([first.url.clone()]),
            stale_pages: 0,
        }
    }

    /// Notes whether the last page brought anything new.
    pub(super) fn note(&mut self, has_news: bool) {
        self.stale_pages = if has_news { 0 } else { self.stale_pages + 1 };
    }

    /// Whether the walk may go on there, and has not gone in circles so far.
    pub(super) fn may_go_to(&mut self, next: &Url) -> bool {
        self.visited.insert(next.clone())
            && self.visited.len() <= MOST_PAGES
            && self.stale_pages <= MOST_STALE_PAGES
            && self.began.elapsed() <= MOST_TIME
    }
}

impl Shared {
    /// Asks for one page.
    pub(super) async fn page(&self, ask: &Ask<'_>) -> Result<Page, Failure> {
        retrying(|| self.fetch_page(ask)).await
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
        let unconfirmed = answer::unconfirmed(arrival.headers()).is_some();
        let content_type = answer::content_type(arrival.headers()).map(MediaType::new);
        let error = arrival.fault(Fault::Invalid(String::new()));
        let body = UpstreamBody::new(arrival, None, self.idle(), self.budget.clone());
        let body = read_all(body, MOST_PAGE_BYTES).await?;
        Ok(Page {
            url,
            body,
            next,
            unconfirmed,
            content_type,
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
