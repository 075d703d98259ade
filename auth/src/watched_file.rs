//! A small file of the operator's (a password, a bundle of certificates) that is read again when it has changed. Not for
//! files of the store.

use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

/// One file, its content as last read, and what it looked like then.
pub struct WatchedFile {
    path: PathBuf,
    last: Mutex<Option<(Stamp, Arc<[u8]>)>>,
}

/// The longest such file: all authorities of the world, twenty times over. What goes on beyond it is a device or a mistake.
const LONGEST: u64 = 8 << 20;

/// What tells one version of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl WatchedFile {
    /// Names the file; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            last: Mutex::new(None),
        }
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The present content; reads the file only if it has changed since. The same `Arc` comes back while it has not.
    pub fn read(&self) -> io::Result<Arc<[u8]>> {
        let stamp = Stamp::of(&self.path)?;
        if let Some((seen, content)) = &*self.last.lock()
            && *seen == stamp
        {
            return Ok(Arc::clone(content));
        }
        self.read_again()
    }

    /// As [`WatchedFile::read`], off the reactor.
    pub async fn current(self: &Arc<Self>) -> io::Result<Arc<[u8]>> {
        let file = Arc::clone(self);
        tokio::task::spawn_blocking(move || file.read())
            .await
            .map_err(io::Error::other)?
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an operator's file, not one of the store: no Disk stands before it"
    )]
    fn read_again(&self) -> io::Result<Arc<[u8]>> {
        // The stamp is taken first: a change during the read is then seen as one at the next call.
        let stamp = Stamp::of(&self.path)?;
        let mut content = Vec::new();
        std::fs::File::open(&self.path)?
            .take(LONGEST + 1)
            .read_to_end(&mut content)?;
        if content.len() as u64 > LONGEST {
            let kind = io::ErrorKind::FileTooLarge;
            return Err(io::Error::new(kind, "it is larger than 8 MiB"));
        }
        let content: Arc<[u8]> = content.into();
        *self.last.lock() = Some((stamp, Arc::clone(&content)));
        Ok(content)
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Ok(Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            inode,
        })
    }
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchedFile").field(&self.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_end_is_given_up() {
        let error = WatchedFile::new("/dev/zero").read().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
