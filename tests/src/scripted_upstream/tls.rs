//! TLS for one loopback address.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::Tls;
use crate::certificates::{Issued, issue};

pub(super) fn make(address: IpAddr) -> Tls {
    let issued = issue(address, &["localhost"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, &issued.authority_pem).unwrap();
    Tls {
        acceptor: acceptor(issued),
        foreign: acceptor(issue(address, &["localhost"])),
        certificate: file,
        _folder: folder,
    }
}

fn acceptor(issued: Issued) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(issued.certificate)],
            PrivateKeyDer::Pkcs8(issued.key.into()),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
