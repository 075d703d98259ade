//! The table of `/v2/`: method and resource → who answers. Everything that is not in it is refused here, before a body is read.

mod blobs;
mod lists;
mod manifests;
mod referrers;
mod uploads;

use cistern_auth::incoming::Admitted;
use cistern_oci::Resource;
use http::Method;
use http::request::Parts;
use hyper::body::Incoming;

use super::connection::Caller;
use super::error::ApiError;
use super::request::{Asked, Target, is_write, parameter};
use super::response::{self, Answer, NAMESPACE};
use super::{Http, access};
use crate::repositories::{Hosted, Repository};

/// Answers a request below `/v2/`.
pub(super) async fn answer(
    http: &Http,
    caller: &Caller,
    admitted: &Admitted,
    head: &Parts,
    body: Incoming,
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
    let repository = http
        .repositories
        .find(&endpoint.repository, namespace.as_deref(), own_host)?
        .asked_by(&asked.asker);
    if !reads {
        let hosted = match &repository {
            Repository::Hosted(hosted) => hosted,
            Repository::Mirror(mirror) => {
                return Err(ApiError::no_writes(mirror.upstream.host(), method));
            }
        };
        access::may_write(http, access::address_of(http, caller, head), admitted)?;
        return write(http, head, body, hosted, &endpoint.resource).await;
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
        (Resource::Uploads, _) => Err(ApiError::not_this_method(method, &Resource::Uploads)),
        (Resource::Upload(id), _) => match &repository {
            Repository::Hosted(hosted) => uploads::status(http, hosted, id).await,
            Repository::Mirror(_) => Err(ApiError::no_uploads()),
        },
    }?;
    Ok(
        match namespace.and_then(|namespace| response::text(&namespace)) {
            Some(namespace) => answer.with(NAMESPACE, namespace),
            None => answer,
        },
    )
}

/// Changes something in a hosted repository.
async fn write(
    http: &Http,
    head: &Parts,
    body: Incoming,
    to: &Hosted,
    resource: &Resource,
) -> Result<Answer, ApiError> {
    match (&head.method, resource) {
        (&Method::POST, Resource::Uploads) => uploads::begin(http, head, body, to).await,
        (&Method::PATCH, Resource::Upload(id)) => uploads::append(http, head, body, to, id).await,
        (&Method::PUT, Resource::Upload(id)) => uploads::finish(http, head, body, to, id).await,
        (&Method::DELETE, Resource::Upload(id)) => uploads::cancel(http, to, id).await,
        (&Method::PUT, Resource::Manifest(reference)) => {
            manifests::put(http, head, body, to, reference).await
        }
        (&Method::DELETE, Resource::Manifest(reference)) => {
            manifests::delete(http, to, reference).await
        }
        (&Method::DELETE, Resource::Blob(digest)) => blobs::delete(http, to, digest).await,
        (method, resource) => Err(ApiError::not_this_method(method, resource)),
    }
}
