//! A finished blob, open for reading.

use cistern_oci::{ByteRange, Digest};

use crate::{BlobBytes, StorageError};

/// A finished blob: one open file, which stays readable even when the blob is removed meanwhile.
#[derive(Clone, Debug)]
pub struct StoredBlob;

impl StoredBlob {
    /// Its name.
    pub fn digest(&self) -> &Digest {
        unimplemented!()
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        unimplemented!()
    }

    /// The bytes of a range. Of a blob whose stamp is unknown (an adopted store), a part is read only after the whole was
    /// verified; call [`StoredBlob::verified`] first to know before any header is sent.
    pub fn read(&self, range: ByteRange) -> BlobBytes {
        let _ = range;
        unimplemented!()
    }

    /// All its bytes. Of a blob whose stamp is unknown, the last piece is withheld until all of them proved right.
    pub fn read_all(&self) -> BlobBytes {
        unimplemented!()
    }

    /// Whether the bytes are right: at once for a blob whose stamp is known, else after reading it completely (one reading
    /// however many callers). `false`: it was damaged and has been moved aside.
    pub async fn verified(&self) -> Result<bool, StorageError> {
        unimplemented!()
    }
}
