//! What the tests of this crate share.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};
use futures_util::StreamExt;
use parking_lot::Mutex;

use crate::{
    BlobBytes, BlobWriter, Clock, Growing, GrowingBlob, Options, ReadError, Reserve, Storage,
    faults::FaultyDisk, growing,
};

pub(crate) mod power;

/// What a test's readers are told.
pub(crate) type Why = &'static str;

/// A clock that stands still until it is moved.
pub(crate) struct TestClock(Mutex<SystemTime>);

impl TestClock {
    pub(crate) fn go_on(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        *self.0.lock()
    }
}

/// A directory for a store, and how to open it.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) disk: Arc<FaultyDisk>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: Arc::new(TestClock(Mutex::new(
                SystemTime::UNIX_EPOCH + Duration::from_hours(500_000),
            ))),
            disk: Arc::new(FaultyDisk::default()),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            reserve: Reserve::Bytes(0),
            clock: Arc::<TestClock>::clone(&self.clock),
            disk: Arc::<FaultyDisk>::clone(&self.disk),
            ..Options::new(self.root())
        }
    }

    pub(crate) async fn open(&self) -> Storage {
        Storage::open(self.options()).await.unwrap()
    }

    /// With so many bytes in reserve, on a disk that has room for everything else.
    pub(crate) async fn open_with_reserve(&self, bytes: u64) -> Storage {
        self.disk.set_free(1 << 40);
        Storage::open(Options {
            reserve: Reserve::Bytes(bytes),
            ..self.options()
        })
        .await
        .unwrap()
    }

    pub(crate) async fn open_read_only(&self) -> Storage {
        Storage::open(Options {
            read_only: true,
            ..self.options()
        })
        .await
        .unwrap()
    }

    /// Opens the store as soon as whoever had it has let go.
    pub(crate) async fn open_soon(&self) -> Storage {
        for _ in 0..200 {
            if let Ok(storage) = Storage::open(self.options()).await {
                return storage;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.open().await
    }

    /// Lets go of a store at once, as a killed process does: nothing it was doing reaches the disk any more.
    pub(crate) async fn kill(&self, storage: Storage) {
        self.disk.die();
        drop(storage);
        until("the store is gone", || Arc::strong_count(&self.disk) == 1).await;
        self.disk.heal();
    }

    /// Lets go of a store and opens it again, as after a restart.
    pub(crate) async fn open_again(&self, storage: Storage) -> Storage {
        storage.close().await.unwrap();
        drop(storage);
        self.open_soon().await
    }

    /// All files below the root that are not the index's, without the root.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut waiting = vec![self.root().to_owned()];
        while let Some(directory) = waiting.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    let inner = path
                        .strip_prefix(self.root())
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned();
                    if !inner.starts_with("cistern/index") {
                        found.push(inner);
                    }
                }
            }
        }
        found.sort();
        found
    }

    /// What lies in `cistern/partials`.
    pub(crate) fn partials(&self) -> Vec<String> {
        let names = self.files();
        let names = names
            .iter()
            .filter_map(|path| path.strip_prefix("cistern/partials/"));
        names.map(str::to_owned).collect()
    }

    #[expect(clippy::disallowed_methods, reason = "tests look at files themselves")]
    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(std::fs::read(self.root().join(path)).unwrap()).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "tests make files themselves")]
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Puts a pipe in the place of a file, into which nobody ever writes.
    pub(crate) fn make_pipe(&self, path: &str) {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let path = self.root().join(path);
        crate::Disk::remove(&crate::RealDisk, &path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    /// Puts a blob there as another program would.
    pub(crate) fn adopt_blob(&self, digest: &Digest, bytes: &[u8]) {
        self.write(&blob_path(digest), bytes);
    }
}

/// A directory in memory, where there is such a place: nothing in it has to last.
pub(crate) fn in_memory() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        tempfile::tempdir_in(shared).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub(crate) fn blob_path(digest: &Digest) -> String {
    let hex = digest.hex();
    format!(
        "docker/registry/v2/blobs/{}/{}/{hex}/data",
        digest.algorithm(),
        &hex[..2]
    )
}

/// Bytes that do not repeat within a test's sizes.
pub(crate) fn some_bytes(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// An image manifest that names a config and layers by their bytes.
pub(crate) fn image(config: &[u8], layers: &[&[u8]]) -> Manifest {
    let descriptor = |kind: &str, bytes: &[u8]| serde_json::json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": sha256(bytes), "size": bytes.len() });
    let body = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", config),
        "layers": layers.iter().map(|bytes| descriptor("layer.v1.tar", bytes)).collect::<Vec<_>>(),
    });
    Manifest::by_tag(None, None, Bytes::from(body.to_string()))
}

/// Everything a body gives, and how it ended.
pub(crate) async fn drain(mut body: BlobBytes) -> (Vec<u8>, Result<(), ReadError>) {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => {
                assert!(body.next().await.is_none(), "nothing comes after an error");
                return (bytes, Err(error));
            }
        }
    }
    (bytes, Ok(()))
}

/// All bytes of a body that ends well.
pub(crate) async fn read(body: BlobBytes) -> Vec<u8> {
    let (bytes, end) = drain(body).await;
    end.unwrap();
    bytes
}

/// Begins a blob.
pub(crate) async fn start(
    storage: &Storage,
    digest: Digest,
    size: Option<u64>,
) -> (BlobWriter<Why>, GrowingBlob<Why>) {
    let (growing, blob): (Growing<Why>, _) = growing("interrupted");
    (
        storage.blobs().start(digest, size, growing).await.unwrap(),
        blob,
    )
}

/// Appends in pieces as they come from a network.
pub(crate) async fn append(writer: &mut BlobWriter<Why>, bytes: &Bytes) {
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(100_000));
        writer.append(piece).await.unwrap();
    }
}

/// Appends what is not there yet, and commits.
pub(crate) async fn append_rest(
    mut writer: BlobWriter<Why>,
    bytes: &Bytes,
) -> Result<crate::StoredBlob, crate::CommitError> {
    let there = usize::try_from(writer.written()).unwrap();
    append(&mut writer, &bytes.slice(there..)).await;
    writer.commit().await
}

/// Stores a blob the long way.
pub(crate) async fn store(storage: &Storage, bytes: &Bytes) -> Digest {
    let digest = sha256(bytes);
    let (mut writer, _blob) = start(storage, digest, Some(bytes.len() as u64)).await;
    writer.append(bytes.clone()).await.unwrap();
    writer.commit().await.unwrap();
    digest
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// Spawns a task that no tracker follows.
#[expect(clippy::disallowed_methods, reason = "a test ends with its runtime")]
pub(crate) fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}
