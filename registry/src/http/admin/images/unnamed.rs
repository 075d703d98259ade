//! The images of the store that nobody named: whatever was pulled through, or pushed. There may be any number, so a page has an end,
//! and so has the work for it.

use std::collections::HashSet;

use cistern_oci::{Reference, RepositoryName};

use super::super::super::Http;
use super::super::about::written;
use super::{ImageLine, Wanted};
use crate::pull::{Platforms, PullError, TagName};
use crate::repositories::{Hosted, Repository};

/// A page ends early when so many manifests were looked at for it.
const MOST_MANIFESTS: usize = 10_000;

/// Adds a page of them. What comes back is where the next page goes on.
pub(super) async fn add(
    http: &Http,
    wanted: &Wanted,
    named: &HashSet<(RepositoryName, Reference)>,
    to: &mut Vec<ImageLine>,
) -> Result<Option<String>, PullError> {
    if wanted.unnamed == 0 {
        return Ok(None);
    }
    let is_named =
        |tag: &TagName| named.contains(&(tag.repository.clone(), Reference::Tag(tag.tag.clone())));
    let (mut after, mut added, mut looked_at) = (wanted.after.clone(), 0, 0);
    loop {
        let page = http
            .pull
            .cached_tags(after.as_ref(), wanted.unnamed)
            .await?;
        let count = page.tags.len();
        for (place, tag) in page.tags.into_iter().enumerate() {
            let is_last = !page.more && place + 1 == count;
            after = Some(tag.clone());
            if !is_named(&tag) {
                looked_at += add_one(http, &tag, to).await?;
                added += 1;
            }
            if (added >= wanted.unnamed || looked_at >= MOST_MANIFESTS) && !is_last {
                return Ok(Some(tag.to_string()));
            }
        }
        if !page.more {
            return Ok(None);
        }
    }
}

/// Adds one; how many manifests were looked at for it. A tag that went meanwhile is passed over.
async fn add_one(http: &Http, name: &TagName, to: &mut Vec<ImageLine>) -> Result<usize, PullError> {
    let storage = http.pull.storage();
    let record = storage.repositories().tag(&name.repository, &name.tag);
    let Some(record) = record.await? else {
        return Ok(1);
    };
    let repository = of_store(http, &name.repository);
    let closure = http
        .pull
        .closure(&repository, &record.digest, &Platforms::All)
        .await?;
    let looked_at = closure.manifests.len();
    let last_used = storage.blobs().last_used(record.digest).await;
    to.push(ImageLine {
        hosted: http.repositories.hosts(&name.repository),
        digest: Some(record.digest.to_string()),
        last_used: last_used.map(written),
        ..ImageLine::unnamed(name, closure)
    });
    Ok(looked_at)
}

/// The repository that is kept under this name; its name at its upstream does not matter here.
fn of_store(http: &Http, name: &RepositoryName) -> Repository {
    let found = http.repositories.find(name, None, None).ok();
    let found = found.filter(|found| found.name() == name);
    found.unwrap_or_else(|| Repository::Hosted(Hosted { name: name.clone() }))
}
