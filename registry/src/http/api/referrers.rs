//! What refers to a manifest: `GET /v2/<name>/referrers/<digest>`, by kind of artifact, in pages by `n` and `last`.
//!
//! The answer is an index, and says so in exactly these words: clients compare the type literally. Clients read no more than
//! 4 MiB of it, so a long list comes in pages whether or not that was asked for.

use std::borrow::Cow;

use cistern_oci::{Digest, MediaType, RepositoryName};
use http::request::Parts;
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use url::form_urlencoded;

use super::super::Http;
use super::super::error::ApiError;
use super::super::request::{Page, parameter, parameters};
use super::super::response::{self, Answer};
use crate::pull::{Referrer, ReferrerList};
use crate::repositories::Repository;

/// Says which filters were heeded.
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
const ARTIFACT_TYPE: &str = "artifactType";
const INDEX: HeaderValue = HeaderValue::from_static("application/vnd.oci.image.index.v1+json");

/// The most descriptors on a page.
const MOST: usize = 1000;
/// The most bytes of descriptors on a page. One that is longer has a page of its own.
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// A descriptor that is longer is not written on the reactor.
const LONG: usize = 64 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: MediaType,
    manifests: Vec<Box<RawValue>>,
}

/// The part of a list that is answered.
struct Cut {
    manifests: Vec<Box<RawValue>>,
    /// The last of them, if there are more.
    last: Option<Digest>,
}

/// A page of what refers to `subject`.
pub(super) async fn list(
    http: &Http,
    head: &Parts,
    name: &RepositoryName,
    repository: &Repository,
    subject: &Digest,
) -> Result<Answer, ApiError> {
    let page = Page::read(head)?;
    // One of several kinds is enough. An empty one is no filter.
    let wanted: Vec<Cow<'_, str>> = parameters(head, ARTIFACT_TYPE)
        .filter(|kind| !kind.is_empty())
        .collect();
    let mut listed = http.pull.referrers(repository, subject).await?;
    let (served, stale) = (listed.served, listed.stale);
    let cut = cut(&mut listed, &wanted, &page).await?;
    drop(listed);
    let index = Index {
        schema_version: 2,
        media_type: MediaType::oci_index(),
        manifests: cut.manifests,
    };
    let mut answer = response::json(&index, &head.method)?.with(header::CONTENT_TYPE, INDEX);
    answer.served = Some(served);
    if !wanted.is_empty() {
        answer = answer.with(FILTERS_APPLIED, HeaderValue::from_static(ARTIFACT_TYPE));
    }
    if let Some(last) = cut.last
        && let Some(link) = link(head, name, subject, &page, &wanted, &last)
    {
        answer = answer.with(header::LINK, link);
    }
    Ok(response::stale_list(answer, stale))
}

