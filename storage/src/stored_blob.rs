//! A finished blob, open for reading.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use cistern_oci::{ByteRange, Digest, Hasher};

use crate::{
    BlobBytes, DiskFile, Lease, Piece, ReadError, StorageError,
    blob_bytes::Pieces,
    buffers::SMALL,
    core::Core,
    index::Stamp,
    reading::{Pace, next_piece},
};

/// A finished blob: one open file, which stays readable even when the blob is removed meanwhile.
#[derive(Clone)]
pub struct StoredBlob {
    open: Arc<Open>,
}

pub(crate) struct Open {
    core: Arc<Core>,
    file: Arc<DiskFile>,
    digest: Digest,
    size: u64,
    /// What the file looked like; `None` for one that was verified while it was written.
    stamp: Option<Stamp>,
    verified: AtomicBool,
    _lease: Lease,
}

impl StoredBlob {
    /// A blob whose bytes are known to be right.
    pub(crate) fn verified_already(
        core: &Arc<Core>,
        file: Arc<DiskFile>,
        digest: Digest,
        size: u64,
    ) -> Self {
        Self::new(core, file, digest, size, None)
    }

    /// A blob that nobody has verified since its file came to look as it does.
    pub(crate) fn unverified(
        core: &Arc<Core>,
        file: Arc<DiskFile>,
        digest: Digest,
        stamp: Stamp,
    ) -> Self {
        Self::new(core, file, digest, stamp.size, Some(stamp))
    }

    fn new(
        core: &Arc<Core>,
        file: Arc<DiskFile>,
        digest: Digest,
        size: u64,
        stamp: Option<Stamp>,
    ) -> Self {
        let lease = core.leases.hold(digest);
        let verified = AtomicBool::new(stamp.is_none());
        let core = Arc::clone(core);
        Self {
            open: Arc::new(Open {
                core,
                file,
                digest,
                size,
                stamp,
                verified,
                _lease: lease,
            }),
        }
    }

    /// Its name.
    pub fn digest(&self) -> &Digest {
        &self.open.digest
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.open.size
    }

    /// Whether its bytes are known to be right, without reading any.
    pub fn is_verified(&self) -> bool {
        self.open.is_verified()
    }

    /// The bytes of a range. Of a blob whose stamp is unknown (an adopted store), a part is read only after the whole was
    /// verified; call [`StoredBlob::verified`] first to know before any header is sent.
    pub fn read(&self, range: ByteRange) -> BlobBytes {
        let open = Arc::clone(&self.open);
        if open.is_verified() {
            return BlobBytes::from_reader(FileReader::new(open, range));
        }
        if ByteRange::whole(open.size) == Some(range) {
            return BlobBytes::from_reader(VerifyingReader::new(open));
        }
        BlobBytes::from_reader(PartOfUnverified {
            blob: self.clone(),
            reader: FileReader::new(open, range),
        })
    }

    /// All its bytes. Of a blob whose stamp is unknown, the last piece is withheld until all of them proved right.
    pub fn read_all(&self) -> BlobBytes {
        match ByteRange::whole(self.open.size) {
            Some(range) => self.read(range),
            None => BlobBytes::from_bytes(Bytes::new()),
        }
    }

    /// Whether the bytes are right: at once for a blob whose stamp is known, else after reading it completely (one reading
    /// however many callers). `false`: it was damaged and has been moved aside.
    pub async fn verified(&self) -> Result<bool, StorageError> {
        let open = &self.open;
        match open.stamp {
            Some(stamp) if !open.is_verified() => {
                let right = open.core.verify(&open.digest, &open.file, stamp).await?;
                open.verified.store(right, Ordering::Release);
                Ok(right)
            }
            _ => Ok(true),
        }
    }
}

impl Open {
    fn is_verified(&self) -> bool {
        self.verified.load(Ordering::Acquire)
    }
}

impl fmt::Debug for StoredBlob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoredBlob")
            .field("digest", &self.open.digest)
            .field("size", &self.open.size)
            .finish_non_exhaustive()
    }
}

/// Reads a range of trusted bytes.
struct FileReader {
    open: Arc<Open>,
    at: u64,
    /// One behind the last byte.
    end: u64,
    pace: Pace,
}

