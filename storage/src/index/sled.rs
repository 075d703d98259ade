//! The index on disk. The only file that knows sled.
//!
//! Keys are text, records JSON; the name of a tree carries the version of its records. A key of two parts joins them with a
//! NUL byte, which no part contains.

use std::{path::Path, time::SystemTime};

use cistern_oci::{Digest, RepositoryName, Tag};
use serde::{Serialize, de::DeserializeOwned};
use sled::{Batch, Db, Mode, Tree};

use super::{
    BlobRecord, Index, IndexError, IndexResult, ManifestRecord, StoredTag, nanoseconds,
    records::NamedBlob, time,
};

const COMPLETE: &str = "complete";

/// How often sled writes what is new, in milliseconds. A crash loses that much of what is derived anyway.
const FLUSH_EVERY: u64 = 2000;

/// The most changes that sled is given at once: it keeps every page that a batch replaces until the batch is through.
const BATCH: usize = 256;

/// A manifest that names more than this has no key for each of them: sled needs kilobytes for a key, on disk and in memory.
const MOST_KEYS: usize = 1000;

/// Facts in a sled database.
pub(crate) struct SledIndex {
    database: Db,
    blobs: Tree,
    uses: Tree,
    tags: Tree,
    manifests: Tree,
    names: Tree,
    /// What manifests name that name very much: sorted, in pieces, each under repository, manifest and the first one of it.
    large: Tree,
    referrers: Tree,
    meta: Tree,
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Disk(error.to_string()),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl SledIndex {
    /// Opens or creates the database. `cache_bytes` bounds sled's page cache, whose default is a gigabyte.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> IndexResult<Self> {
        let database = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(FLUSH_EVERY))
            .mode(Mode::LowSpace)
            .open()?;
        Ok(Self {
            blobs: database.open_tree("blobs.v1")?,
            uses: database.open_tree("uses.v1")?,
            tags: database.open_tree("tags.v1")?,
            manifests: database.open_tree("manifests.v1")?,
            names: database.open_tree("names.v1")?,
            large: database.open_tree("large.v1")?,
            referrers: database.open_tree("referrers.v1")?,
            meta: database.open_tree("meta.v1")?,
            database,
        })
    }

    fn write_names(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> IndexResult<()> {
        let mut all: Vec<NamedBlob> = record.named().copied().collect();
        all.sort_by_key(|named| named.digest);
        all.dedup_by_key(|named| named.digest);
        let is_large = all.len() > MOST_KEYS;
        for piece in all.chunks(BATCH) {
            match piece.first() {
                Some(first) if is_large => {
                    put(&self.large, &name_key(of, digest, &first.digest), &piece)?;
                }
                _ => self.write_keys(of, digest, piece)?,
            }
        }
        Ok(())
    }

    fn write_keys(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        names: &[NamedBlob],
    ) -> IndexResult<()> {
        let mut batch = Batch::default();
        for named in names {
            let size = named.size.to_string();
            batch.insert(
                name_key(of, &named.digest, digest).as_bytes(),
                size.as_bytes(),
            );
        }
        self.names.apply_batch(batch)?;
        Ok(())
    }

    fn forget_names(&self, of: &RepositoryName, digest: &Digest) -> IndexResult<()> {
        let mut was_large = false;
        for piece in self.large.scan_prefix(format!("{of}\0{digest}\0")).keys() {
            self.large.remove(piece?)?;
            was_large = true;
        }
        let Some(record) = self.manifest(of, digest)? else {
            return Ok(());
        };
        let names: Vec<&NamedBlob> = record.named().filter(|_| !was_large).collect();
        for piece in names.chunks(BATCH) {
            let mut batch = Batch::default();
            for named in piece {
                batch.remove(name_key(of, &named.digest, digest).as_bytes());
            }
            self.names.apply_batch(batch)?;
        }
        if let Some(subject) = record.subject {
            self.referrers.remove(name_key(of, &subject, digest))?;
        }
        Ok(())
    }

    /// The size that a manifest which names very much gives for this digest: one piece of each such manifest is looked at.
    fn named_by_large(&self, of: &RepositoryName, digest: &Digest) -> IndexResult<Option<u64>> {
        let of_repository = format!("{of}\0");
        let mut from = of_repository.clone();
        while let Some(next) = self.large.range(from.as_bytes()..).next() {
            let (key, _) = next?;
            let Some(rest) = text(&key)?.strip_prefix(&of_repository) else {
                break;
            };
            let (by, _) = rest.split_once('\0').ok_or_else(|| {
                IndexError::Damaged("a large manifest's key has two parts".to_owned())
            })?;
            let of_manifest = format!("{of_repository}{by}\0");
            // The last piece that begins with this digest or before it.
            let beyond = format!("{of_manifest}{digest}\0");
            if let Some((key, piece)) = self.large.get_lt(beyond)?
                && key.starts_with(of_manifest.as_bytes())
            {
                let piece: Vec<NamedBlob> = read(&piece)?;
                if let Some(named) = piece.iter().find(|named| named.digest == *digest) {
                    return Ok(Some(named.size));
                }
            }
            from = format!("{of_repository}{by}\u{1}");
        }
        Ok(None)
    }
}

fn key(of: &RepositoryName, rest: impl std::fmt::Display) -> String {
    format!("{of}\0{rest}")
}

fn name_key(of: &RepositoryName, named: &Digest, by: &Digest) -> String {
    format!("{of}\0{named}\0{by}")
}

fn get<T: DeserializeOwned>(tree: &Tree, key: &str) -> IndexResult<Option<T>> {
    tree.get(key)?.map(|value| read(&value)).transpose()
}

