//! An upstream registry that does exactly what a test says: counts, waits, cuts, lies, limits and goes away.
//!
//! It speaks HTTP/1.1 over plain sockets by hand, because a polite server library would repair most of what it
//! is there to do wrong. Without any script it is a correct read-only registry for the images it holds.
//!
//! A request passes, in this order: the record, the black hole, the protection (below `/v2/` only), the script (the
//! first rule that matches and has not been used up), what is held, 404.

mod answer;
mod gate;
mod held;
mod protection;
mod record;
mod script;
mod signed;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::images::{Image, Item};
use crate::{addresses, eventually};

pub use answer::{Answer, Cut, Framing, Ranges};
pub use gate::Gate;
pub use held::LinkStyle;
pub use protection::{ChallengeStyle, Protection, TokenAnswer, TokenDesk, TokenField};
pub use record::{Recorded, Request, matches};
pub use script::Rule;
pub use signed::Signed;

use held::Held;
use record::Records;
use script::Script;

/// The server. Clones are handles on the same one; its sockets close when the last handle is dropped.
#[derive(Clone)]
pub struct ScriptedUpstream {
    shared: Arc<Shared>,
    /// Stops the server when the last handle goes; the server's own tasks hold `shared` only.
    _stopper: Arc<Stopper>,
}

struct Stopper(Arc<Shared>);

impl Drop for Stopper {
    fn drop(&mut self) {
        if let Some(running) = self.0.running.lock().take() {
            running.stop.cancel();
        }
    }
}

struct Shared {
    address: SocketAddr,
    tls: Option<Tls>,
    held: Mutex<Held>,
    script: Mutex<Script>,
    protection: Mutex<Protection>,
    records: Records,
    black_hole: AtomicBool,
    is_foreign: AtomicBool,
    connections: AtomicU64,
    running: Mutex<Option<Running>>,
}

struct Tls {
    acceptor: TlsAcceptor,
    /// Shows a certificate of another authority.
    foreign: TlsAcceptor,
    certificate: PathBuf,
    _folder: TempDir,
}

struct Running {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl ScriptedUpstream {
    /// Starts one, empty, on a loopback address of its own.
    pub async fn start() -> Self {
        Self::start_on(addresses::free(), None).await
    }

    /// Starts one that speaks TLS, with a certificate of its own that nobody trusts: see
    /// [`ScriptedUpstream::certificate`].
    pub async fn start_tls() -> Self {
        let address = addresses::free();
        Self::start_on(address, Some(tls::make(address.ip()))).await
    }

    async fn start_on(address: SocketAddr, tls: Option<Tls>) -> Self {
        let shared = Arc::new(Shared {
            address,
            tls,
            held: Mutex::default(),
            script: Mutex::default(),
            protection: Mutex::new(Protection::Open),
            records: Records::default(),
            black_hole: AtomicBool::new(false),
            is_foreign: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            running: Mutex::new(None),
        });
        let upstream = Self {
            _stopper: Arc::new(Stopper(Arc::clone(&shared))),
            shared,
        };
        upstream.start_again().await;
        upstream
    }

