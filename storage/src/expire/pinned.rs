//! What the pinned images consist of, as far as it is here: what their tags mean now and will mean, what that names, and what refers
//! to it. Platforms are not told apart: what is here of a pinned list was wanted by somebody.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cistern_oci::{Digest, Reference, RepositoryName, Tag};

use super::Held;
use crate::{StorageError, core::Core, index::ManifestRecord, repositories::TagLocks};

/// Finds what must stay.
pub(crate) struct Pinned<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) tag_locks: &'a TagLocks,
}

impl Pinned<'_> {
    /// The digests of all manifests and blobs of pinned images. `manifests` are all there are.
    pub(crate) fn all(&self, manifests: &Held) -> Result<HashSet<Digest>, StorageError> {
        let mut waiting: Vec<Digest> = self.core.pinned.expected().into_iter().collect();
        let mut tags = Vec::new();
        let mut repositories = HashSet::new();
        for (of, reference) in self.core.pinned.images() {
            waiting.extend(self.means(&of, &reference)?);
            repositories.insert(of);
        }
        if waiting.is_empty() {
            return Ok(HashSet::new());
        }
        for of in &repositories {
            tags.extend(self.attachments(of)?);
        }
        let mut records: HashMap<Digest, &ManifestRecord> = HashMap::new();
        let mut referrers: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for (_, digest, record) in manifests {
            records.insert(*digest, record);
            if let Some(subject) = record.subject {
                referrers.entry(subject).or_default().push(*digest);
            }
        }
        for (subject, digest) in tags {
            referrers.entry(subject).or_default().push(digest);
        }
        let mut kept = HashSet::new();
        while let Some(digest) = waiting.pop() {
            if !kept.insert(digest) {
                continue;
            }
            if let Some(record) = records.get(&digest) {
                waiting.extend(record.named().map(|named| named.digest));
                waiting.extend(referrers.get(&digest).into_iter().flatten());
            }
        }
        Ok(kept)
    }

    fn means(
        &self,
        of: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Digest>, StorageError> {
        match reference {
            Reference::Digest(digest) => Ok(Some(*digest)),
            Reference::Tag(tag) => {
                let one = self.tag_locks.on(self.core, (of.clone(), tag.clone()));
                Ok(one.load()?.map(|record| record.digest))
            }
        }
    }

    /// What the tags mean that spell a digest, and which digest that is: some clients keep signatures and lists of referrers so.
    fn attachments(&self, of: &RepositoryName) -> Result<Vec<(Digest, Digest)>, StorageError> {
        let mut found = Vec::new();
        for tag in self.core.tags_of(of)? {
            if let Some(subject) = spelt_by(&tag)
                && let Some(digest) = self.means(of, &Reference::Tag(tag))?
            {
                found.push((subject, digest));
            }
        }
        Ok(found)
    }
}

/// The digest that a tag such as `sha256-<hex>.sig` spells.
fn spelt_by(tag: &Tag) -> Option<Digest> {
    let (algorithm, rest) = tag.as_str().split_once('-')?;
    let hex = rest.split('.').next()?;
    format!("{algorithm}:{hex}").parse().ok()
}
