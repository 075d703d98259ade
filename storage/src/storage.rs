//! The store as a whole.

use std::{path::Path, sync::Arc, time::SystemTime};

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Reference, RepositoryName};
use tokio_util::sync::CancellationToken;

use crate::{
    Blobs, Expired, Leases, Listing, OpenError, Options, Pins, Purged, Repositories, Room,
    StorageError, Uploads, core::Core, expire::Round, new_file::NewFile, open, purge::Purge,
    rebuild,
};

struct Parts {
    blobs: Blobs,
    repositories: Repositories,
    uploads: Uploads,
    pins: Pins,
    core: Arc<Core>,
}

/// An open store. Cheap to clone; when the last clone, blob and body are gone, so is the lock.
#[derive(Clone)]
pub struct Storage {
    parts: Arc<Parts>,
}

impl Storage {
    /// Opens the store at `options.root`. Never walks it: what the index does not know yet is found when it is asked for.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let opening = move || open::open(options).inspect(Core::load_pins);
        let core = match tokio::task::spawn_blocking(opening).await {
            Ok(core) => Arc::new(core?),
            Err(error) => return Err(OpenError::Interrupted(error.to_string())),
        };
        if !core.read_only {
            let sweeping = Arc::clone(&core);
            core.tasks.spawn_blocking(move || sweeping.sweep());
        }
        let (blobs, repositories) = (Blobs::new(&core), Repositories::new(&core));
        let (uploads, pins) = (Uploads::new(&core), Pins::new(&core));
        Ok(Self {
            parts: Arc::new(Parts {
                blobs,
                repositories,
                uploads,
                pins,
                core,
            }),
        })
    }

    /// The blobs, by digest.
    pub fn blobs(&self) -> &Blobs {
        &self.parts.blobs
    }

    /// The repositories: tags, manifests, which blobs they hold.
    pub fn repositories(&self) -> &Repositories {
        &self.parts.repositories
    }

    /// The pushes of blobs that are under way.
    pub fn uploads(&self) -> &Uploads {
        &self.parts.uploads
    }

    /// What must stay.
    pub fn pins(&self) -> &Pins {
        &self.parts.pins
    }

    /// What is being read or grown just now.
    pub fn leases(&self) -> &Leases {
        &self.parts.core.leases
    }

    /// Whether the store can do its work just now: it can be read and, unless opened read-only, a small file can be written.
    /// [`StorageError::Full`] tells a full disk, which still serves what it holds.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.parts.core.off(check).await
    }

    /// How much room there is.
    pub async fn room(&self) -> Result<Room, StorageError> {
        self.parts.core.off(Core::whole_room).await
    }

    /// Fills the index from the files, if it is new or was moved aside, or Distribution was at work. Stops early when told to, to
    /// go on at the next start.
    pub async fn rebuild_index(&self, stop: CancellationToken) {
        if let Err(error) =
            rebuild::rebuild(&self.parts.core, &self.repositories().tag_locks(), &stop).await
        {
            tracing::warn!(%error, "the index is not complete; what it lacks is looked up in the files");
        }
    }

    /// Writes last uses and the index to disk, removes deleted blobs whose last reader is done, and lets go of idle memory. To be called now and then, and before the end.
    pub async fn flush(&self) -> Result<(), StorageError> {
        self.parts
            .core
            .off(|core| {
                core.buffers.trim();
                core.write_uses();
                core.remove_remembered();
                core.index
                    .flush()
                    .map_err(|error| StorageError::Index(error.to_string()))
            })
            .await
    }

    /// Waits for background work to end, writes everything to disk and tells the next start that this run ended in order.
    /// Downloads that are still running are not waited for. The store stays usable.
    pub async fn close(&self) -> Result<(), StorageError> {
        let tasks = &self.parts.core.tasks;
        tasks.close();
        tasks.wait().await;
        self.flush().await?;
        let core = &self.parts.core;
        core.off(|core| {
            core.end_in_order();
            Ok(())
        })
        .await
    }

    /// Drops what was not used since: manifests with their tags, and blobs that no remaining manifest names. What is held or
    /// still linked by a repository that may not drop stays.
    pub async fn expire(
        &self,
        unused_since: SystemTime,
        may_drop: &(dyn Fn(&RepositoryName) -> bool + Send + Sync),
    ) -> Result<Expired, StorageError> {
        let (dropping, keeping) = self
            .repositories()
            .list()
            .await?
            .into_iter()
            .partition(may_drop);
        let tag_locks = self.repositories().tag_locks();
        self.parts
            .core
            .off(move |core| {
                let core = Arc::clone(core);
                Round {
                    core,
                    tag_locks,
                    unused_since,
                    dropping,
                    keeping,
                    expired: Expired::default(),
                }
                .run()
            })
            .await
    }

    /// Removes an image of a mirrored repository: the tag, and of what it consists of all that no other image here needs. What
    /// is pinned or held just now stays. `None`: there is no such image.
    pub async fn purge(
        &self,
        of: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Purged>, StorageError> {
        let (of, reference) = (of.clone(), reference.clone());
        let tag_locks = self.repositories().tag_locks();
        self.parts
            .core
            .off(move |core| Purge::new(core, &tag_locks, of).run(&reference))
            .await
    }

    /// A listing that was kept for this repository, or `None`. `kind` is a short word such as `tags`.
    pub async fn listing(
        &self,
        of: &RepositoryName,
        kind: &str,
    ) -> Result<Option<Listing>, StorageError> {
        let (of, kind) = (of.clone(), kind.to_owned());
        self.parts
            .core
            .off(move |core| core.listing(&of, &kind))
            .await
    }

    /// Keeps a listing for this repository, in the place of the one before.
    pub async fn set_listing(
        &self,
        of: &RepositoryName,
        kind: &str,
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        let (of, kind) = (of.clone(), kind.to_owned());
        self.parts
            .core
            .off(move |core| core.set_listing(&of, &kind, &bytes))
            .await
    }
}

/// Asks the disk itself, nothing that is remembered. The small file is gone before it reaches the device, so that asking often
/// does not wear it out.
fn check(core: &Arc<Core>) -> Result<(), StorageError> {
    core.still_held()?;
    let fault = |what: &'static str, path: &Path, error| Err(StorageError::io(what, path, error));
    let root = core.layout.root();
    if let Err(error) = core.disk.list(root) {
        return fault("list", root, error);
    }
    if core.read_only {
        return Ok(());
    }
    let expected = Digest::of(Algorithm::Sha256, b"check").to_string();
    let (_removed_on_drop, open) = NewFile::create(core, &Digest::of(Algorithm::Sha256, b"check"))?;
    let mut read = vec![0; expected.len()];
    if let Err(error) = core.disk.write_at(&open, expected.as_bytes(), 0) {
        return fault("write", open.path(), error);
    }
    match core.disk.read_at(&open, &mut read, 0) {
        Ok(_) if read == expected.as_bytes() => Ok(()),
        Ok(_) => fault(
            "read back",
            open.path(),
            std::io::ErrorKind::InvalidData.into(),
        ),
        Err(error) => fault("read back", open.path(), error),
    }
}
