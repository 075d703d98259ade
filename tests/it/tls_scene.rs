//! A cache that speaks TLS, with files that a test writes, and callers that trust or do not trust it.

use std::path::{Path, PathBuf};

use cistern_tests::certificates::{Authority, Credentials, EdgeCa, Lifetime};
use cistern_tests::images::{Image, Item};
use cistern_tests::registry::{Registry, RegistryBuilder};
use cistern_tests::scripted_upstream::ScriptedUpstream;
use cistern_tests::tls_tunnel::{TlsCaller, TlsTunnel};
use cistern_tests::{addresses, cistern::mirror_of};
use tempfile::TempDir;

use crate::scene::{REPOSITORY, upstream};

/// An upstream, and the makings of a cache of it whose files are in a folder.
pub(crate) struct TlsScene {
    pub(crate) root: Authority,
    pub(crate) device: EdgeCa,
    pub(crate) folder: TempDir,
    pub(crate) upstream: ScriptedUpstream,
    pub(crate) image: Image,
    pub(crate) address: std::net::SocketAddr,
}

impl TlsScene {
    /// Certificate and key are in `server.pem` and `server.key`.
    pub(crate) async fn new() -> Self {
        let (upstream, image) = upstream().await;
        let root = Authority::new("root of the plant");
        let scene = Self {
            device: root.edge_ca("gateway"),
            root,
            folder: tempfile::tempdir().unwrap(),
            upstream,
            image,
            address: addresses::free(),
        };
        scene.put_pair(&scene.server(Lifetime::default()));
        scene
    }

    /// A certificate for the address of the cache.
    pub(crate) fn server(&self, life: Lifetime) -> Credentials {
        let address = self.address.ip().to_string();
        self.device
            .server_with(&address, &["gateway.example"], life)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a file in place of the one before, at once.
    pub(crate) fn put(&self, name: &str, text: &str) {
        put(&self.path(name), text);
    }

    pub(crate) fn put_pair(&self, pair: &Credentials) {
        self.put("server.pem", &pair.chain);
        self.put("server.key", &pair.key);
    }

    /// A cache with the two files.
    pub(crate) fn cache(&self) -> RegistryBuilder {
        mirror_of(&self.upstream.url())
            .address(self.address)
            .set("REGISTRY_HTTP_TLS_CERTIFICATE", &self.text("server.pem"))
            .set("REGISTRY_HTTP_TLS_KEY", &self.text("server.key"))
    }

    /// A caller that trusts the root.
    pub(crate) fn caller(&self) -> TlsCaller {
        TlsCaller::trusting(&self.root.bundle())
    }

    /// A plain door to the cache, for a caller that trusts the root.
    pub(crate) async fn door(&self) -> TlsTunnel {
        TlsTunnel::to(self.address, self.caller()).await
    }

    /// A blob in the upstream, and its path.
    pub(crate) fn blob(&self, seed: u64, size: usize) -> (Item, String) {
        let blob = Item::random(seed, size);
        self.upstream.hold_blob(&blob, REPOSITORY);
        let path = crate::scene::blob(&blob.digest);
        (blob, path)
    }
}

/// Writes a file beside the one before and renames it, as those do who take care.
pub(crate) fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}

/// The certificate that a server shows now, in DER.
pub(crate) async fn shown_by(cache: &Registry, caller: &TlsCaller) -> Option<Vec<u8>> {
    let stream = caller.connect(cache.address()).await.ok()?;
    let shown = stream.get_ref().1.peer_certificates()?.first()?.to_vec();
    Some(shown)
}

/// The first certificate of a PEM text, in DER.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    let first = rustls::pki_types::CertificateDer::pem_slice_iter(pem.as_bytes()).next();
    first.unwrap().unwrap().to_vec()
}
