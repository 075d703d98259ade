//! Makes what is written durable, in the background and every few MiB.

use std::{future, sync::Arc};

use tokio::task::JoinHandle;

use super::Target;
use crate::{StorageError, growing::Growth, partial::LEAST};

/// How much may be written before the disk is asked to make it durable.
const SYNC_EVERY: u64 = 2 * 1024 * 1024;

/// What is on the device, and what is on its way there.
pub(super) struct Syncing {
    target: Target,
    /// What is on the device once the running one is done.
    asked: u64,
    running: Option<JoinHandle<Result<(), StorageError>>>,
}

impl Syncing {
    pub(super) fn new(target: Target, durable: u64) -> Self {
        Self {
            target,
            asked: durable,
            running: None,
        }
    }

    /// Begins to make durable what is `written`, if that is worth it and nothing is on its way.
    pub(super) fn go_on(&mut self, written: u64, is_promised: bool) {
        if self.running.is_some() || written.saturating_sub(self.asked) < SYNC_EVERY {
            return;
        }
        self.asked = written;
        let target = self.target.clone();
        self.running = Some(tokio::task::spawn_blocking(move || {
            if !is_promised && target.growth.core.room()? == 0 {
                // Its size was not known when it began; it must not eat up the reserve.
                return Err(StorageError::Full);
            }
            target.make_durable(written)
        }));
    }

    /// How much is on the device, once what is on its way is there; never while nothing is. Given up while it waits, it has lost
    /// nothing.
    pub(super) async fn done(&mut self) -> Result<u64, StorageError> {
        let Some(running) = &mut self.running else {
            return future::pending().await;
        };
        let ended = running.await;
        self.running = None;
        match ended {
            Ok(result) => result.map(|()| self.asked),
            Err(error) => Err(StorageError::Interrupted(error.to_string())),
        }
    }

    /// Waits for what is on its way.
    pub(super) async fn finish(&mut self) -> Result<(), StorageError> {
        if self.running.is_some() {
            self.done().await?;
        }
        Ok(())
    }
}

/// Makes a growing file durable as it is now.
pub(crate) fn sync(growth: &Growth) -> Result<(), StorageError> {
    let Growth { core, file } = growth;
    core.disk
        .sync(file)
        .map_err(|error| StorageError::io("sync", file.path(), error))
}

impl Target {
    /// Makes the first `written` bytes durable, and that they are.
    fn make_durable(&self, written: u64) -> Result<(), StorageError> {
        sync(&self.growth)?;
        self.making.is_durable(written)
    }

    /// Keeps what was written for whoever goes on with it. What is too little goes.
    pub(super) async fn keep(&self, written: u64) -> Result<(), StorageError> {
        let target = self.clone();
        let keeping = move || {
            if written < LEAST {
                target.making.discard();
                return Ok(());
            }
            target.make_durable(written)
        };
        self.growth.core.off(move |_| keeping()).await
    }

    /// Removes what was written.
    pub(crate) async fn discard(&self) {
        let making = Arc::clone(&self.making);
        let discarding = self.growth.core.off(move |_| {
            making.discard();
            Ok(())
        });
        // It says itself what goes wrong.
        let _ = discarding.await;
    }
}
