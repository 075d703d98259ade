//! What a request asks for, parsed once at the door: no text of a caller is looked at after this file.

use std::borrow::Cow;

use cistern_oci::{Digest, Endpoint, EndpointError, Reference, Resource};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};

use super::error::ApiError;
use super::layers::Face;
use crate::chain::Asker;
use crate::metrics::Action;

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) action: Action,
    pub(super) target: Target,
    /// Through which caches the request came.
    pub(super) asker: Asker,
}

/// What the path names.
#[derive(Debug)]
pub(super) enum Target {
    /// `/v2/`: is this a registry?
    Ping,
    /// `/v2/_catalog`.
    Catalog,
    /// Something in a repository.
    Endpoint(Endpoint),
    /// A path below `/v2/` that names nothing, or names it badly.
    Unreadable(EndpointError),
    /// Not below `/v2/`.
    Page,
}

/// Which part of a list is asked for (`n` and `last`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<'a> {
    pub(super) at_most: Option<usize>,
    pub(super) after: Option<Cow<'a, str>>,
}

// === impl Asked ===

impl Asked {
    /// Reads path and method.
    pub(super) fn read(head: &Parts, face: Face) -> Self {
        let target = match head.uri.path() {
            path if face != Face::Main || !(path == "/v2" || path.starts_with("/v2/")) => {
                Target::Page
            }
            "/v2" | "/v2/" => Target::Ping,
            "/v2/_catalog" => Target::Catalog,
            path => match Endpoint::parse(path) {
                Ok(endpoint) => Target::Endpoint(endpoint),
                Err(why) => Target::Unreadable(why),
            },
        };
        Self {
            action: action(&head.method, &target),
            target,
            asker: asker(&head.headers),
        }
    }

    /// Whether this is for the pages, not for the registry.
    pub(super) fn is_page(&self) -> bool {
        matches!(self.target, Target::Page)
    }

    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        match &self.target {
            Target::Endpoint(endpoint) => Some(endpoint),
            Target::Ping | Target::Catalog | Target::Unreadable(_) | Target::Page => None,
        }
    }
}

fn asker(headers: &HeaderMap) -> Asker {
    let fields = headers.get_all(header::VIA).iter();
    Asker::read(fields.filter_map(|field| field.to_str().ok()))
}

/// Whether the method would change something.
pub(super) fn is_write(method: &Method) -> bool {
    matches!(
        *method,
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    )
}

fn action(method: &Method, target: &Target) -> Action {
    let is_get = *method == Method::GET;
    let is_head = *method == Method::HEAD;
    match target {
        Target::Page => Action::Admin,
        Target::Unreadable(_) => Action::Other,
        _ if is_write(method) => Action::Write,
        _ if !is_get && !is_head => Action::Other,
        Target::Ping => Action::Ping,
        Target::Catalog => Action::Catalog,
        Target::Endpoint(endpoint) => match &endpoint.resource {
            Resource::Blob(_) if is_head => Action::BlobHead,
            Resource::Blob(_) => Action::BlobGet,
            Resource::Manifest(_) if is_head => Action::ManifestHead,
            Resource::Manifest(_) => Action::ManifestGet,
            Resource::Tags => Action::Tags,
            Resource::Referrers(_) => Action::Referrers,
            Resource::Uploads | Resource::Upload(_) => Action::Other,
        },
    }
}

/// The value of a query parameter, decoded; the first if it comes several times.
pub(super) fn parameter<'a>(head: &'a Parts, name: &str) -> Option<Cow<'a, str>> {
    parameter_of(head.uri.query()?, name)
}

/// The same, of a query.
pub(super) fn parameter_of<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// All values of a query parameter, decoded, in their order.
pub(super) fn parameters<'a>(
    head: &'a Parts,
    name: &'a str,
) -> impl Iterator<Item = Cow<'a, str>> + 'a {
    let query = head.uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .filter(move |(key, _)| key == name)
        .map(|(_, value)| value)
}

/// How many bytes the body has, if the caller says so.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Where the bytes of a push belong: `Content-Range: <first>-<last>` as the distribution-spec writes it, or as RFC 9110 does
/// (`bytes <first>-<last>/<size or *>`), which some clients send. `None` without the header.
pub(super) fn chunk_place(headers: &HeaderMap) -> Result<Option<(u64, u64)>, ApiError> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let place = place(text).ok_or_else(|| ApiError::bad_chunk_place(text))?;
    if let Some(length) = content_length(headers)
        && length.checked_sub(1) != Some(place.1 - place.0)
    {
        return Err(ApiError::chunk_length_differs(text, length));
    }
    Ok(Some(place))
}

fn place(text: &str) -> Option<(u64, u64)> {
    let range = text.strip_prefix("bytes ").unwrap_or(text).trim();
    let range = range.split_once('/').map_or(range, |(range, _)| range);
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let place: (u64, u64) = (number(first)?, number(last)?);
    (place.0 <= place.1).then_some(place)
}

// === impl Page ===

impl<'a> Page<'a> {
    /// Reads `n` and `last`.
    pub(super) fn read(head: &'a Parts) -> Result<Self, ApiError> {
        let at_most = match parameter(head, "n") {
            None => None,
            Some(n) => Some(count(&n).ok_or_else(|| ApiError::bad_page_size(&n))?),
        };
        let after = parameter(head, "last").filter(|last| !last.is_empty());
        Ok(Self { at_most, after })
    }
}

/// A whole number that is not negative; one beyond what fits means everything.
fn count(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(usize::MAX))
}

/// Whether the caller has `digest` already, by `If-None-Match`: quoted, unquoted, weak, in a list, or `*`.
pub(super) fn has_already(headers: &HeaderMap, digest: &Digest) -> bool {
    names(headers, &header::IF_NONE_MATCH).any(|tag| tag == "*" || is_tag_of(tag, digest))
}

/// Whether a range may be answered with a part: no `If-Range`, or one that names `digest`.
pub(super) fn range_still_holds(headers: &HeaderMap, digest: &Digest) -> bool {
    match headers.get(header::IF_RANGE) {
        None => true,
        // A date, or a weak tag, never promises the same bytes.
        Some(tag) => tag
            .to_str()
            .is_ok_and(|tag| !tag.starts_with("W/") && is_tag_of(tag.trim(), digest)),
    }
}

/// The `Range` header, if it is text.
pub(super) fn range(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::RANGE)?.to_str().ok()
}

fn names<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Our entity tags are the digest itself; some clients leave the quotes away, caches between us may have made them weak.
fn is_tag_of(tag: &str, digest: &Digest) -> bool {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let tag = tag
        .strip_prefix('"')
        .and_then(|tag| tag.strip_suffix('"'))
        .unwrap_or(tag);
    tag.parse::<Digest>().is_ok_and(|named| named == *digest)
}

/// The digest an answer to `reference` will be named by, if that is known before asking.
pub(super) fn digest_of(reference: &Reference) -> Option<&Digest> {
    match reference {
        Reference::Digest(digest) => Some(digest),
        Reference::Tag(_) => None,
    }
}
