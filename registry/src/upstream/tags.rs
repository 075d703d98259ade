//! Asking for all tags of a repository, page by page.

use std::collections::BTreeSet;

use cistern_oci::{RepositoryName, Resource, Tag};
use http::Method;
use http::header::HeaderMap;
use serde::Deserialize;
use url::Url;

use super::pages::{Page, Walk};
use super::send::{Ask, Failure, Shared};
use super::token::Purpose;
use super::{Fault, Heard, TagListing, UpstreamError};

/// What is asked for per page; more is refused by some registries.
const PER_PAGE: &str = "n=1000";

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
    ) -> Result<TagListing, UpstreamError> {
        let mut tags = BTreeSet::new();
        let mut page = self.first_page(of, heard).await?;
        let mut unconfirmed = page.unconfirmed;
        let mut walk = Walk::from(&page);
        loop {
            let before = tags.len();
            let list: TagList = serde_json::from_slice(&page.body)
                .map_err(|_| page.invalid("sent a list of tags that is no JSON"))?;
            tags.extend(list.tags.into_iter().flatten().filter_map(Entry::into_tag));
            walk.note(tags.len() > before);
            let Some(next) = page.next.take() else { break };
            if tags.len() >= at_most {
                break;
            }
            if !walk.may_go_to(&next) {
                return Err(page.invalid("pages its list of tags without end"));
            }
            page = self
                .tag_page(of, next, heard)
                .await
                .map_err(|failure| failure.error)?;
            unconfirmed |= page.unconfirmed;
        }
        Ok(TagListing {
            tags: tags.into_iter().take(at_most).collect(),
            unconfirmed,
        })
    }

    /// The first page, of our size if the upstream lets us choose.
    async fn first_page(&self, of: &RepositoryName, heard: &Heard) -> Result<Page, UpstreamError> {
        let plain = self.address.of(of, Resource::Tags);
        let mut sized = plain.clone();
        sized.set_query(Some(PER_PAGE));
        match self.tag_page(of, sized, heard).await {
            Err(failure) if matches!(failure.error.fault, Fault::Status(400 | 405 | 416 | 422)) => {
                self.tag_page(of, plain, heard)
                    .await
                    .map_err(|failure| failure.error)
            }
            result => result.map_err(|failure| failure.error),
        }
    }

    async fn tag_page(
        &self,
        of: &RepositoryName,
        url: Url,
        heard: &Heard,
    ) -> Result<Page, Failure> {
        let ask = Ask {
            method: Method::GET,
            url,
            repository: of,
            purpose: Purpose::Tags,
            headers: HeaderMap::new(),
            is_of_blob: false,
            may_leave: true,
            may_renew: true,
            heard,
        };
        self.page(&ask).await
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
