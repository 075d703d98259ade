//! A manifest as the exact bytes it is addressed by. Must not know what the bytes point to; see
//! `ManifestLinks`.

use bytes::Bytes;

use crate::{Algorithm, Digest, ManifestLinks, MediaType};

#[cfg(test)]
mod tests;

/// The largest manifest that is taken, in bytes: what the distribution specification asks
/// registries to accept and what clients will read.
pub const MANIFEST_SIZE_LIMIT: u64 = 4 * 1024 * 1024;

/// A manifest whose bytes hash to its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The address of the bytes.
    pub digest: Digest,
    /// The kind of manifest, sent as its `Content-Type`.
    pub media_type: MediaType,
    /// The manifest, byte for byte as it was received.
    pub bytes: Bytes,
}

/// Bytes were sent in place of others: they do not hash to the digest that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content has the digest {found} where {expected} was asked for")]
pub struct WrongDigest {
    /// The digest that was asked for.
    pub expected: Digest,
    /// The digest of the bytes that came, by the same algorithm; boxed, as two digests make a large
    /// error.
    pub found: Box<Digest>,
}

impl Manifest {
    /// The kind of manifest these bytes are: the header if it names a kind of manifest; otherwise
    /// what the body calls itself; otherwise what its shape tells; otherwise whatever the header
    /// says.
    ///
    /// Registries are known to send manifests as `text/plain` or `application/json`.
    pub fn media_type_of(content_type: Option<&str>, bytes: &[u8]) -> MediaType {
        let header = content_type.map(MediaType::new);
        if let Some(header) = header.as_ref().filter(|header| header.names_a_manifest()) {
            return header.clone();
        }
        let body = ManifestLinks::media_type_in(bytes);
        body.or(header).unwrap_or_else(|| MediaType::new(""))
    }

    /// The manifest that was asked for by digest, if these bytes are it.
    pub fn by_digest(
        expected: Digest,
        content_type: Option<&str>,
        bytes: Bytes,
    ) -> Result<Self, WrongDigest> {
        let found = Digest::of(expected.algorithm(), &bytes);
        if found != expected {
            return Err(WrongDigest {
                expected,
                found: Box::new(found),
            });
        }
        Ok(Self {
            digest: expected,
            media_type: Self::media_type_of(content_type, &bytes),
            bytes,
        })
    }

    /// The manifest that was asked for by tag. The digest the answer names is taken if the bytes
    /// hash to it; a wrong one is not believed, and the manifest is then known by the SHA-256 of
    /// its bytes.
    pub fn by_tag(named: Option<&Digest>, content_type: Option<&str>, bytes: Bytes) -> Self {
        let named = named
            .copied()
            .filter(|named| Digest::of(named.algorithm(), &bytes) == *named);
        let digest = named.unwrap_or_else(|| Digest::of(Algorithm::Sha256, &bytes));
        Self {
            digest,
            media_type: Self::media_type_of(content_type, &bytes),
            bytes,
        }
    }
}
