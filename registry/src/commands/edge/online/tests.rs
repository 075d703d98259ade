//! What is told of parents' certificates, of real handshakes on loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::parent::Parents;
use super::*;
use crate::upstream::Role;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn root(name: &str) -> Authority {
    let mut of_it = parameters(name);
    of_it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(of_it, KeyPair::generate().unwrap()).unwrap()
}

fn edge_ca(root: &Authority) -> Authority {
    let mut of_it = parameters("gateway.ca");
    of_it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::signed_by(of_it, KeyPair::generate().unwrap(), root).unwrap()
}

/// A server's certificate with its key.
struct Server(CertificateDer<'static>, PrivateKeyDer<'static>);

fn server(name: &str, issuer: &Authority, until: Option<i32>) -> Server {
    let mut of_it = CertificateParams::new(vec![name.to_owned()]).unwrap();
    of_it.distinguished_name.push(DnType::CommonName, name);
    if let Some(year) = until {
        of_it.not_after = rcgen::date_time_ymd(year, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = of_it.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Server(certificate.der().clone(), key)
}

/// Listens on loopback and shows this.
async fn shows(server: Server, more: &[&Authority]) -> SocketAddr {
    let mut chain = vec![server.0];
    chain.extend(more.iter().map(|authority| authority.der().clone()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, server.1)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio_util::task::TaskTracker::new().spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((connection, _)) = listener.accept().await {
            let _ = acceptor.accept(connection).await;
        }
    });
    address
}

/// The findings of a look at this port, as `rule: what`.
async fn told(address: SocketAddr, root: &Authority) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle.pem");
    write(&bundle, &root.pem());
    let arguments = OnlineArguments {
        trust_bundle: Some(bundle),
        parent: Some("127.0.0.1".to_owned()),
        parent_ports: vec![address.port()],
        ..OnlineArguments::default()
    };
    let contacts = Contacts::default();
    let parents = Parents::new(&arguments, &[]).unwrap();
    let findings = parents.look(&contacts).await;
    let [contact] = contacts.all().try_into().unwrap();
    assert_eq!((contact.port, contact.role), (address.port(), Role::Parent));
    let told = findings.iter();
    told.map(|finding| format!("{}: {}", finding.rule, finding.what))
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "a test lays its own files out")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_full_chain_up_to_the_bundle_for_the_right_name_is_fine() {
    let root = root("root");
    let edge = edge_ca(&root);
    let address = shows(server("127.0.0.1", &edge, None), &[&edge]).await;
    assert_eq!(told(address, &root).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_chain_that_is_not_full_names_the_certificate_that_is_missing() {
    let root = root("root");
    let edge = edge_ca(&root);
    let address = shows(server("127.0.0.1", &edge, None), &[]).await;
    let told = told(address, &root).await;
    assert!(told[0].starts_with("parent-not-a-full-chain: "), "{told:?}");
    assert!(
        told[0].contains("depth=0") && told[0].contains("gateway.ca"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_tells_both() {
    let root = root("root");
    let address = shows(server("other.example", &root, None), &[]).await;
    let told = told(address, &root).await;
    assert!(told[0].starts_with("parent-wrong-name: "), "{told:?}");
    assert!(told[0].contains("depth=0 CN=other.example"), "{told:?}");
}

#[tokio::test]
async fn a_chain_of_another_root_names_it() {
    let other = root("stranger");
    let edge = edge_ca(&other);
    let address = shows(server("127.0.0.1", &edge, None), &[&edge, &other]).await;
    let told = told(address, &root("root")).await;
    assert!(told[0].starts_with("parent-other-root: "), "{told:?}");
    assert!(told[0].contains("stranger"), "{told:?}");
}

#[tokio::test]
async fn a_certificate_that_has_run_out_is_told() {
    let root = root("root");
    let address = shows(server("127.0.0.1", &root, Some(2020)), &[]).await;
    let told = told(address, &root).await;
    assert!(told[0].starts_with("parent-expired: "), "{told:?}");
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let told = told(address, &root("root")).await;
    assert!(told[0].starts_with("parent-unreachable: "), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_port_that_stays_silent_is_told_as_one_that_a_firewall_may_block() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let told = told(address, &root("root")).await;
    assert!(told[0].starts_with("parent-silent: "), "{told:?}");
}
