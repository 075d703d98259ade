//! The paths below `/v2/<name>/`, both ways. This is the only place that takes such a path apart:
//! routing and the question who may come in look at the same result. Must not know methods, queries
//! or answers. `/v2/` itself and `/v2/_catalog` name no repository and are not here.

use std::borrow::Cow;
use std::fmt;

use crate::{
    Digest, DigestError, NameError, Reference, ReferenceError, RepositoryName, UploadId,
    UploadIdError,
};

#[cfg(test)]
mod tests;

/// A path of the distribution API: a repository and something in it.
///
/// Printed, it is the path again, and needs no escaping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The repository the path is about.
    pub repository: RepositoryName,
    /// What it is about in there.
    pub resource: Resource,
}

/// What a path names within its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `blobs/<digest>`
    Blob(Digest),
    /// `manifests/<tag or digest>`
    Manifest(Reference),
    /// `blobs/uploads/`, where pushes of blobs begin; read without the last slash too.
    Uploads,
    /// `blobs/uploads/<id>`, one running push.
    Upload(UploadId),
    /// `tags/list`
    Tags,
    /// `referrers/<digest>`, what points to that manifest as its subject.
    Referrers(Digest),
}

/// Why a path is none of the API's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It has not the shape of any path of the API, or its percent-encoding is broken.
    #[error("there is nothing at this path")]
    Unknown,
    /// The repository's name is not one.
    #[error(transparent)]
    Name(NameError),
    /// The digest of a blob or of a subject is not one.
    #[error(transparent)]
    Digest(DigestError),
    /// The tag or digest of a manifest is not one.
    #[error(transparent)]
    Reference(ReferenceError),
    /// The id of an upload is not one.
    #[error(transparent)]
    Upload(UploadIdError),
}

impl Endpoint {
    /// Takes the path of a request apart, without its query. It is percent-decoded once, and read
    /// from its end: a repository may be called `team/blobs` or `tags/list`, what stands last
    /// decides.
    pub fn parse(path: &str) -> Result<Self, EndpointError> {
        let path = if path.contains('%') {
            Cow::Owned(decode(path)?)
        } else {
            Cow::Borrowed(path)
        };
        let below = path.strip_prefix("/v2/").ok_or(EndpointError::Unknown)?;
        let (above, last) = below.rsplit_once('/').ok_or(EndpointError::Unknown)?;
        let (name, kind) = above.rsplit_once('/').ok_or(EndpointError::Unknown)?;
        let name_of = |name: &str| name.parse().map_err(EndpointError::Name);
        match (kind, last) {
            ("manifests", reference) => Ok(Self {
                repository: name_of(name)?,
                resource: Resource::Manifest(reference.parse().map_err(EndpointError::Reference)?),
            }),
            ("blobs", "uploads") => Ok(Self {
                repository: name_of(name)?,
                resource: Resource::Uploads,
            }),
            ("blobs", digest) => Ok(Self {
                repository: name_of(name)?,
                resource: Resource::Blob(digest.parse().map_err(EndpointError::Digest)?),
            }),
            ("uploads", id) => {
                let repository =
                    name_of(name.strip_suffix("/blobs").ok_or(EndpointError::Unknown)?)?;
                let resource = match id {
                    "" => Resource::Uploads,
                    id => Resource::Upload(id.parse().map_err(EndpointError::Upload)?),
                };
                Ok(Self {
                    repository,
                    resource,
                })
            }
            ("tags", "list") => Ok(Self {
                repository: name_of(name)?,
                resource: Resource::Tags,
            }),
            ("referrers", digest) => Ok(Self {
                repository: name_of(name)?,
                resource: Resource::Referrers(digest.parse().map_err(EndpointError::Digest)?),
            }),
            _ => Err(EndpointError::Unknown),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/v2/{}", self.repository)?;
        match &self.resource {
            Resource::Blob(digest) => write!(formatter, "/blobs/{digest}"),
            Resource::Manifest(reference) => write!(formatter, "/manifests/{reference}"),
            Resource::Uploads => formatter.write_str("/blobs/uploads/"),
            Resource::Upload(id) => write!(formatter, "/blobs/uploads/{id}"),
            Resource::Tags => formatter.write_str("/tags/list"),
            Resource::Referrers(digest) => write!(formatter, "/referrers/{digest}"),
        }
    }
}

/// Decodes `%41` and the like, once. What that gives is checked by whoever reads the parts: none of
/// them allows a percent sign, a dot as a component, or a control character.
fn decode(path: &str) -> Result<String, EndpointError> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'%' {
            decoded.push(first);
            rest = behind;
            continue;
        }
        let &[high, low, ref behind @ ..] = behind else {
            return Err(EndpointError::Unknown);
        };
        let value = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        };
        let (high, low) = value(high).zip(value(low)).ok_or(EndpointError::Unknown)?;
        decoded.push((high << 4) | low);
        rest = behind;
    }
    String::from_utf8(decoded).map_err(|_| EndpointError::Unknown)
}
