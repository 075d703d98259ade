//! An upstream that lets in only who shows a certificate (`proxy.clientcertificate`).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cistern_tests::addresses;
use cistern_tests::caller::get;
use cistern_tests::cistern::mirror_of;
use cistern_tests::images::Image;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::ScriptedUpstream;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::scene::{SOON, TAG_PATH, assert_refused, assert_served, blob, upstream};

/// TLS in front of an upstream, for those only who show a certificate of its authority.
struct Gatekeeper {
    address: SocketAddr,
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
    _upstream: ScriptedUpstream,
    image: Image,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "plant authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Gatekeeper {
    async fn start() -> Self {
        let (upstream, image) = upstream().await;
        let listener = TcpListener::bind((addresses::next(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let authority = authority();
        let tls = acceptor(address, &authority);
        let behind = upstream.address();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let tls = tls.clone();
                tokio::spawn(async move {
                    if let Ok(mut caller) = tls.accept(socket).await {
                        let mut registry = TcpStream::connect(behind).await.unwrap();
                        let _ = copy_bidirectional(&mut caller, &mut registry).await;
                    }
                });
            }
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        Self {
            address,
            authority,
            folder,
            _upstream: upstream,
            image,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate by this authority, in place of the one before, as those do who renew them.
    fn issue(&self, authority: &CertifiedIssuer<'static, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params
            .distinguished_name
            .push(DnType::CommonName, "gateway 7");
        let certificate = params.signed_by(&key, authority).unwrap();
        for (name, text) in [
            ("client.pem", certificate.pem()),
            ("client.key", key.serialize_pem()),
        ] {
            std::fs::write(self.path("new"), text).unwrap();
            std::fs::rename(self.path("new"), self.path(name)).unwrap();
        }
    }

    async fn cache(&self, with_certificate: bool) -> Registry {
        let text = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let builder = mirror_of(&format!("https://{}", self.address))
            .set("REGISTRY_PROXY_CA", &text("ca.pem"));
        let builder = if with_certificate {
            builder
                .set("REGISTRY_PROXY_CLIENTCERTIFICATE", &text("client.pem"))
                .set("REGISTRY_PROXY_CLIENTKEY", &text("client.key"))
        } else {
            builder
        };
        builder.start().await
    }
}

fn acceptor(address: SocketAddr, authority: &CertifiedIssuer<'static, KeyPair>) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params
        .subject_alt_names
        .push(SanType::IpAddress(address.ip()));
    let certificate = params.signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        );
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

#[tokio::test]
async fn an_upstream_that_wants_a_certificate_is_pulled_from() {
    let gate = Gatekeeper::start().await;
    gate.issue(&gate.authority);
    let cache = gate.cache(true).await;
    let top = get(TAG_PATH).send(&cache.host()).await;
    assert_served(&top, &gate.image.top().bytes);
    for layer in &gate.image.blobs {
        let answer = get(&blob(&layer.digest)).send(&cache.host()).await;
        assert_served(&answer, &layer.bytes);
    }
}

#[tokio::test]
async fn without_a_certificate_the_refusal_says_which_setting_is_missing() {
    let gate = Gatekeeper::start().await;
    let cache = gate.cache(false).await;
    let refused = get(TAG_PATH).send(&cache.host()).await;
    assert_refused(
        &refused,
        503,
        "UNAVAILABLE",
        &["TLS failed", "proxy.clientcertificate"],
    );
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_used_without_a_restart() {
    let gate = Gatekeeper::start().await;
    gate.issue(&authority());
    let cache = gate.cache(true).await;
    let refused = get(TAG_PATH).send(&cache.host()).await;
    assert_refused(&refused, 503, "UNAVAILABLE", &["proxy.clientcertificate"]);
    gate.issue(&gate.authority);
    cistern_tests::eventually("the renewed certificate", SOON, || async {
        get(TAG_PATH).send(&cache.host()).await.status == 200
    })
    .await;
}
