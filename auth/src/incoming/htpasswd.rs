//! A file of users and their passwords' hashes (`auth.htpasswd`), read again when it changes.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::users::Users;
use super::verified::Verified;
use crate::{Secret, WatchedFile};

/// How long a yes holds without a look at whether the file has changed. A no is never said without looking.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why nobody could log in with a file.
#[derive(Debug, thiserror::Error)]
pub enum HtpasswdError {
    /// The file is not there, or not ours to read.
    #[error("{} cannot be read: {source}; make it with `htpasswd -Bbn USER PASSWORD > {}`", path.display(), path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No line of it has a bcrypt hash.
    #[error("{} has no user with a bcrypt hash, so nobody could log in; add one with `htpasswd -Bbn USER PASSWORD >> {}`", path.display(), path.display())]
    NoUsers {
        /// The file.
        path: PathBuf,
    },
}

/// Users who may log in.
pub struct Htpasswd {
    file: Arc<WatchedFile>,
    verified: Verified,
    known: Mutex<Known>,
    look_every: Duration,
}

/// The users as last read.
struct Known {
    content: Arc<[u8]>,
    users: Arc<Users>,
    looked: Instant,
    is_lost: bool,
}

impl Htpasswd {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// If it cannot be read, or nobody could log in with it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HtpasswdError> {
        let file = Arc::new(WatchedFile::new(path));
        let content = file.read().map_err(|source| HtpasswdError::Unreadable {
            path: file.path().to_owned(),
            source,
        })?;
        let users = read_users(file.path(), &content);
        if users.is_empty() {
            return Err(HtpasswdError::NoUsers {
                path: file.path().to_owned(),
            });
        }
        // bcrypt takes a core for a tenth of a second: one stays free for everything else.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let known = Known {
            content,
            users: Arc::new(users),
            looked: Instant::now(),
            is_lost: false,
        };
        Ok(Self {
            file,
            verified: Verified::new(cores.saturating_sub(1)),
            known: Mutex::new(known),
            look_every: LOOK_EVERY,
        })
    }

    /// Whether this is the user's password. Takes as long for a user who does not exist. The comparison runs off the reactor; its
    /// result is remembered.
    pub async fn verify(&self, user: &str, password: &Secret) -> bool {
        let is_recent = self.known.lock().looked.elapsed() < self.look_every;
        if is_recent && self.compare(user, password).await {
            return true;
        }
        self.look().await;
        self.compare(user, password).await
    }

    async fn compare(&self, user: &str, password: &Secret) -> bool {
        let users = Arc::clone(&self.known.lock().users);
        let Some((hash, counts)) = users.hash_of(user) else {
            return false;
        };
        self.verified.is(user, password, hash).await && counts
    }

    /// Reads the file again if it has changed. While it cannot be read, the users last read stay.
    async fn look(&self) {
        let read = self.file.current().await;
        let path = self.file.path();
        let mut known = self.known.lock();
        known.looked = Instant::now();
        match read {
            Ok(content) => {
                known.is_lost = false;
                if !Arc::ptr_eq(&content, &known.content) {
                    known.users = Arc::new(read_users(path, &content));
                    known.content = content;
                    let users = known.users.len();
                    tracing::info!(path = %path.display(), users, "the file of users was read again");
                }
            }
            Err(error) if !known.is_lost => {
                known.is_lost = true;
                tracing::warn!(path = %path.display(), %error, "the file of users cannot be read; those last read may still log in");
            }
            Err(_) => {}
        }
    }
}

fn read_users(path: &Path, content: &[u8]) -> Users {
    let (users, unusable) = Users::read(content);
    for line in unusable {
        tracing::warn!(
            path = %path.display(),
            line,
            "this line lets nobody in: only bcrypt counts; make it again with `htpasswd -B`"
        );
    }
    users
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Htpasswd").field(&self.file).finish()
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests write the files that an operator would"
)]
mod tests;
