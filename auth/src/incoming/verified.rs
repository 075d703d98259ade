//! What was found out about passwords, so that bcrypt runs once for each and not for every request. No password is kept: entries
//! are found by a hash of it that is keyed for this process.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::Secret;

/// Results remembered at most. A caller that tries one password after the other pushes others out only if they are rarer.
const AT_MOST: u64 = 1024;

/// Results of comparisons, and the few that run now.
pub(super) struct Verified {
    results: Cache<[u8; 32], bool>,
    key: [u8; 32],
    running: Arc<Semaphore>,
}

impl Verified {
    /// `at_once`: how many comparisons may run at the same time, each on a thread of its own.
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            results: Cache::new(AT_MOST),
            key: random(),
            running: Arc::new(Semaphore::new(at_once.max(1))),
        }
    }

    /// Whether `password` is the one `hash` was made of. Callers that ask the same at once share one comparison.
    pub(super) async fn is(&self, user: &str, password: &Secret, hash: &str) -> bool {
        let compare = async {
            let turn = Arc::clone(&self.running).acquire_owned().await;
            let (password, hash) = (password.clone(), hash.to_owned());
            tokio::task::spawn_blocking(move || {
                // Kept by the comparison, which goes on when its caller has left.
                let _turn = turn;
                bcrypt::verify(password.expose(), &hash)
            })
            .await
            .is_ok_and(|compared| compared.unwrap_or(false))
        };
        self.results
            .get_with(self.entry(user, password, hash), compare)
            .await
    }

    /// The hash belongs to it: with another line in the file it is another entry.
    fn entry(&self, user: &str, password: &Secret, hash: &str) -> [u8; 32] {
        let mut hasher = Sha256::new_with_prefix(self.key);
        for part in [user, password.expose(), hash] {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    #[cfg(test)]
    pub(super) async fn remembered(&self) -> u64 {
        self.results.run_pending_tasks().await;
        self.results.entry_count()
    }
}

/// The standard library's hash keys are the system's random numbers.
fn random() -> [u8; 32] {
    let mut hasher = Sha256::new();
    for position in 0..4_u8 {
        hasher.update(RandomState::new().hash_one(position).to_be_bytes());
    }
    hasher.finalize().into()
}
