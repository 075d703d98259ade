//! Taking manifests: the exact bytes, after a look at whether they are one and whether what they name is here.

use bytes::{Bytes, BytesMut};
use cistern_oci::{
    Algorithm, Descriptor, Digest, MANIFEST_SIZE_LIMIT, Manifest, ManifestKind, ManifestLinks,
    MediaType, Reference,
};

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
    let bytes = read(body, length).await?;
    let digest = digest_of(&reference, &bytes)?;
    let links = ManifestLinks::read(&bytes)
        .map_err(|error| PushError::ManifestInvalid(error.to_string()))?;
    if depth(&bytes) > MOST_DEPTH {
        return Err(PushError::ManifestInvalid(format!(
            "it is nested more than {MOST_DEPTH} levels deep"
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

/// All bytes of a manifest, unless they are too many.
async fn read(mut body: impl PushBody, length: Option<u64>) -> Result<Bytes, PushError> {
    let limit = MANIFEST_SIZE_LIMIT;
    let too_large = PushError::ManifestTooLarge { limit };
    if length.is_some_and(|length| length > limit) {
        return Err(too_large);
    }
    let mut bytes = BytesMut::new();
    while let Some(more) = body::next(&mut body).await? {
        if (bytes.len() + more.len()) as u64 > limit {
            return Err(too_large);
        }
        bytes.extend_from_slice(&more);
    }
    Ok(bytes.freeze())
}

/// How deeply arrays and objects are nested in a text that is JSON.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_text(&mut bytes),
            _ => {}
        }
    }
    deepest
}

/// To behind the quotation mark that ends a text.
fn skip_text(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
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
    let mut missing = Vec::new();
    for blob in links.blobs().filter(|blob| !is_elsewhere(blob)) {
        let is_here = parts
            .storage
            .repositories()
            .holds_blob(&to.name, &blob.digest)
            .await?
            && parts.storage.blobs().size(&blob.digest).await?.is_some();
        if !is_here && !missing.contains(&blob.digest) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_where_they_nest_and_not_where_they_are_written() {
        for (json, expected) in [
            ("12", 0),
            ("{}", 1),
            (r#"{"a":[[],[{}]],"b":[]}"#, 4),
            (r#"{"[[[":"{{{","\"[[":"\\"}"#, 1),
        ] {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }
}
