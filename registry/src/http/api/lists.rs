//! Lists: `GET /v2/<name>/tags/list` and `GET /v2/_catalog`, in pages by `n` and `last`.

use cistern_oci::{RepositoryName, Tag};
use http::header;
use http::request::Parts;
use serde::Serialize;
use url::form_urlencoded;

use super::super::Http;
use super::super::error::ApiError;
use super::super::request::{Page, parameter};
use super::super::response::{self, Answer};
use crate::repositories::Repository;

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a RepositoryName,
    tags: &'a [Tag],
}

#[derive(Serialize)]
struct Catalog<'a> {
    repositories: &'a [RepositoryName],
}

/// A page of a repository's tags. The list carries the name that was asked for.
pub(super) async fn tags(
    http: &Http,
    head: &Parts,
    name: &RepositoryName,
    repository: &Repository,
) -> Result<Answer, ApiError> {
    let page = Page::read(head)?;
    let listed = http
        .pull
        .tags(repository, page.after.as_deref(), page.at_most)
        .await?;
    let mut answer = response::json(
        &TagList {
            name,
            tags: &listed.tags,
        },
        &head.method,
    )?;
    answer.served = Some(listed.served);
    let last = listed.tags.last().filter(|_| listed.more).map(Tag::as_str);
    let answer = with_next(answer, head, &format!("/v2/{name}/tags/list"), &page, last);
    Ok(response::stale_list(answer, listed.stale))
}

/// A page of the repositories in the store.
pub(super) async fn catalog(http: &Http, head: &Parts) -> Result<Answer, ApiError> {
    let page = Page::read(head)?;
    let listed = http
        .pull
        .catalog(page.after.as_deref(), page.at_most)
        .await?;
    let answer = response::json(
        &Catalog {
            repositories: &listed.names,
        },
        &head.method,
    )?;
    let last = listed
        .names
        .last()
        .filter(|_| listed.more)
        .map(RepositoryName::as_str);
    Ok(with_next(answer, head, "/v2/_catalog", &page, last))
}

/// Adds the `Link` to the next page. It is relative: behind a proxy nobody here knows the name that the caller used.
fn with_next(
    answer: Answer,
    head: &Parts,
    path: &str,
    page: &Page<'_>,
    last: Option<&str>,
) -> Answer {
    let (Some(last), Some(at_most)) = (last, page.at_most) else {
        return answer;
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("n", &at_most.to_string())
        .append_pair("last", last);
    if let Some(namespace) = parameter(head, "ns") {
        query.append_pair("ns", &namespace);
    }
    let link = format!("<{path}?{}>; rel=\"next\"", query.finish());
    match response::text(&link) {
        Some(link) => answer.with(header::LINK, link),
        None => answer,
    }
}