/// Takes what fits on a page out of a sorted list. No more than the page and the one whose turn it is are held.
async fn cut(
    listed: &mut ReferrerList,
    wanted: &[Cow<'_, str>],
    page: &Page<'_>,
) -> Result<Cut, ApiError> {
    let at_most = page.at_most.unwrap_or(MOST).min(MOST);
    if let Some(after) = &page.after {
        listed.pass(after);
    }
    let (mut manifests, mut last, mut bytes) = (Vec::new(), None, 0);
    while at_most > 0
        && let Some(referrer) = listed.next().await?
    {
        if !is_wanted(&referrer, wanted) {
            continue;
        }
        if manifests.len() == at_most {
            return Ok(Cut { manifests, last });
        }
        let digest = referrer.digest;
        let descriptor = written(referrer).await?;
        bytes += descriptor.get().len();
        if bytes > MOST_BYTES && !manifests.is_empty() {
            return Ok(Cut { manifests, last });
        }
        manifests.push(descriptor);
        last = Some(digest);
    }
    Ok(Cut {
        manifests,
        last: None,
    })
}

/// The descriptor of a referrer.
async fn written(referrer: Cow<'_, Referrer>) -> Result<Box<RawValue>, ApiError> {
    let descriptor = if referrer.length() > LONG {
        let referrer = referrer.into_owned();
        tokio::task::spawn_blocking(move || to_raw_value(&referrer))
            .await
            .map_err(|error| ApiError::internal(&error))?
    } else {
        to_raw_value(&*referrer)
    };
    descriptor.map_err(|error| ApiError::internal(&error))
}

fn is_wanted(referrer: &Referrer, wanted: &[Cow<'_, str>]) -> bool {
    let kind = referrer.artifact_type.as_deref();
    wanted.is_empty() || wanted.iter().any(|wanted| Some(&**wanted) == kind)
}

/// The `Link` to the next page: the same question, further on. It is relative, as all of ours are.
fn link(
    head: &Parts,
    name: &RepositoryName,
    subject: &Digest,
    page: &Page<'_>,
    wanted: &[Cow<'_, str>],
    last: &Digest,
) -> Option<HeaderValue> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(at_most) = page.at_most {
        query.append_pair("n", &at_most.to_string());
    }
    query.append_pair("last", &last.to_string());
    for kind in wanted {
        query.append_pair(ARTIFACT_TYPE, kind);
    }
    if let Some(namespace) = parameter(head, "ns") {
        query.append_pair("ns", &namespace);
    }
    let query = query.finish();
    response::text(&format!(
        "</v2/{name}/referrers/{subject}?{query}>; rel=\"next\""
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pull::Served;

    fn referrers(count: usize, size: usize) -> Vec<Referrer> {
        let referrer = |number: usize| Referrer {
            media_type: MediaType::oci_manifest(),
            digest: Digest::of(cistern_oci::Algorithm::Sha256, &number.to_be_bytes()),
            size: 1,
            artifact_type: Some(["a/even", "a/odd"][number % 2].to_owned()),
            annotations: BTreeMap::from([("a".to_owned(), "x".repeat(size))]),
        };
        let mut all: Vec<_> = (0..count).map(referrer).collect();
        all.sort_by_key(|referrer| referrer.digest);
        all
    }

    async fn cut_of(
        all: &[Referrer],
        wanted: &[Cow<'_, str>],
        at_most: Option<usize>,
        after: Option<Digest>,
    ) -> Cut {
        let page = Page {
            at_most,
            after: after.map(|after| after.to_string().into()),
        };
        let mut listed = ReferrerList::told(all.into(), Served::Hit);
        cut(&mut listed, wanted, &page).await.unwrap()
    }

    #[tokio::test]
    async fn pages_hold_each_descriptor_once_and_are_never_too_long() {
        for (count, size, at_most, pages) in [
            (0, 0, None, 1),
            (1000, 0, None, 1),
            (2001, 0, None, 3),
            (2001, 0, Some(5000), 3),
            (10, 0, Some(4), 3),
            (10, 500_000, None, 3),
            (3, 3_000_000, None, 3),
        ] {
            let all = referrers(count, size);
            let (mut found, mut seen, mut after) = (0, 0, None);
            loop {
                let cut = cut_of(&all, &[], at_most, after).await;
                seen += 1;
                found += cut.manifests.len();
                assert!(cut.manifests.len() <= at_most.unwrap_or(MOST).min(MOST));
                after = cut.last;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!((found, seen), (count, pages), "{count} of {size}");
        }
    }

    #[tokio::test]
    async fn a_page_is_cut_from_what_is_wanted() {
        let all = referrers(100, 0);
        let wanted = [Cow::Borrowed("a/odd")];
        let first = cut_of(&all, &wanted, Some(30), None).await;
        let second = cut_of(&all, &wanted, Some(30), first.last).await;
        assert_eq!((first.manifests.len(), second.manifests.len()), (30, 20));
        assert_eq!(second.last, None);
        let both = [Cow::Borrowed("a/odd"), Cow::Borrowed("a/even")];
        assert_eq!(cut_of(&all, &both, None, None).await.manifests.len(), 100);
        let none = [Cow::Borrowed("a/other")];
        assert_eq!(cut_of(&all, &none, None, None).await.manifests.len(), 0);
        let nothing = cut_of(&all, &[], Some(0), None).await;
        assert_eq!((nothing.manifests.len(), nothing.last), (0, None));
    }
}
