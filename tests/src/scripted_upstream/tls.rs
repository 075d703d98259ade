//! TLS for one loopback address.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::Tls;
use crate::certificates::issue;

pub(super) fn make(address: IpAddr) -> Tls {
    let issued = issue(address, &["localhost"]);
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
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, issued.authority_pem).unwrap();
    Tls {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        certificate: file,
        _folder: folder,
    }
}
