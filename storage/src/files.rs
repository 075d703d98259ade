//! Small files and names on disk: written whole under a temporary name, then renamed. Does not know what they say.

use std::{io, path::Path, sync::Arc};

use cistern_oci::{Algorithm, Digest};

use crate::{
    StorageError,
    core::{Core, if_there, is_absent},
    disk::read_whole,
    new_file::NewFile,
};

/// The longest link file that is read; a link is a digest.
const LONGEST_LINK: u64 = 1024;

impl Core {
    /// Does something in a directory, creating it when it is not there. Another may remove an empty directory at the same
    /// time, hence more than one attempt.
    pub(crate) fn in_new_directory<T>(
        &self,
        path: &Path,
        work: impl Fn() -> io::Result<T>,
    ) -> io::Result<T> {
        for _ in 0..3 {
            match work() {
                Err(error) if is_absent(&error) => {
                    if let Some(parent) = path.parent() {
                        self.disk.create_directories(parent)?;
                    }
                }
                other => return other,
            }
        }
        work()
    }

    /// Writes a small file whole: whoever reads it meanwhile sees the old one or the new one. Not made durable: after a power
    /// cut it may be empty, which readers take for absent.
    pub(crate) fn write_small(
        self: &Arc<Self>,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(), StorageError> {
        let (file, open) = NewFile::create(
            self,
            &Digest::of(Algorithm::Sha256, path.as_os_str().as_encoded_bytes()),
        )?;
        self.disk
            .write_at(&open, bytes, 0)
            .map_err(|error| StorageError::io("write", path, error))?;
        file.rename(path)
    }

    /// Writes a link as Distribution does: the digest, nothing else.
    pub(crate) fn write_link(
        self: &Arc<Self>,
        path: &Path,
        to: &Digest,
    ) -> Result<(), StorageError> {
        self.write_small(path, to.to_string().as_bytes())
    }

    /// Reads a link. One that is empty or makes no sense counts as absent.
    pub(crate) fn read_link(&self, path: &Path) -> Result<Option<Digest>, StorageError> {
        match read_whole(&*self.disk, path, LONGEST_LINK) {
            Ok(bytes) => Ok(str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.trim().parse().ok())),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(None),
            Err(error) => if_there("read", path, Err(error)),
        }
    }

    /// Whether there is a link to this digest; an empty one, left by a power cut, does not count.
    pub(crate) fn has_link(&self, path: &Path, to: &Digest) -> Result<bool, StorageError> {
        let length = to.algorithm().as_str().len() + 1 + to.algorithm().hex_length();
        let facts = if_there("look at", path, self.disk.facts(path))?;
        Ok(facts.is_some_and(|facts| facts.is_regular && facts.size >= length as u64))
    }

    /// Removes a file and those of the `levels` directories above it that are empty then. Whether there was one.
    pub(crate) fn remove_with_directories(
        &self,
        path: &Path,
        levels: usize,
    ) -> Result<bool, StorageError> {
        let was_there = if_there("remove", path, self.disk.remove(path))?.is_some();
        for directory in path.ancestors().skip(1).take(levels) {
            if self.disk.remove_directory(directory).is_err() {
                break;
            }
        }
        Ok(was_there)
    }

    /// The names in a directory that can be read as `T`; a missing directory has none.
    pub(crate) fn names_in<T: std::str::FromStr>(
        &self,
        path: &Path,
    ) -> Result<Vec<T>, StorageError> {
        let names = if_there("list", path, self.disk.list(path))?.unwrap_or_default();
        Ok(names
            .iter()
            .filter_map(|name| name.to_str()?.parse().ok())
            .collect())
    }

    /// The digests that a directory `<alg>/<hex>` names.
    pub(crate) fn digests_in(&self, path: &Path) -> Result<Vec<Digest>, StorageError> {
        let mut found = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let hexes: Vec<String> = self.names_in(&path.join(algorithm.as_str()))?;
            found.extend(
                hexes
                    .iter()
                    .filter_map(|hex| format!("{algorithm}:{hex}").parse::<Digest>().ok()),
            );
        }
        Ok(found)
    }
}
