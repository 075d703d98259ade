//! A sign of life from an upstream, for whoever limits its silence. One request may need several answers (a connection,
//! a challenge, a token, a redirect), and each of them proves that the link is alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Counts the answers that arrive while one request is worked on. Clones listen to the same request, each at its own pace.
#[derive(Debug)]
pub struct Heard {
    answers: Arc<watch::Sender<u64>>,
    seen: AtomicU64,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            answers: Arc::new(watch::Sender::new(0)),
            seen: AtomicU64::new(0),
        }
    }
}

impl Clone for Heard {
    fn clone(&self) -> Self {
        Self {
            answers: Arc::clone(&self.answers),
            seen: AtomicU64::new(self.seen.load(Ordering::Relaxed)),
        }
    }
}

impl Heard {
    /// Something was heard: a connection opened, a challenge, a token, a redirect or the answer itself.
    pub fn answer(&self) {
        self.answers.send_modify(|count| *count += 1);
    }

    /// Resolves at the next sign of life, at once if there was one since this clone last looked.
    pub async fn next(&self) {
        let seen = self.seen.load(Ordering::Relaxed);
        let mut answers = self.answers.subscribe();
        if let Ok(count) = answers.wait_for(|count| *count > seen).await {
            self.seen.store(*count, Ordering::Relaxed);
        }
    }

    /// How many signs of life there were in all.
    pub fn count(&self) -> u64 {
        *self.answers.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn an_answer_between_two_waits_is_not_missed() {
        let heard = Heard::default();
        let listener = heard.clone();
        heard.answer();
        listener.next().await;
        assert!(
            timeout(Duration::from_millis(20), listener.next())
                .await
                .is_err()
        );
        heard.answer();
        listener.next().await;
        assert_eq!(listener.count(), 2);
    }
}
