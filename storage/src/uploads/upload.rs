//! The turn on one push, as its request has it: bytes are taken in as they come, and written and hashed in batches off the
//! reactor while the next ones come.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use cistern_oci::{Digest, UploadId};
use tokio::task::JoinHandle;

use super::session::Session;
use crate::{CommitError, StorageError, pump::sync};

/// How much may be written before the disk is asked to make it durable, in the background.
const SYNC_EVERY: u64 = 8 * 1024 * 1024;

/// The only turn on one push. Dropped, what it took stays, and the next turn goes on behind it.
pub struct Upload {
    session: Arc<Session>,
    received: u64,
    /// The write that was begun last.
    running: Option<JoinHandle<Result<u64, StorageError>>>,
    /// How many bytes are durable, or will soon be.
    synced: u64,
    is_syncing: Arc<AtomicBool>,
}

impl Upload {
    pub(super) fn new(session: Session) -> Self {
        let received = session.written();
        Self {
            session: Arc::new(session),
            received,
            running: None,
            synced: received,
            is_syncing: Arc::default(),
        }
    }

    /// Its name.
    pub fn id(&self) -> &UploadId {
        self.session.id()
    }

    /// How many bytes have come, those of earlier turns included.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Takes the next bytes. Returns when there is room for more, which is not when they are on disk; an error of the disk, or
    /// [`StorageError::Full`] when the reserve is reached, comes back from this call or a later one. Then [`Uploads::received`]
    /// says how many bytes were kept.
    ///
    /// [`Uploads::received`]: crate::Uploads::received
    pub async fn append(&mut self, mut bytes: Bytes) -> Result<(), StorageError> {
        while !bytes.is_empty() {
            let taken = self.session.take_in(&mut bytes, self.received);
            self.received += taken as u64;
            if self.session.is_full() {
                self.finish_running().await?;
                if self.session.is_full() {
                    self.begin_to_write();
                }
            }
        }
        Ok(())
    }

    fn begin_to_write(&mut self) {
        let session = Arc::clone(&self.session);
        let tasks = &self.session.file.core.tasks;
        self.running = Some(tasks.spawn_blocking(move || session.write_waiting()));
    }

    /// Waits for the write that was begun last. Whoever stops waiting loses nothing.
    async fn finish_running(&mut self) -> Result<(), StorageError> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let result = running.await;
        self.running = None;
        match result {
            Ok(written) => {
                self.sync_in_background(written?);
                Ok(())
            }
            Err(error) => Err(StorageError::Interrupted(error.to_string())),
        }
    }

    /// Makes what is written durable every few MiB, so that little is left to do at the end. It knows the file, not the turn: that
    /// is not held up by it.
    fn sync_in_background(&mut self, written: u64) {
        if written - self.synced < SYNC_EVERY || self.is_syncing.swap(true, Ordering::AcqRel) {
            return;
        }
        self.synced = written;
        let (file, id) = (Arc::clone(&self.session.file), self.id().clone());
        let is_syncing = Arc::clone(&self.is_syncing);
        self.session.file.core.tasks.spawn_blocking(move || {
            if let Err(error) = sync(&file) {
                // The system tells a failed write once; nobody may build on these bytes.
                tracing::warn!(%error, %id, "a push is given up");
                let _ = file.core.remove_upload(&id);
            }
            is_syncing.store(false, Ordering::Release);
        });
    }

    /// Ends the turn once all bytes that were taken are in the file; how many bytes have come.
    pub async fn pause(mut self) -> Result<u64, StorageError> {
        self.finish_running().await?;
        if !self.session.is_anything_waiting() {
            return Ok(self.received);
        }
        self.off(Session::write_waiting).await?
    }

    /// Makes a blob of it that its repository holds: verified, and durable before this returns. The size of the blob. Where the
    /// bytes are in the store already these are dropped. Bytes that prove to be others are removed with the push
    /// ([`CommitError::WrongDigest`]); after another error the push may be gone or be gone on with.
    pub async fn commit(mut self, digest: &Digest) -> Result<u64, CommitError> {
        self.finish_running().await?;
        let digest = *digest;
        self.off(move |session| session.commit(&digest)).await?
    }

    /// Removes the push and its bytes.
    pub async fn cancel(mut self) -> Result<(), StorageError> {
        // Whatever became of its bytes, they are not wanted.
        let _ = self.finish_running().await;
        self.off(Session::cancel).await?
    }

    /// Does the last work of the turn, off the reactor.
    async fn off<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session) -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let session = Arc::clone(&self.session);
        let core = Arc::clone(&self.session.file.core);
        core.off(move |_| Ok(work(&session))).await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.session.is_anything_waiting() {
            return;
        }
        let session = Arc::clone(&self.session);
        let write = move || {
            if let Err(error) = session.write_waiting() {
                tracing::debug!(%error, id = %session.id(), "the last bytes of a broken push are lost");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let tasks = &self.session.file.core.tasks;
                tasks.spawn_blocking_on(write, &runtime);
            }
            Err(_) => write(),
        }
    }
}
