//! What must outlive a power cut: small files and names, on the device before the call returns. Used for what exists nowhere
//! else; what can be fetched again is written without it.
//!
//! A name is durable once the directory it is in was synced, and so were those above it since they were made. Directories that
//! this store never removes are remembered, so that this is done once for each in a run.

use std::{io, path::Path, sync::Arc};

use cistern_oci::{Algorithm, Digest};

use crate::{
    StorageError,
    core::{Core, is_absent},
    new_file::NewFile,
};

/// How many directories above a blob's file come and go with it.
pub(crate) const ABOVE_BLOB: usize = 1;
/// ... above a layer's or a revision's link.
pub(crate) const ABOVE_LINK: usize = 1;
/// ... above a media type.
pub(crate) const ABOVE_MEDIA_TYPE: usize = 2;
/// ... above a tag's link.
pub(crate) const ABOVE_TAG: usize = 2;
/// ... above the link that remembers what a tag pointed at.
pub(crate) const ABOVE_TAG_INDEX: usize = 4;

impl Core {
    /// Writes a small file whole under a temporary name, and makes its content durable. [`NewFile::rename`] gives it its name.
    pub(crate) fn prepare_small(
        self: &Arc<Self>,
        path: &Path,
        bytes: &[u8],
    ) -> Result<NewFile, StorageError> {
        let name = Digest::of(Algorithm::Sha256, path.as_os_str().as_encoded_bytes());
        let (file, open) = NewFile::create(self, &name)?;
        self.disk
            .write_at(&open, bytes, 0)
            .map_err(|error| StorageError::io("write", path, error))?;
        self.disk
            .sync(&open)
            .map_err(|error| StorageError::io("sync", path, error))?;
        Ok(file)
    }

    /// As [`Core::prepare_small`], for a link.
    pub(crate) fn prepare_link(
        self: &Arc<Self>,
        path: &Path,
        to: &Digest,
    ) -> Result<NewFile, StorageError> {
        self.prepare_small(path, to.to_string().as_bytes())
    }

    /// Makes the bytes of a blob durable that is there already, whoever wrote it, and its name.
    pub(crate) fn settle_blob(&self, digest: &Digest) -> Result<(), StorageError> {
        let path = self.layout.blob(digest);
        let synced = self.disk.open(&path).and_then(|file| self.disk.sync(&file));
        synced.map_err(|error| StorageError::io("sync", &path, error))?;
        self.settle(&path, ABOVE_BLOB)
    }

    /// Makes durable that there is a file of this name, or that there is none any more. So many of the directories above it
    /// (`passing`) come and go with it.
    pub(crate) fn settle(&self, path: &Path, passing: usize) -> Result<(), StorageError> {
        let mut settled = Vec::new();
        for (number, directory) in path.ancestors().skip(1).enumerate() {
            let is_there = self.sync_if_there(directory)?;
            if directory == self.layout.root() || self.memory.settled.contains_key(directory) {
                break;
            }
            if is_there && number >= passing {
                settled.push(directory.to_owned());
            }
        }
        for directory in settled {
            self.memory.settled.insert(directory, ());
        }
        Ok(())
    }

    /// Makes the names in a directory durable. Whether it is there: one that another removed meanwhile holds no names.
    fn sync_if_there(&self, directory: &Path) -> Result<bool, StorageError> {
        match self.disk.sync_directory(directory) {
            Ok(()) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            // Some file systems have nothing to sync in a directory, and say so.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(true),
            Err(error) => Err(StorageError::io("sync", directory, error)),
        }
    }
}