    /// Listens again, on the same port as before. Does nothing while it runs.
    pub async fn start_again(&self) {
        if self.shared.running.lock().is_some() {
            return;
        }
        let listener = listen(self.shared.address).await;
        let running = Running {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let accepting = accept(
            Arc::clone(&self.shared),
            listener,
            running.stop.clone(),
            running.tasks.clone(),
        );
        running.tasks.spawn(accepting);
        *self.shared.running.lock() = Some(running);
    }

    /// Stops: every connection is dropped, further ones are refused. What it holds, its script and its counts stay.
    pub async fn stop(&self) {
        let running = self.shared.running.lock().take();
        if let Some(running) = running {
            running.stop.cancel();
            running.tasks.close();
            running.tasks.wait().await;
        }
    }

    /// While set, requests are read and never answered. Connections that are open when it is taken back stay mute.
    pub fn black_hole(&self, on: bool) {
        self.shared.black_hole.store(on, Ordering::SeqCst);
    }

    /// While set, new connections are shown a certificate that [`ScriptedUpstream::certificate`] does not vouch for, as by
    /// something on the way that looks into TLS. Open connections are dropped.
    pub async fn foreign_certificate(&self, on: bool) {
        self.stop().await;
        self.shared.is_foreign.store(on, Ordering::SeqCst);
        self.start_again().await;
    }

    /// `127.a.b.c:port`.
    pub fn host(&self) -> String {
        self.shared.address.to_string()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://127.a.b.c:port`, or https.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.shared.address)
    }

    /// The URL of a path that begins with `/`.
    pub fn url_of(&self, path: &str) -> String {
        self.url() + path
    }

    /// The PEM file of its certificate authority.
    ///
    /// # Panics
    /// When it does not speak TLS.
    pub fn certificate(&self) -> &std::path::Path {
        &self
            .shared
            .tls
            .as_ref()
            .expect("an upstream with TLS")
            .certificate
    }

    /// Puts an image into a repository, under `tags` too.
    pub fn hold(&self, image: &Image, repository: &str, tags: &[&str]) {
        self.shared.held.lock().put(image, repository, tags);
    }

    /// Puts one blob into a repository.
    pub fn hold_blob(&self, blob: &Item, repository: &str) {
        self.shared.held.lock().put_blob(blob, repository);
    }

    /// Points a tag at a digest, or takes it away.
    pub fn set_tag(&self, repository: &str, tag: &str, digest: Option<&str>) {
        self.shared.held.lock().set_tag(repository, tag, digest);
    }

    /// Forgets a blob or manifest of a repository.
    pub fn forget(&self, repository: &str, digest: &str) {
        self.shared.held.lock().forget(repository, digest);
    }

    /// Tag lists come in pages of `size` even when the request asks for none or more, with `Link` in this style.
    pub fn page_tags(&self, size: usize, link: LinkStyle) {
        self.shared.held.lock().page_tags(size, link);
    }

    /// Serves a file outside `/v2/`, with ranges.
    pub fn hold_file(&self, path: &str, media_type: &str, bytes: impl Into<Bytes>) {
        self.shared
            .held
            .lock()
            .put_file(path, Item::new(media_type, bytes));
    }

    /// Answers every GET of a blob with a redirect to `other`, by an address that is good for a while: see [`Signed`].
    pub fn redirect_blobs_to(&self, other: &ScriptedUpstream, status: u16, signed: Signed) -> Rule {
        signed::redirect_blobs(self, other, status, signed)
    }

    /// Adds a rule: requests of this method (`*`: any) and path are answered so, until the rule is removed. In the path `*` stands for anything, `/` and the query included; a pattern without
    /// `?` ignores the query. Earlier rules come first.
    pub fn on(&self, method: &str, path: &str, answer: Answer) -> Rule {
        self.shared.script.lock().add(method, path, answer)
    }

    /// Adds a rule that applies to the next `count` such requests only.
    pub fn on_next(&self, count: usize, method: &str, path: &str, answer: Answer) -> Rule {
        let rule = self.on(method, path, answer);
        rule.limit(count);
        rule
    }

    /// Removes all rules.
    pub fn forget_script(&self) {
        self.shared.script.lock().clear();
    }

    /// Who may read below `/v2/`.
    pub fn protect(&self, protection: Protection) {
        if let Protection::Bearer(desk) = &protection {
            desk.open_at_first(self);
        }
        *self.shared.protection.lock() = protection;
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.records.all()
    }

    /// The requests of this method and path, patterns as in [`ScriptedUpstream::on`].
    pub fn requests_of(&self, method: &str, path: &str) -> Vec<Recorded> {
        self.shared.records.of(method, path)
    }

    /// How many requests of this method and path there were.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.requests_of(method, path).len()
    }

    /// Forgets all requests.
    pub fn forget_requests(&self) {
        self.shared.records.clear();
    }

    /// Waits until `count` such requests have arrived.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub async fn wait_for(&self, method: &str, path: &str, count: usize, limit: Duration) {
        let what = format!("{count} times {method} {path}");
        eventually(&what, limit, || async { self.count(method, path) >= count }).await;
    }

    /// How many body bytes it has handed to its sockets.
    pub fn bytes_sent(&self) -> u64 {
        self.requests().iter().map(Recorded::bytes_sent).sum()
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

async fn listen(address: SocketAddr) -> TcpListener {
    for attempt in 0.. {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        match socket.bind(address).and_then(|()| socket.listen(1024)) {
            Ok(listener) => return listener,
            Err(error) => assert!(attempt < 100, "cannot listen on {address}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("the loop ends with a listener or a panic")
}

async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = serve(&shared, stream, number) => {}
            }
        });
    }
}

async fn serve(shared: &Shared, stream: TcpStream, number: u64) {
    stream.set_nodelay(true).ok();
    match &shared.tls {
        None => wire::serve(shared, stream, number).await,
        Some(tls) => {
            let acceptor = if shared.is_foreign.load(Ordering::SeqCst) {
                &tls.foreign
            } else {
                &tls.acceptor
            };
            if let Ok(stream) = acceptor.accept(stream).await {
                wire::serve(shared, stream, number).await;
            }
        }
    }
}

/// What is answered to one request. Deciding functions of the script run while nothing is locked: they may ask and
/// change the upstream themselves.
fn decide(shared: &Shared, request: &Request) -> answer::Plan {
    let scripted = || shared.script.lock().find(request);
    let answer = refuse(shared, request)
        .or_else(scripted)
        .unwrap_or_else(Answer::held);
    let answer = answer.settle(request);
    answer.plan(request, &shared.held.lock())
}

fn refuse(shared: &Shared, request: &Request) -> Option<Answer> {
    let protection = shared.protection.lock().clone();
    let below = request.path == "/v2" || request.path.starts_with("/v2/");
    if below {
        protection.refuse(request)
    } else {
        None
    }
}
