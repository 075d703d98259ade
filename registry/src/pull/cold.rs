//! How long callers wait for manifests that are not here, in all. A child that pulls an image whose tag, index and platform
//! manifest are all cold asks three questions in a row, and its own client gives it 60 s for all of them (aziot-edged).
//!
//! What counts is the time in which somebody waits for a cold manifest of the repository: a repository whose upstream answers at
//! once does not use its room up, however many ask.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cistern_oci::RepositoryName;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::patience::Patience;

/// What the questions of one repository may wait in all.
const IN_ALL: Duration = Duration::from_secs(55);
/// Nobody is sent away sooner: an answer that is near should be had.
const LEAST: Duration = Duration::from_secs(1);
/// After so long without a cold question the next one is not part of what was before.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// More repositories are not told apart at once: callers can make names up.
const CAPACITY: usize = 10_000;

/// What was waited of late, by repository.
#[derive(Clone, Default)]
pub(super) struct ColdWaits {
    repositories: Arc<Mutex<HashMap<RepositoryName, Waited>>>,
}

/// One wait for a cold manifest; it ends when this is dropped.
pub(super) struct ColdWait {
    waits: ColdWaits,
    repository: RepositoryName,
    /// How long this one may take.
    pub(super) patience: Patience,
}

struct Waited {
    /// Without the wait that goes on now.
    before: Duration,
    waiting: usize,
    /// When the wait that goes on now began; without one, when the last ended.
    since: Instant,
}

// === impl Waited ===

impl Waited {
    fn new() -> Self {
        Self {
            before: Duration::ZERO,
            waiting: 0,
            since: Instant::now(),
        }
    }

    fn is_over(&self) -> bool {
        self.waiting == 0 && self.since.elapsed() >= FORGOTTEN_AFTER
    }

    fn in_all(&self) -> Duration {
        if self.waiting == 0 {
            self.before
        } else {
            self.before + self.since.elapsed()
        }
    }

    fn begin(&mut self) -> Patience {
        let left = IN_ALL.saturating_sub(self.in_all()).max(LEAST);
        if self.waiting == 0 {
            self.since = Instant::now();
        }
        self.waiting += 1;
        Patience::HEADERS.at_most(left)
    }

    fn end(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        if self.waiting == 0 {
            self.before += self.since.elapsed();
            self.since = Instant::now();
        }
    }
}

// === impl ColdWaits ===

impl ColdWaits {
    /// A caller begins to wait for a cold manifest of this repository.
    pub(super) fn begin(&self, repository: &RepositoryName) -> ColdWait {
        let mut repositories = self.repositories.lock();
        if repositories.get(repository).is_some_and(Waited::is_over) {
            repositories.remove(repository);
        }
        if repositories.len() >= CAPACITY {
            repositories.retain(|_, waited| !waited.is_over());
        }
        let patience = if repositories.len() < CAPACITY || repositories.contains_key(repository) {
            let waited = repositories.entry(repository.clone());
            waited.or_insert_with(Waited::new).begin()
        } else {
            Patience::HEADERS
        };
        ColdWait {
            waits: self.clone(),
            repository: repository.clone(),
            patience,
        }
    }
}

// === impl ColdWait ===

impl Drop for ColdWait {
    fn drop(&mut self) {
        if let Some(waited) = self.waits.repositories.lock().get_mut(&self.repository) {
            waited.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// Waits as long as it may, and says how long that was.
    async fn wait_in_vain(waits: &ColdWaits, repository: &str) -> Duration {
        let wait = waits.begin(&name(repository));
        let total = wait.patience.total;
        assert_eq!(wait.patience.silence, total);
        advance(total).await;
        total
    }

    #[tokio::test(start_paused = true)]
    async fn a_cold_tag_its_index_and_the_child_are_refused_within_55_seconds_in_all() {
        let waits = ColdWaits::default();
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(wait_in_vain(&waits, "plant/app").await.as_secs());
        }
        assert_eq!(all, [25, 25, 5, 1]);
        assert_eq!(wait_in_vain(&waits, "plant/other").await, 25 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_who_wait_together_use_the_time_once() {
        let waits = ColdWaits::default();
        let children: Vec<_> = (0..20).map(|_| waits.begin(&name("plant/app"))).collect();
        advance(25 * SECOND).await;
        assert!(
            children
                .iter()
                .all(|child| child.patience.total == 25 * SECOND)
        );
        drop(children);
        assert_eq!(wait_in_vain(&waits, "plant/app").await, 25 * SECOND);
        assert_eq!(wait_in_vain(&waits, "plant/app").await, 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_is_not_counted() {
        let waits = ColdWaits::default();
        for _ in 0..100 {
            assert_eq!(waits.begin(&name("plant/app")).patience.total, 25 * SECOND);
            advance(30 * SECOND).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_after_the_last_question_a_new_pull_has_all_its_time() {
        let waits = ColdWaits::default();
        for _ in 0..3 {
            wait_in_vain(&waits, "plant/app").await;
        }
        advance(59 * SECOND).await;
        assert_eq!(waits.begin(&name("plant/app")).patience.total, SECOND);
        advance(FORGOTTEN_AFTER).await;
        assert_eq!(waits.begin(&name("plant/app")).patience.total, 25 * SECOND);
    }
}
