//! Upstream listings (tags, referrers) kept as small files under `cistern/listings`: they cannot be derived from anything.

use std::{io, path::Path, sync::Arc, time::SystemTime};

use bytes::Bytes;
use cistern_oci::RepositoryName;

use crate::{
    StorageError,
    core::{Core, if_there},
    disk::read_whole,
    index::{nanoseconds, time},
};

/// The longest listing that is read back.
const LONGEST: u64 = 64 * 1024 * 1024;

/// A listing that was kept, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// When it was set.
    pub at: SystemTime,
    /// Its bytes, as they were given.
    pub bytes: Bytes,
}

impl Core {
    pub(crate) fn listing(
        &self,
        of: &RepositoryName,
        kind: &str,
    ) -> Result<Option<Listing>, StorageError> {
        let path = self.layout.listing(of, checked(kind)?);
        let Some(content) = if_there("read", &path, read_whole(&*self.disk, &path, LONGEST))?
        else {
            return Ok(None);
        };
        // The first line is the time; a file without one was cut off by a power cut.
        let content = Bytes::from(content);
        let end = content.iter().position(|byte| *byte == b'\n');
        Ok(end.and_then(|end| {
            let at = str::from_utf8(content.get(..end)?).ok()?.parse().ok()?;
            Some(Listing {
                at: time(at),
                bytes: content.slice(end + 1..),
            })
        }))
    }

    pub(crate) fn set_listing(
        self: &Arc<Self>,
        of: &RepositoryName,
        kind: &str,
        bytes: &[u8],
    ) -> Result<(), StorageError> {
        self.writable()?;
        let mut content = format!("{}\n", nanoseconds(self.now())).into_bytes();
        content.extend_from_slice(bytes);
        self.write_small(&self.layout.listing(of, checked(kind)?), &content)
    }
}

/// A kind becomes a file name: letters, digits, dots, dashes.
fn checked(kind: &str) -> Result<&str, StorageError> {
    let is_good =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
    if !kind.is_empty() && kind.len() <= 200 && !kind.starts_with('.') && kind.chars().all(is_good)
    {
        Ok(kind)
    } else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "not a kind of listing");
        Err(StorageError::io("name a listing", Path::new(kind), error))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::{
        Clock,
        testing::{Place, name},
    };

    #[tokio::test]
    async fn listings_are_kept_by_repository_and_kind() {
        let place = Place::new();
        let storage = place.open().await;
        let (of, other) = (name("a"), name("a/b"));
        assert_eq!(storage.listing(&of, "tags").await.unwrap(), None);
        storage
            .set_listing(&of, "tags", Bytes::from_static(b"one\ntwo"))
            .await
            .unwrap();
        storage
            .set_listing(&other, "tags", Bytes::new())
            .await
            .unwrap();
        let at = place.clock.now();
        let storage = place.open_again(storage).await;
        let listing = storage.listing(&of, "tags").await.unwrap().unwrap();
        assert_eq!((listing.at, &listing.bytes[..]), (at, &b"one\ntwo"[..]));
        assert!(
            storage
                .listing(&other, "tags")
                .await
                .unwrap()
                .unwrap()
                .bytes
                .is_empty()
        );
        assert_eq!(storage.listing(&of, "referrers").await.unwrap(), None);
        assert!(storage.listing(&of, "../tags").await.is_err());
        place.write("cistern/listings/a/_listings/tags", b"");
        assert_eq!(storage.listing(&of, "tags").await.unwrap(), None);
    }
}