fn read<T: DeserializeOwned>(value: &[u8]) -> IndexResult<T> {
    serde_json::from_slice(value).map_err(|error| IndexError::Damaged(error.to_string()))
}

fn put<T: Serialize>(tree: &Tree, key: &str, value: &T) -> IndexResult<()> {
    let value =
        serde_json::to_vec(value).map_err(|error| IndexError::Damaged(error.to_string()))?;
    tree.insert(key, value)?;
    Ok(())
}

fn text(key: &[u8]) -> IndexResult<&str> {
    std::str::from_utf8(key).map_err(|error| IndexError::Damaged(error.to_string()))
}

fn part<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> IndexResult<T> {
    text.parse()
        .map_err(|error: T::Err| IndexError::Damaged(error.to_string()))
}

/// The entries after a key; the key itself is left out.
fn entries_after(
    tree: &Tree,
    after: Option<String>,
) -> impl Iterator<Item = Result<(sled::IVec, sled::IVec), sled::Error>> {
    let from = after.map_or_else(Vec::new, |mut key| {
        // The least key that is greater.
        key.push('\0');
        key.into_bytes()
    });
    tree.range(from..)
}

impl Index for SledIndex {
    fn blob(&self, digest: &Digest) -> IndexResult<Option<BlobRecord>> {
        get(&self.blobs, &digest.to_string())
    }

    fn set_blob(&self, digest: &Digest, record: &BlobRecord) -> IndexResult<()> {
        put(&self.blobs, &digest.to_string(), record)
    }

    fn forget_blob(&self, digest: &Digest) -> IndexResult<()> {
        let key = digest.to_string();
        self.blobs.remove(&key)?;
        self.uses.remove(&key)?;
        Ok(())
    }

    fn blobs(
        &self,
        after: Option<&Digest>,
        at_most: usize,
    ) -> IndexResult<Vec<(Digest, BlobRecord)>> {
        entries_after(&self.blobs, after.map(ToString::to_string))
            .take(at_most)
            .map(|entry| {
                let (key, value) = entry?;
                Ok((part(text(&key)?)?, read(&value)?))
            })
            .collect()
    }

    fn used(&self, digest: &Digest) -> IndexResult<Option<SystemTime>> {
        Ok(get(&self.uses, &digest.to_string())?.map(time))
    }

    fn record_uses(&self, uses: &[(Digest, SystemTime)]) -> IndexResult<()> {
        for (digest, at) in uses {
            put(&self.uses, &digest.to_string(), &nanoseconds(*at))?;
        }
        Ok(())
    }

    fn tag(&self, of: &RepositoryName, tag: &Tag) -> IndexResult<Option<StoredTag>> {
        get(&self.tags, &key(of, tag))
    }

    fn set_tag(&self, of: &RepositoryName, tag: &Tag, record: &StoredTag) -> IndexResult<()> {
        put(&self.tags, &key(of, tag), record)
    }

    fn forget_tag(&self, of: &RepositoryName, tag: &Tag) -> IndexResult<()> {
        self.tags.remove(key(of, tag))?;
        Ok(())
    }

    fn manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> IndexResult<Option<ManifestRecord>> {
        get(&self.manifests, &key(of, digest))
    }

    fn set_manifest(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> IndexResult<()> {
        self.forget_names(of, digest)?;
        self.write_names(of, digest, record)?;
        if let Some(subject) = record.subject {
            self.referrers.insert(name_key(of, &subject, digest), &[])?;
        }
        put(&self.manifests, &key(of, digest), record)
    }

    fn forget_manifest(&self, of: &RepositoryName, digest: &Digest) -> IndexResult<()> {
        self.forget_names(of, digest)?;
        self.manifests.remove(key(of, digest))?;
        Ok(())
    }

    fn manifests(
        &self,
        after: Option<(&RepositoryName, &Digest)>,
        at_most: usize,
    ) -> IndexResult<Vec<(RepositoryName, Digest, ManifestRecord)>> {
        entries_after(&self.manifests, after.map(|(of, digest)| key(of, digest)))
            .take(at_most)
            .map(|entry| {
                let (key, value) = entry?;
                let (of, digest) = text(&key)?.split_once('\0').ok_or_else(|| {
                    IndexError::Damaged("a manifest's key has one part".to_owned())
                })?;
                Ok((part(of)?, part(digest)?, read(&value)?))
            })
            .collect()
    }

    fn names(&self, of: &RepositoryName, digest: &Digest) -> IndexResult<Option<u64>> {
        let prefix = format!("{of}\0{digest}\0");
        match self.names.scan_prefix(prefix).next() {
            Some(entry) => read(&entry?.1).map(Some),
            None => self.named_by_large(of, digest),
        }
    }

    fn referrers(&self, of: &RepositoryName, subject: &Digest) -> IndexResult<Vec<Digest>> {
        let prefix = format!("{of}\0{subject}\0");
        self.referrers
            .scan_prefix(&prefix)
            .keys()
            .map(|key| part(text(&key?)?.get(prefix.len()..).unwrap_or_default()))
            .collect()
    }

    fn is_complete(&self) -> IndexResult<bool> {
        Ok(get(&self.meta, COMPLETE)?.unwrap_or(false))
    }

    fn set_complete(&self, complete: bool) -> IndexResult<()> {
        put(&self.meta, COMPLETE, &complete)
    }

    fn flush(&self) -> IndexResult<()> {
        self.database.flush()?;
        Ok(())
    }
}
