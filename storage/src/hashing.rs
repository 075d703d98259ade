//! Hashing bytes that are in a file already.

use cistern_oci::Hasher;

use crate::{DiskFile, StorageError, buffers::LARGE, core::Core};

impl Core {
    /// Hashes the bytes from one offset to another.
    pub(crate) fn hash_part(
        &self,
        file: &DiskFile,
        (from, to): (u64, u64),
        hasher: &mut Hasher,
    ) -> Result<(), StorageError> {
        if from >= to {
            return Ok(());
        }
        let mut buffer = vec![0; LARGE];
        let mut offset = from;
        while offset < to {
            let length = usize::try_from(to - offset).unwrap_or(LARGE).min(LARGE);
            let into = buffer.get_mut(..length).unwrap_or_default();
            let count = self
                .disk
                .read_at(file, into, offset)
                .map_err(|error| StorageError::io("read", file.path(), error))?;
            if count == 0 {
                let error = std::io::ErrorKind::UnexpectedEof.into();
                return Err(StorageError::io("read", file.path(), error));
            }
            hasher.update(into.get(..count).unwrap_or_default());
            offset += count as u64;
        }
        Ok(())
    }
}
