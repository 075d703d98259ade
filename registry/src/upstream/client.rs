//! One upstream and what can be asked of it.

use std::sync::Arc;

use cistern_oci::{ByteRange, Digest, Manifest, Reference, RepositoryName, Tag};

use super::{Heard, UpstreamBody, UpstreamError, UpstreamOptions, UpstreamSetupError};

/// Another registry, with its connections, tokens and remembered challenges. Cheap to clone; clones share all of it.
#[derive(Clone)]
pub struct Upstream {
    host: Arc<str>,
}

/// What an upstream says about a manifest without being asked for all of it.
#[derive(Clone, Debug)]
pub struct ManifestHead {
    /// The digest it names.
    pub digest: Option<Digest>,
    /// The manifest itself, where the upstream would not or could not tell the digest otherwise.
    pub manifest: Option<Manifest>,
}

/// What an upstream says about a blob without being asked for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobHead {
    /// Its size in bytes, if the upstream tells.
    pub size: Option<u64>,
}

/// Which part of a blob to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it; no range is asked for.
    Whole,
    /// From this byte to the end, for resuming. From 0 is the same as the whole.
    From(u64),
    /// These bytes only.
    Range(ByteRange),
}

/// A blob, or a part of it, on its way.
#[derive(Debug)]
pub struct BlobAnswer {
    /// The first byte that comes: 0 where the upstream ignored the range.
    pub first: u64,
    /// The size of the whole blob, if the upstream tells.
    pub size: Option<u64>,
    /// The bytes.
    pub body: UpstreamBody,
}

impl Upstream {
    /// Prepares everything; nothing is sent yet.
    pub fn new(options: UpstreamOptions) -> Result<Upstream, UpstreamSetupError> {
        let _ = options;
        unimplemented!()
    }

    /// The host, with its port where it is not the scheme's own, for messages: `mcr.microsoft.com`, `127.0.0.2:5001`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Asks what a tag or digest is. A refusal is believed only after the manifest itself was asked for.
    pub async fn head_manifest(
        &self,
        of: &RepositoryName,
        which: &Reference,
        heard: &Heard,
    ) -> Result<ManifestHead, UpstreamError> {
        let _ = (of, which, heard);
        unimplemented!()
    }

    /// Fetches a manifest: by digest only if the bytes are it, by tag under the digest of its bytes.
    pub async fn get_manifest(
        &self,
        of: &RepositoryName,
        which: &Reference,
        heard: &Heard,
    ) -> Result<Manifest, UpstreamError> {
        let _ = (of, which, heard);
        unimplemented!()
    }

    /// Asks whether a blob is there and how large it is. A refusal is believed only after its first byte was asked for.
    pub async fn head_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobHead, UpstreamError> {
        let _ = (of, digest);
        unimplemented!()
    }

    /// Starts fetching a blob or a part of it. The digest is not verified here.
    pub async fn get_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        part: Part,
    ) -> Result<BlobAnswer, UpstreamError> {
        let _ = (of, digest, part);
        unimplemented!()
    }

    /// All tags of a repository, sorted, from as many pages as the upstream makes of them, at most `at_most`.
    pub async fn tags(
        &self,
        of: &RepositoryName,
        at_most: usize,
        heard: &Heard,
    ) -> Result<Vec<Tag>, UpstreamError> {
        let _ = (of, at_most, heard);
        unimplemented!()
    }
}
