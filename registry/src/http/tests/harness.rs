//! A server over a store of its own, and a caller that sees every byte.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Manifest, RepositoryName};
use cistern_storage::{Checked, Options, Reserve, Storage, StorageError, SystemClock};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::http::admin::{About, Health, LinkUse, Told};
use crate::http::{
    Access, AccessOptions, Failures, Http, Limits, Listening, Places, Settings, Stopping,
};
use crate::metrics::Metrics;
use crate::pull::{LinkReport, LinkState, Pull, PullOptions, StaleTag};
use crate::push::{Push, PushOptions};
use crate::repositories::{Mirrored, Repositories, RepositoriesOptions};
use crate::upstream::{Upstream, UpstreamOptions};
use crate::warm::{Bootstrap, Warm, WarmOptions};

/// Nothing in these tests takes that long unless it hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What a test sets apart from the defaults.
#[derive(Clone, Default)]
pub(super) struct Setup {
    pub(super) settings: Settings,
    pub(super) limits: Limits,
    pub(super) store_is_ill: bool,
    pub(super) with_debug: bool,
    pub(super) kind: Kind,
    pub(super) bootstrap: Option<Bootstrap>,
}

/// What the repositories are.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Hosted.
    #[default]
    Hosted,
    /// Hosted, and what is in them may be deleted.
    Deletable,
    /// Mirrors of a registry that is away.
    Mirrors,
}

/// A server and its store.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) debug_address: Option<SocketAddr>,
    pub(super) admin: PathBuf,
    pub(super) storage: Storage,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stopping: Stopping,
    pub(super) listening: Listening,
    root: TempDir,
}

/// An answer as it came over the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Running {
    pub(super) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(super) async fn with(setup: Setup) -> Self {
        let root = tempfile::tempdir().unwrap();
        let storage = open_store(&root).await;
        let (tasks, stopping, metrics) = (
            TaskTracker::new(),
            Stopping::default(),
            Arc::new(Metrics::new()),
        );
        let repositories = Repositories::new(RepositoriesOptions {
            upstream: upstream(setup.kind == Kind::Mirrors)
                .map(|upstream| Mirrored::new(upstream, ["mirror.example"])),
            own_names: vec!["mirror.example".to_owned()],
            ..RepositoriesOptions::default()
        });
        let pull = pull_from(&storage, &tasks, &metrics);
        let http = Http {
            warm: Warm::start(WarmOptions::of_tests(&pull, &repositories, &tasks)).await,
            repositories,
            pull,
            push: Push::new(PushOptions {
                storage: storage.clone(),
                metrics: Arc::clone(&metrics),
                incomplete: false,
                deletes: setup.kind == Kind::Deletable,
            }),
            metrics: Arc::clone(&metrics),
            health: health(setup.store_is_ill, setup.bootstrap.unwrap_or_default()),
            access: Access::new(AccessOptions::default()),
            settings: setup.settings,
            about: About::new(String::new(), LinkUse::default, Arc::new(SystemClock)),
            failures: Failures::default(),
        };
        let admin = root.path().join("admin.sock");
        let debug = setup.with_debug.then_some("127.0.0.1:0");
        let places = Places {
            main: "127.0.0.1:0",
            debug,
            admin: Some(&admin),
            tls: None,
        };
        let listening = Listening::start(Arc::new(http), places, setup.limits, &stopping, &tasks)
            .await
            .unwrap();
        let (address, debug_address) = (listening.address(), listening.debug_address());
        Self {
            address,
            debug_address,
            admin,
            storage,
            metrics,
            stopping,
            listening,
            root,
        }
    }

    /// The folder of the store.
    pub(super) fn root(&self) -> &std::path::Path {
        self.root.path()
    }

    pub(super) async fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(Algorithm::Sha256, &bytes);
        self.storage.blobs().put(&digest, bytes).await.unwrap();
        self.storage
            .repositories()
            .link_blob(&name(repository), &digest)
            .await
            .unwrap();
        digest
    }

    pub(super) async fn put_manifest(
        &self,
        repository: &str,
        tags: &[&str],
        algorithm: Algorithm,
        bytes: &str,
    ) -> Digest {
        let digest = Digest::of(algorithm, bytes.as_bytes());
        let manifest =
            Manifest::by_digest(digest, None, Bytes::copy_from_slice(bytes.as_bytes())).unwrap();
        let repositories = self.storage.repositories();
        repositories
            .put_manifest(&name(repository), &manifest)
            .await
            .unwrap();
        for tag in tags {
            let checked = Checked {
                at: SystemTime::UNIX_EPOCH,
                source: "here".into(),
            };
            repositories
                .set_tag(&name(repository), &tag.parse().unwrap(), &digest, checked)
                .await
                .unwrap();
        }
        digest
    }

    /// One request on a connection of its own.
    pub(super) async fn ask(&self, request: &str, headers: &[&str]) -> Reply {
        ask_at(self.address, request, headers).await
    }

    /// How often `Metrics::render` says that was counted.
    pub(super) fn counted(&self, line: &str) -> Option<u64> {
        let page = self.metrics.render();
        page.lines()
            .find_map(|text| text.strip_prefix(line)?.trim().parse().ok())
    }
}

