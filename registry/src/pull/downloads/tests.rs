use std::time::Duration;

use bytes::Bytes;
use cistern_oci::{Algorithm, ByteRange};
use cistern_storage::{BlobBytes, Options, Reserve, Storage};
use futures_util::StreamExt as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::*;
use crate::pull::{Pull, PullOptions};
use crate::upstream::{Upstream, UpstreamOptions};

/// Nothing here takes that long unless it hangs.
const SOON: Duration = Duration::from_secs(20);

/// A store, the pull room over it, and an upstream that knows nothing.
struct Place {
    pull: Pull,
    storage: Storage,
    tasks: TaskTracker,
    upstream: Upstream,
    _root: TempDir,
}

impl Place {
    async fn new() -> Self {
        let (root, tasks) = (tempfile::tempdir().unwrap(), TaskTracker::new());
        let storage = Storage::open(Options {
            reserve: Reserve::Bytes(0),
            ..Options::new(root.path())
        });
        let storage = storage.await.unwrap();
        let pull = Pull::new(PullOptions::of_tests(&storage, &tasks));
        let upstream = knows_nothing(&tasks).await;
        Self {
            pull,
            storage,
            tasks,
            upstream,
            _root: root,
        }
    }

    fn mirror(&self, name: &str) -> Mirror {
        Mirror {
            name: name.parse().unwrap(),
            name_there: name.parse().unwrap(),
            upstream: self.upstream.clone(),
        }
    }

    fn running(&self) -> &Downloads {
        &self.pull.parts.downloads
    }

    /// Begins a download that does this instead of downloading.
    fn begin<F>(
        &self,
        mirror: &Mirror,
        work: impl FnOnce(Growing<DownloadFailed>) -> F,
    ) -> (Running, JoinHandle<()>)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let parts = &self.pull.parts;
        let (writer, download) = Running::begin(Sources::from(mirror, true));
        parts
            .downloads
            .running
            .lock()
            .insert(blob(), download.clone());
        let guard = RunningGuard::new(&parts.downloads, blob(), &download, &parts.metrics);
        (download, launch(parts, guard, writer, work))
    }
}

const BLOB: &[u8] = b"some blob";

fn blob() -> Digest {
    Digest::of(Algorithm::Sha256, BLOB)
}

fn wanted(mirror: &Mirror) -> Wanted<'_> {
    Wanted {
        mirror,
        digest: blob(),
        size: None,
    }
}

/// An upstream that answers 404 to whatever it is asked.
async fn knows_nothing(tasks: &TaskTracker) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let answer =
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    Upstream::new(UpstreamOptions::new(url.parse().unwrap())).unwrap()
}

/// Laws 4 and 6: what is here is refused to the repository that may not have it, and to no other.
#[tokio::test]
async fn a_repository_that_may_have_a_stored_blob_gets_it_though_the_one_before_may_not() {
    let place = Place::new().await;
    let bytes = Bytes::from_static(BLOB);
    place.storage.blobs().put(&blob(), bytes).await.unwrap();
    let (refused, proven) = (place.mirror("team/a"), place.mirror("team/b"));
    let sources = Sources::from(&refused, false);
    assert_eq!(sources.join(&proven, true), Joining::Joined);
    let (writer, growing) = growing(DownloadFailed::Interrupted);
    let download = Download {
        parts: Arc::clone(&place.pull.parts),
        digest: blob(),
        size: None,
        sources: sources.clone(),
        crowd: Crowd::new(),
    };
    download.run(writer).await;
    assert_eq!(growing.wait_size().await.unwrap(), BLOB.len() as u64);
    assert!(sources.refusal_of(&refused.name).is_some());
    assert!(sources.refusal_of(&proven.name).is_none());
    let repositories = place.storage.repositories();
    assert!(
        repositories
            .holds_blob(&proven.name, &blob())
            .await
            .unwrap()
    );
    assert!(
        !repositories
            .holds_blob(&refused.name, &blob())
            .await
            .unwrap()
    );
}

/// Law 4: a failure that is only yet to be told is not shared by who comes with a source that was not asked.
#[tokio::test]
async fn who_comes_when_every_source_has_failed_begins_anew() {
    let place = Place::new().await;
    let (first, second) = (place.mirror("team/a"), place.mirror("team/b"));
    let (failing, task) = place.begin(&first, |writer| async move {
        let _writer = writer;
        std::future::pending::<()>().await;
    });
    assert!(failing.sources.next(1).is_none());
    let parts = &place.pull.parts;
    let Joined {
        download: anew,
        ran_already,
        ..
    } = place
        .running()
        .join_or_start(parts, wanted(&second), true)
        .unwrap();
    assert!(!ran_already);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let told = tokio::time::timeout(SOON, anew.blob.wait_end())
        .await
        .unwrap();
    let Err(DownloadFailed::Upstreams(errors)) = told else {
        panic!("{told:?}");
    };
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].0, second.name);
}

async fn read(mut body: BlobBytes) -> Result<Vec<u8>, cistern_storage::ReadError> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

/// Law 3: nobody hangs, and nobody takes a short body for a complete one.
#[tokio::test]
async fn a_download_that_panics_or_is_aborted_is_told_to_every_reader_and_leaves_nothing_behind() {
    for panics in [true, false] {
        let place = Place::new().await;
        let (mirror, storage) = (place.mirror("team/a"), place.storage.clone());
        let size = 1024 * 1024;
        let (download, task) = place.begin(&mirror, move |writer| async move {
            let started = storage.blobs().start(blob(), Some(size), writer).await;
            let mut writer = started.unwrap();
            writer.answered();
            let half = vec![0; usize::try_from(size).unwrap() / 2];
            writer.append(half.into()).await.unwrap();
            assert!(!panics, "of the test");
            std::future::pending::<()>().await;
        });
        let body = download.blob.read(ByteRange::whole(size).unwrap());
        let waiting = download.clone();
        let reader = place.tasks.spawn(async move { read(body).await });
        let ended = place
            .tasks
            .spawn(async move { waiting.blob.wait_end().await });
        if !panics {
            download.blob.wait_for(0).await.unwrap();
            task.abort();
        }
        assert!(task.await.is_err());
        let told = async { (reader.await.unwrap(), ended.await.unwrap()) };
        let (read, ended) = tokio::time::timeout(SOON, told).await.unwrap();
        assert!(read.is_err());
        assert!(matches!(ended, Err(DownloadFailed::Interrupted)));
        assert!(place.running().running(&blob()).is_none());
        let parts = &place.pull.parts;
        let again = place.running().join_or_start(parts, wanted(&mirror), true);
        assert!(
            !again.unwrap().ran_already,
            "nothing is joined that has ended"
        );
    }
}

#[test]
fn two_reads_ahead_are_allowed_at_once_and_no_more() {
    let ahead = Ahead::default();
    let first = ahead.take(10, 100);
    let second = ahead.take(10, 100);
    assert!(first.is_some() && second.is_some());
    assert!(ahead.take(10, 100).is_none());
    drop(first);
    assert!(ahead.take(10, 100).is_some());
}

#[test]
fn reads_ahead_never_fetch_more_than_the_blob_in_all() {
    let ahead = Ahead::default();
    for _ in 0..10 {
        assert!(ahead.take(10, 100).is_some());
    }
    assert!(ahead.take(1, 100).is_none());
}
