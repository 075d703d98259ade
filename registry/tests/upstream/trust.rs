use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use cistern::upstream::{Fault, Heard, LinkFault, Upstream, UpstreamOptions, UpstreamSetupError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio_rustls::TlsAcceptor;

use super::server::{Server, ok};
use super::{fault, name, options, reference};

const BODY: &str = r#"{"schemaVersion":2}"#;

fn acceptor(certificate: &rcgen::Certificate, key: &KeyPair) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A server's side of TLS for a name, and the bundle with the authority that signed for it.
pub(crate) fn authority(host: &str) -> (TlsAcceptor, NamedTempFile) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    (acceptor(&certificate, &key), file(&issuer.pem()))
}

/// A certificate that signed itself and calls itself an authority, as `openssl req -x509` makes them.
fn self_made(host: &str) -> (TlsAcceptor, NamedTempFile) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (acceptor(&certificate, &key), file(&certificate.pem()))
}

async fn pull(
    options: UpstreamOptions,
) -> Result<cistern_oci::Manifest, cistern::upstream::UpstreamError> {
    Upstream::new(options)
        .unwrap()
        .get_manifest(&name("a"), &reference("1"), &Heard::default())
        .await
        .map(|fetched| fetched.manifest)
}

fn trusting(server: &Server, bundles: &[&NamedTempFile]) -> UpstreamOptions {
    let mut options = options(&server.url());
    options.ca_files = bundles
        .iter()
        .map(|bundle| bundle.path().to_owned())
        .collect();
    options
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_a_tls_fault() {
    let (acceptor, _) = authority("127.0.0.1");
    let server = Server::at("127.0.0.1", Some(acceptor), |_| ok(BODY)).await;
    match fault(pull(options(&server.url())).await) {
        Fault::Unreachable {
            link: LinkFault::Tls,
            detail,
        } => assert!(detail.contains("proxy.ca"), "{detail}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_named_authority_is_believed_for_its_names_only() {
    let (acceptor, bundle) = authority("127.0.0.1");
    let server = Server::at("127.0.0.1", Some(acceptor.clone()), |_| ok(BODY)).await;
    assert_eq!(
        pull(trusting(&server, &[&bundle])).await.unwrap().bytes,
        BODY
    );
    let other = Server::at("127.0.0.2", Some(acceptor), |_| ok(BODY)).await;
    let refused = fault(pull(trusting(&other, &[&bundle])).await);
    assert!(
        matches!(
            refused,
            Fault::Unreachable {
                link: LinkFault::Tls,
                ..
            }
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_self_made_certificate_is_believed_where_it_is_named_itself() {
    let (acceptor, bundle) = self_made("127.0.0.1");
    let (_, other_bundle) = self_made("127.0.0.1");
    let server = Server::at("127.0.0.1", Some(acceptor.clone()), |_| ok(BODY)).await;
    assert_eq!(
        pull(trusting(&server, &[&bundle])).await.unwrap().bytes,
        BODY
    );
    let refused = fault(pull(trusting(&server, &[&other_bundle])).await);
    assert!(
        matches!(
            refused,
            Fault::Unreachable {
                link: LinkFault::Tls,
                ..
            }
        ),
        "{refused:?}"
    );
    let elsewhere = Server::at("127.0.0.2", Some(acceptor), |_| ok(BODY)).await;
    let refused = fault(pull(trusting(&elsewhere, &[&bundle])).await);
    assert!(
        matches!(
            refused,
            Fault::Unreachable {
                link: LinkFault::Tls,
                ..
            }
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn insecure_believes_everything() {
    let (acceptor, _) = authority("somewhere.else");
    let server = Server::at("127.0.0.1", Some(acceptor), |_| ok(BODY)).await;
    let mut options = options(&server.url());
    options.insecure = true;
    assert_eq!(pull(options).await.unwrap().bytes, BODY);
}

#[tokio::test]
async fn a_bundle_that_changes_is_read_again_and_a_broken_one_changes_nothing() {
    let (acceptor, bundle) = authority("127.0.0.1");
    let (_, wrong) = authority("127.0.0.1");
    let right = std::fs::read(bundle.path()).unwrap();
    let server = Server::at("127.0.0.1", Some(acceptor), |_| ok(BODY)).await;
    let upstream = Upstream::new(trusting(&server, &[&wrong])).unwrap();
    let (name, reference, heard) = (name("a"), reference("1"), Heard::default());
    assert!(
        upstream
            .get_manifest(&name, &reference, &heard)
            .await
            .is_err()
    );
    tokio::time::sleep(Duration::from_millis(2100)).await;
    std::fs::write(wrong.path(), right).unwrap();
    assert!(
        upstream
            .get_manifest(&name, &reference, &heard)
            .await
            .is_ok()
    );
    std::fs::write(wrong.path(), "no certificate").unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(
        upstream
            .get_manifest(&name, &reference, &heard)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_bundle_that_cannot_be_used_is_named_at_the_start() {
    let start = |path: &std::path::Path| {
        let mut options = options("https://registry.test");
        options.ca_files = vec![path.to_owned()];
        Upstream::new(options).unwrap_err()
    };
    let missing = start(std::path::Path::new("/does/not/exist.pem"));
    assert!(matches!(missing, UpstreamSetupError::CaFile { .. }));
    assert!(
        missing
            .to_string()
            .starts_with("proxy.ca: /does/not/exist.pem"),
        "{missing}"
    );
    let empty = file("no certificate here");
    assert!(
        start(empty.path())
            .to_string()
            .contains("holds no certificate")
    );
}
