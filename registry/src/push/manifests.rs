//! Taking manifests: the exact bytes, after a look at whether they are one and whether what they name is here.

use std::collections::HashSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cistern_oci::{
    Algorithm, Descriptor, Digest, MANIFEST_SIZE_LIMIT, Manifest, ManifestKind, ManifestLinks,
    MediaType, Reference, nesting,
};

use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::uploads::is_kept;
use super::{KeptManifest, Parts, PushBody, PushError, SentManifest, body};
use crate::repositories::Hosted;

/// What clients send that do not say what they send.
const NOTHING_SAID: [&str; 4] = [
    "application/octet-stream",
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
];

/// The deepest nesting that Go's decoder reads, and so most clients.
const MOST_DEPTH: usize = 10_000;

/// How long the bytes of a manifest may take to come, as they wait in memory.
const LONGEST: Duration = Duration::from_secs(120);

/// All manifests that are being pushed together, in KiB: as many as sixteen of the greatest.
pub(super) const ROOM: usize = 64 * 1024;

/// So many missing blobs are named; who lacks more has lost more than a list would help to find.
const NAMED: usize = 100;

pub(super) async fn put<B: PushBody>(
    parts: &Parts,
    to: &Hosted,
    sent: SentManifest<B>,
) -> Result<KeptManifest, PushError> {
    let SentManifest {
        reference,
        mut tags,
        content_type,
        length,
        body,
    } = sent;
    parts.storage.blobs().has_room(length).await?;
    // Held to the end: what is read out of a manifest takes as much memory as the manifest.
    let _room = room(parts, length).await?;
    let Ok(read) = timeout(LONGEST, read(body, length)).await else {
        let why = format!("not all of it came within {} seconds", LONGEST.as_secs());
        return Err(PushError::BodyBroke(why));
    };
    let bytes = read?;
    let digest = digest_of(&reference, &bytes)?;
    let links = ManifestLinks::read(&bytes)
        .map_err(|error| PushError::ManifestInvalid(error.to_string()))?;
    if nesting(&bytes) > MOST_DEPTH {
        return Err(PushError::ManifestInvalid(format!(
            "it is nested more than {MOST_DEPTH} levels deep"
        )));
    }
    if let Some((name, known)) = ManifestLinks::misspelt(&bytes) {
        return Err(PushError::ManifestInvalid(format!(
            "its member {name:?} differs from {known:?} by its case only, and some readers take it for that"
        )));
    }
    let media_type = media_type(content_type.as_deref(), &links, &bytes)?;
    if !parts.incomplete {
        let missing = missing(parts, to, &links).await?;
        if !missing.is_empty() {
            return Err(PushError::BlobsMissing(missing));
        }
    }
    let manifest = Manifest {
        digest,
        media_type,
        bytes,
    };
    let repositories = parts.storage.repositories();
    repositories.keep_manifest(&to.name, &manifest).await?;
    if let Reference::Tag(tag) = reference {
        tags.push(tag);
    }
    for tag in &tags {
        repositories.keep_tag(&to.name, tag, &digest).await?;
    }
    Ok(KeptManifest {
        digest,
        subject: links.subject.map(|subject| subject.digest),
    })
}

/// Waits until there is room in memory for a manifest of this length, or of the greatest.
async fn room(parts: &Parts, length: Option<u64>) -> Result<SemaphorePermit<'_>, PushError> {
    let limit = MANIFEST_SIZE_LIMIT;
    let length = length.unwrap_or(limit);
    if length > limit {
        return Err(PushError::ManifestTooLarge { limit });
    }
    let kibibytes = u32::try_from(length / 1024 + 1).unwrap_or(u32::MAX);
    let room = parts.manifest_room.acquire_many(kibibytes).await;
    room.map_err(|closed| PushError::BodyBroke(closed.to_string()))
}

/// All bytes of a manifest, unless they are too many.
async fn read(mut body: impl PushBody, length: Option<u64>) -> Result<Bytes, PushError> {
    let limit = MANIFEST_SIZE_LIMIT;
    let mut bytes = BytesMut::with_capacity(usize::try_from(length.unwrap_or(0)).unwrap_or(0));
    while let Some(more) = body::next(&mut body).await? {
        if (bytes.len() + more.len()) as u64 > limit {
            return Err(PushError::ManifestTooLarge { limit });
        }
        bytes.extend_from_slice(&more);
    }
    Ok(bytes.freeze())
}

/// The digest the manifest is known by: the caller's, if one was named and it is right.
fn digest_of(reference: &Reference, bytes: &[u8]) -> Result<Digest, PushError> {
    match reference {
        Reference::Tag(_) => Ok(Digest::of(Algorithm::Sha256, bytes)),
        Reference::Digest(expected) => {
            let actual = Digest::of(expected.algorithm(), bytes);
            if actual == *expected {
                return Ok(actual);
            }
            Err(PushError::WrongDigest {
                expected: Box::new(*expected),
                actual: Box::new(actual),
            })
        }
    }
}

/// What the manifest is. The header and the body must not say different things: two readers would see two different manifests in
/// the same bytes (CVE-2021-41190).
fn media_type(
    content_type: Option<&str>,
    links: &ManifestLinks,
    bytes: &[u8],
) -> Result<MediaType, PushError> {
    let said = content_type
        .map(MediaType::new)
        .filter(|said| !NOTHING_SAID.contains(&said.as_str()));
    match (said, &links.media_type) {
        (Some(said), Some(own)) if said != *own => Err(PushError::ManifestInvalid(format!(
            "it is sent as {said}, but calls itself {own}"
        ))),
        (_, Some(own)) => Ok(own.clone()),
        (Some(said), None) if !fits(&said, links.kind) => Err(PushError::ManifestInvalid(format!(
            "it is sent as {said}, but has other parts"
        ))),
        (Some(said), None) => Ok(said),
        (None, None) => Ok(Manifest::media_type_of(None, bytes)),
    }
}

/// Whether a body of this kind can be what the header says. Of what is unknown nothing is said.
fn fits(said: &MediaType, kind: ManifestKind) -> bool {
    match kind {
        ManifestKind::Image => !said.is_index(),
        ManifestKind::Index => !said.is_image(),
        ManifestKind::Other => true,
    }
}

/// The blobs that are neither here nor meant to be elsewhere. What an index names may be absent.
async fn missing(
    parts: &Parts,
    to: &Hosted,
    links: &ManifestLinks,
) -> Result<Vec<Digest>, PushError> {
    let (mut seen, mut missing) = (HashSet::new(), Vec::new());
    for blob in links.blobs().filter(|blob| !is_elsewhere(blob)) {
        if missing.len() == NAMED {
            break;
        }
        if seen.insert(blob.digest) && !is_kept(parts, to, &blob.digest).await? {
            missing.push(blob.digest);
        }
    }
    Ok(missing)
}

/// Layers that registries must not distribute, or that come from other addresses.
fn is_elsewhere(blob: &Descriptor) -> bool {
    let media_type = blob.media_type.as_str();
    !blob.urls.is_empty()
        || media_type.contains(".nondistributable.")
        || media_type.contains(".foreign.")
}
