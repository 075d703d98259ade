//! The tags of the store, page by page, in the order of their names. Looks at names only; how much of each image is here, `closure`
//! tells.

use std::fmt;
use std::str::FromStr;

use cistern_oci::{RepositoryName, Tag};

use super::{Pull, PullError};

/// A tag and its repository, as they are named in the store: `team/app:v1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
}

/// A page of the tags in the store.
#[derive(Clone, Debug)]
pub struct CachedTags {
    /// The tags of this page.
    pub tags: Vec<TagName>,
    /// Whether there are tags after this page.
    pub more: bool,
}

impl fmt::Display for TagName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.repository, self.tag)
    }
}

impl FromStr for TagName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no tag of a repository, such as team/app:v1");
        let (repository, tag) = text.rsplit_once(':').ok_or_else(wrong)?;
        Ok(Self {
            repository: repository.parse().map_err(|_| wrong())?,
            tag: tag.parse().map_err(|_| wrong())?,
        })
    }
}

impl Pull {
    /// The tags in the store after this one (exclusive), at most so many.
    pub async fn cached_tags(
        &self,
        after: Option<&TagName>,
        at_most: usize,
    ) -> Result<CachedTags, PullError> {
        let repositories = self.parts.storage.repositories();
        let names = repositories.list().await?;
        let first = after.map_or(0, |after| {
            names.partition_point(|name| *name < after.repository)
        });
        let mut tags = Vec::new();
        for name in names.into_iter().skip(first) {
            for tag in repositories.tags(&name).await? {
                let found = TagName {
                    repository: name.clone(),
                    tag,
                };
                if after.is_some_and(|after| found <= *after) {
                    continue;
                }
                if tags.len() >= at_most {
                    return Ok(CachedTags { tags, more: true });
                }
                tags.push(found);
            }
        }
        Ok(CachedTags { tags, more: false })
    }
}
