//! The table of `/v2/`: method and resource → who answers. Everything that is not in it is refused here, before a body is read.

mod blobs;
mod lists;
mod manifests;
mod referrers;

use cistern_auth::incoming::Admitted;
use cistern_oci::Resource;
use http::Method;
use http::request::Parts;

use super::connection::Caller;
use super::error::ApiError;
use super::request::{Asked, Target, is_write, parameter};
use super::response::{self, Answer, NAMESPACE};
use super::{Http, access};
use crate::repositories::Repository;

/// Answers a request below `/v2/`.
pub(super) async fn answer(
    http: &Http,
    caller: &Caller,
    admitted: &Admitted,
    head: &Parts,
    asked: &Asked,
) -> Result<Answer, ApiError> {
    let method = &head.method;
    let reads = *method == Method::GET || *method == Method::HEAD;
    let endpoint = match &asked.target {
        Target::Endpoint(endpoint) => endpoint,
        Target::Unreadable(why) => return Err(ApiError::from(why)),
        _ if !reads => return Err(ApiError::method_not_allowed(method)),
        Target::Ping => return Ok(response::empty_json(method)),
        Target::Catalog => return lists::catalog(http, head).await,
        Target::Page => return Err(ApiError::no_such_path()),
    };
    if !reads && !is_write(method) {
        return Err(ApiError::method_not_allowed(method));
    }
    let namespace = parameter(head, "ns");
    let own_host = head
        .headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok());
    let repository =
        http.repositories
            .find(&endpoint.repository, namespace.as_deref(), own_host)?;
    if !reads {
        if let Repository::Hosted(_) = repository {
            access::may_write(http, access::address_of(http, caller, head), admitted)?;
        }
        return Err(ApiError::no_writes(why_no_writes(&repository)));
    }
    let answer = match (&endpoint.resource, method == Method::HEAD) {
        (Resource::Manifest(reference), _) => {
            manifests::find(http, head, &repository, reference).await
        }
        (Resource::Blob(digest), true) => blobs::head(http, head, &repository, *digest).await,
        (Resource::Blob(digest), false) => blobs::get(http, head, &repository, *digest).await,
        (Resource::Tags, _) => lists::tags(http, head, &endpoint.repository, &repository).await,
        (Resource::Referrers(subject), _) => {
            referrers::list(http, head, &endpoint.repository, &repository, subject).await
        }
        (Resource::Uploads, _) => Err(ApiError::method_not_allowed(method)),
        (Resource::Upload(_), _) => Err(ApiError::no_uploads()),
    }?;
    Ok(
        match namespace.and_then(|namespace| response::text(&namespace)) {
            Some(namespace) => answer.with(NAMESPACE, namespace),
            None => answer,
        },
    )
}

fn why_no_writes(repository: &Repository) -> &'static str {
    match repository {
        Repository::Mirror(_) => "this repository mirrors another registry: push there",
        Repository::Hosted(_) => "this repository is read-only here",
    }
}