impl FileReader {
    fn new(open: Arc<Open>, range: ByteRange) -> Self {
        Self {
            open,
            at: range.first,
            end: range.last.saturating_add(1),
            pace: Pace::new(),
        }
    }
}

impl Pieces for FileReader {
    async fn next(&mut self, from_file: bool) -> Option<Result<Piece, ReadError>> {
        let left = self.end.checked_sub(self.at).filter(|left| *left > 0)?;
        let (open, place) = (&self.open, (self.at, left));
        let piece = next_piece(&open.core, &open.file, place, &mut self.pace, from_file).await;
        Some(match piece {
            Ok(piece) if piece.length() == 0 => Err(ReadError::Short {
                size: open.size.min(self.at),
            }),
            Ok(piece) => {
                self.at += piece.length() as u64;
                Ok(piece)
            }
            Err(error) => Err(error.into()),
        })
    }
}

/// Reads a part of a blob after all of it was verified.
struct PartOfUnverified {
    blob: StoredBlob,
    reader: FileReader,
}

impl Pieces for PartOfUnverified {
    async fn next(&mut self, from_file: bool) -> Option<Result<Piece, ReadError>> {
        match self.blob.verified().await {
            Ok(true) => self.reader.next(from_file).await,
            Ok(false) => Some(Err(StorageError::Damaged(*self.blob.digest()).into())),
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// Reads a whole blob, hashing on the way; the last piece comes only when all proved right.
struct VerifyingReader {
    open: Arc<Open>,
    hasher: Option<Hasher>,
    at: u64,
    pace: Pace,
}

impl VerifyingReader {
    fn new(open: Arc<Open>) -> Self {
        let hasher = Some(Hasher::new(open.digest.algorithm()));
        Self {
            open,
            hasher,
            at: 0,
            pace: Pace::new(),
        }
    }

    /// The next piece ends before the part that is withheld, or is the withheld part.
    fn length(&mut self) -> usize {
        let left = self.open.size - self.at;
        let free = left.saturating_sub(SMALL as u64);
        let next = if free == 0 { left } else { free };
        self.pace.next(next, &self.open.core)
    }
}

impl Pieces for VerifyingReader {
    async fn next(&mut self, _from_file: bool) -> Option<Result<Piece, ReadError>> {
        if self.at >= self.open.size {
            return None;
        }
        let (length, offset) = (self.length(), self.at);
        let (open, hasher) = (Arc::clone(&self.open), self.hasher.take()?);
        let core = Arc::clone(&open.core);
        let read = core
            .off(move |_| open.read_and_hash(hasher, offset, length))
            .await;
        Some(match read {
            Ok((piece, hasher)) => {
                self.at += piece.len() as u64;
                self.hasher = hasher;
                Ok(Piece::Read(piece))
            }
            Err(error) => Err(error.into()),
        })
    }
}

impl Open {
    /// Reads all of one piece; the last one only if all bytes proved right.
    fn read_and_hash(
        &self,
        mut hasher: Hasher,
        offset: u64,
        length: usize,
    ) -> Result<(Bytes, Option<Hasher>), StorageError> {
        let mut buffer = self.core.buffers.take(length);
        let mut filled = 0;
        while let Some(rest) = buffer
            .room(length)
            .get_mut(filled..)
            .filter(|rest| !rest.is_empty())
        {
            let count = self
                .core
                .disk
                .read_at(&self.file, rest, offset + filled as u64)
                .map_err(|error| StorageError::io("read", self.file.path(), error))?;
            if count == 0 {
                return Err(StorageError::Damaged(self.digest));
            }
            filled += count;
        }
        hasher.update(buffer.room(length));
        if offset + (length as u64) < self.size {
            return Ok((buffer.into_bytes(length), Some(hasher)));
        }
        match self.stamp {
            Some(stamp) if !self.core.judge(&self.digest, stamp, hasher.finish()) => {
                Err(StorageError::Damaged(self.digest))
            }
            _ => {
                self.verified.store(true, Ordering::Release);
                Ok((buffer.into_bytes(length), None))
            }
        }
    }
}

#[cfg(test)]
mod tests;
