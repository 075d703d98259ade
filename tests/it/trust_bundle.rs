//! A parent in the hierarchy is trusted for the sake of the trust bundle, which the workload API gives.

use std::sync::Arc;

use cistern_tests::caller::get;
use cistern_tests::certificates::{Authority, Credentials};
use cistern_tests::registry::RegistryBuilder;
use cistern_tests::scripted_upstream::ScriptedUpstream;
use cistern_tests::workload_api::{Mood, WorkloadApi};
use cistern_tests::{addresses, cistern, eventually};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::common::SOON;
use crate::scene::{TAG_PATH, assert_refused, assert_served, upstream};

/// A parent's API proxy: TLS by its device, known by its address and by its module's id, in front of a registry.
struct Parent {
    address: std::net::SocketAddr,
    acceptor: Arc<Mutex<TlsAcceptor>>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    root: Authority,
    image: cistern_tests::images::Image,
    folder: TempDir,
    _upstream: ScriptedUpstream,
}

fn acceptor(credentials: &Credentials) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(credentials.chain.as_bytes());
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(credentials.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

impl Parent {
    async fn start() -> Self {
        let (upstream, image) = upstream().await;
        let listener = TcpListener::bind((addresses::next(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let root = Authority::new("root of the plant");
        let first = proxy_of(&root, address);
        let shared = Arc::new(Mutex::new(acceptor(&first)));
        let (behind, current) = (upstream.address(), Arc::clone(&shared));
        let connections: Arc<Mutex<Vec<AbortHandle>>> = Arc::default();
        let open = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = current.lock().clone();
                let connection = tokio::spawn(async move {
                    if let Ok(mut caller) = acceptor.accept(socket).await {
                        let mut registry = TcpStream::connect(behind).await.unwrap();
                        let _ = copy_bidirectional(&mut caller, &mut registry).await;
                    }
                });
                open.lock().push(connection.abort_handle());
            }
        });
        Self {
            address,
            acceptor: shared,
            connections,
            root,
            image,
            folder: tempfile::tempdir().unwrap(),
            _upstream: upstream,
        }
    }

    /// From now on it shows a certificate of this hierarchy, and connections from before are cut.
    fn move_to(&self, root: &Authority) {
        for connection in self.connections.lock().drain(..) {
            connection.abort();
        }
        *self.acceptor.lock() = acceptor(&proxy_of(root, self.address));
    }

    /// A child's cache: the parent by its variable, as on every layer below the first.
    fn child(&self, api: &WorkloadApi) -> RegistryBuilder {
        let remote = format!("$upstream:{}", self.address.port());
        let parent = self.address.ip().to_string();
        let cache = cistern::mirror_of(&remote).set("IOTEDGE_PARENTHOSTNAME", &parent);
        let variables = api.environment("child.example");
        variables
            .iter()
            .fold(cache, |cache, (name, value)| cache.set(name, value))
    }
}

fn proxy_of(root: &Authority, address: std::net::SocketAddr) -> Credentials {
    let device = root.edge_ca("parent");
    device.server(&address.ip().to_string(), &["IoTEdgeAPIProxy"])
}

#[tokio::test]
async fn a_parent_is_pulled_from_for_the_sake_of_the_trust_bundle_without_any_setting() {
    let parent = Parent::start().await;
    let api = WorkloadApi::start(parent.folder.path(), &parent.root);
    let child = parent.child(&api).start().await;
    // The very first question waits for the bundle.
    assert_served(
        &get(TAG_PATH).send(&child.host()).await,
        &parent.image.top().bytes,
    );
    assert_eq!(api.calls("GET /trust-bundle"), 1);
    // No certificate for servers was asked for: nobody wants TLS here.
    assert_eq!(api.calls("certificate/server"), 0);
    let page = get("/readyz").send(&child.host()).await.json();
    assert_eq!(page["certificates"][0]["use"], "trust-bundle");
}

#[tokio::test]
async fn the_bundle_is_believed_for_the_parent_alone() {
    let parent = Parent::start().await;
    let api = WorkloadApi::start(parent.folder.path(), &parent.root);
    let stranger = cistern::mirror_of(&format!("https://{}", parent.address));
    let stranger = stranger.set("IOTEDGE_PARENTHOSTNAME", "parent.example");
    let variables = api.environment("child.example");
    let stranger = variables
        .iter()
        .fold(stranger, |cache, (name, value)| cache.set(name, value));
    let stranger = stranger.start().await;
    stranger.logs("trust bundle received").await;
    let refused = get(TAG_PATH).send(&stranger.host()).await;
    assert_refused(&refused, 503, "UNAVAILABLE", &["TLS failed"]);
}

#[tokio::test]
async fn after_a_tls_failure_the_bundle_is_asked_for_again_and_the_new_root_believed() {
    let parent = Parent::start().await;
    let api = WorkloadApi::start(parent.folder.path(), &parent.root);
    let child = parent.child(&api).set("REGISTRY_PROXY_CHECKEVERY", "0s");
    let child = child.start().await;
    assert_served(
        &get(TAG_PATH).send(&child.host()).await,
        &parent.image.top().bytes,
    );
    // The whole hierarchy gets a new root.
    let next = Authority::new("second root of the plant");
    parent.move_to(&next);
    api.set_bundle(Some(format!("{}{}", parent.root.bundle(), next.bundle())));
    let blob = crate::scene::blob(&parent.image.largest_blob().digest);
    eventually("the new root", SOON, || async {
        get(&blob).send(&child.host()).await.status == 200
    })
    .await;
    // Doubts are not a reason to ask without end.
    assert!(api.calls("GET /trust-bundle") < 10, "{:?}", api.all_calls());
}

#[tokio::test]
async fn without_the_workload_api_the_bundle_comes_later_and_its_absence_is_told() {
    let parent = Parent::start().await;
    let mut api = WorkloadApi::away(parent.folder.path(), &parent.root);
    let child = parent.child(&api).start().await;
    let refused = get(TAG_PATH).send(&child.host()).await;
    assert_refused(&refused, 503, "UNAVAILABLE", &["TLS failed"]);
    child.logs("the trust bundle could not be read").await;
    api.appear();
    eventually("the bundle", SOON, || async {
        get(TAG_PATH).send(&child.host()).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_bundle_that_is_empty_or_nonsense_leaves_the_one_before_in_use() {
    let parent = Parent::start().await;
    let api = WorkloadApi::start(parent.folder.path(), &parent.root);
    let child = parent.child(&api).start().await;
    assert_served(
        &get(TAG_PATH).send(&child.host()).await,
        &parent.image.top().bytes,
    );
    for mood in [
        Mood::Says(br#"{"certificate":"nonsense"}"#.to_vec()),
        Mood::Says(b"nonsense".to_vec()),
        Mood::Refuses(404, "none".to_owned()),
    ] {
        let before = api.calls("GET /trust-bundle");
        api.set_mood(mood);
        // A failure of TLS makes the bundle be asked for again.
        parent.move_to(&Authority::new("a stranger"));
        let nowhere = crate::scene::blob(&format!("sha256:{}", "ab".repeat(32)));
        eventually("the question", SOON, || async {
            get(&nowhere).send(&child.host()).await;
            api.calls("GET /trust-bundle") > before
        })
        .await;
    }
    parent.move_to(&parent.root);
    let blob = crate::scene::blob(&parent.image.largest_blob().digest);
    eventually("the parent", SOON, || async {
        get(&blob).send(&child.host()).await.status == 200
    })
    .await;
}