/// A registry that cannot be reached.
fn upstream(wanted: bool) -> Option<Upstream> {
    let options = UpstreamOptions::new("http://127.0.0.1:9".parse().unwrap());
    wanted.then(|| Upstream::new(options).unwrap())
}

async fn open_store(root: &TempDir) -> Storage {
    let options = Options {
        reserve: Reserve::Bytes(0),
        ..Options::new(root.path())
    };
    Storage::open(options).await.unwrap()
}

fn pull_from(storage: &Storage, tasks: &TaskTracker, metrics: &Arc<Metrics>) -> Pull {
    Pull::new(PullOptions {
        metrics: Arc::clone(metrics),
        ..PullOptions::of_tests(storage, tasks)
    })
}

fn health(store_is_ill: bool, bootstrap: Bootstrap) -> Health {
    let check = move || async move {
        if store_is_ill {
            Err(StorageError::ReadOnly)
        } else {
            Ok(())
        }
    };
    let tag = StaleTag {
        repository: name("plant/app"),
        tag: "v1".parse().unwrap(),
        digest: Digest::of(Algorithm::Sha256, b"v1"),
        since: UNIX_EPOCH + Duration::from_millis(1_500),
        why: "up.example: no answer in time".to_owned(),
        last_asked: UNIX_EPOCH + Duration::from_secs(60),
    };
    let told = Told {
        links: vec![LinkReport {
            upstream: "up.example".to_owned(),
            state: LinkState::Offline,
            since: UNIX_EPOCH,
            last_error: Some("up.example: no answer in time".to_owned()),
            credentials_refused: false,
            paused_for: Some(Duration::from_secs(7)),
        }],
        stale_tags: vec![tag; 101],
        bootstrap,
        ..Told::default()
    };
    Health::new(check, move || told.clone())
}

fn name(repository: &str) -> RepositoryName {
    repository.parse().unwrap()
}

/// One request on a connection of its own, to be closed after it.
pub(super) async fn ask_at(address: SocketAddr, request: &str, headers: &[&str]) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(
        &mut stream,
        request,
        &[headers, &["Connection: close"]].concat(),
    )
    .await;
    let is_head = request.starts_with("HEAD ");
    let reply = read_reply(&mut stream, is_head).await;
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(
        rest.is_empty(),
        "bytes after the answer to {request}: {rest:?}"
    );
    reply
}

/// Writes the head of a request.
pub(super) async fn send(
    stream: &mut (impl AsyncWriteExt + Unpin),
    request: &str,
    headers: &[&str],
) {
    let mut head = format!("{request} HTTP/1.1\r\nHost: cache.example:5000\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
}

/// Reads one answer, and not a byte more.
pub(super) async fn read_reply(stream: &mut (impl AsyncRead + Unpin), is_head: bool) -> Reply {
    timeout(PATIENCE, async {
        let (status, headers) = read_head(stream).await;
        let mut reply = Reply {
            status,
            headers,
            body: Vec::new(),
        };
        let length = reply
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        if !is_head && status != 304 {
            reply.body = vec![0; length];
            stream.read_exact(&mut reply.body).await.unwrap();
        }
        reply
    })
    .await
    .unwrap()
}

/// Reads the head of an answer, and not a byte more.
pub(super) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
) -> (u16, Vec<(String, String)>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await;
        head.push(
            byte.unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&head))
            }),
        );
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let header = |line: &str| {
        line.split_once(": ")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    (status, lines.filter_map(header).collect())
}

impl Reply {
    /// The value of a header that must not come twice.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(header, _)| header == name)
            .map(|(_, value)| value.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "{name} comes twice");
        first
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of the error in the body.
    pub(super) fn code(&self) -> String {
        self.json()["errors"][0]["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The message of the error in the body.
    pub(super) fn message(&self) -> String {
        self.json()["errors"][0]["message"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}
